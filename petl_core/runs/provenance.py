"""What a result depends on besides its configuration: inputs by content, versions, revision, machine."""

import os
import platform
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING

from petl_core.data import RetrievalData
from petl_core.files import ROOT, resolve, sha256_of_all

if TYPE_CHECKING:  # takes seconds to import, and naming a revision does not need it
    import torch


def digests(dataset: RetrievalData, weights: str, pretrained: str) -> dict[str, str]:
    """What a run was made from, by content: "data", "images" and "backbone"."""
    return {
        "data": dataset.fingerprint(),
        "images": dataset.image_digest(),
        "backbone": weights_digest(weights, pretrained),
    }


def weights_digest(name: str, pretrained: str) -> str:
    """Content of local weights; the name and tag of published ones, which do not change."""
    folder = resolve(name.removeprefix("local-dir:"))
    weights_file = [resolve(pretrained)] if pretrained else []
    files = sorted(folder.glob("open_clip_*")) if folder.is_dir() else weights_file
    if not all(file.is_file() for file in files) or not files:
        return f"{name} {pretrained}".strip()
    return sha256_of_all(files)[:16]


def environment(device: "torch.device") -> dict:
    """Versions, revision and machine that a result was made with."""
    import torch

    packages = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow")
    return {
        "revision": revision(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def timed_on(device: str) -> str:
    """What a caption must say about the timed machine: the GPU's name, or the number of CPU threads."""
    import torch

    if device == "auto" and torch.cuda.is_available():
        device = "cuda"
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU threads: {torch.get_num_threads()}"


def revision() -> str:
    """The project's git commit, marked where files other than figures differ from it; "unknown" outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":!figures")
        return commit + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
