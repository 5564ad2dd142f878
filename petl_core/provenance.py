"""What a result depends on besides its configuration: inputs by content, versions, revision, machine."""

import hashlib
import os
import platform
import subprocess
from importlib.metadata import version

import torch

from petl_core.parameters import ROOT, resolve


def weights_digest(name: str, pretrained: str) -> str:
    """Content of local weights; the name and tag of published ones, which do not change."""
    folder = resolve(name.removeprefix("local-dir:"))
    files = sorted(folder.glob("open_clip_*")) if folder.is_dir() else [resolve(pretrained)] if pretrained else []
    if not all(file.is_file() for file in files) or not files:
        return f"{name} {pretrained}".strip()
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def environment(device: torch.device) -> dict:
    """What a result depends on besides its configuration."""
    packages = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow")
    return {
        "revision": _revision(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _revision() -> str:
    """The project's git commit, marked where the tree differs from it; "unknown" outside a checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
