"""Versions, revision and machine that a result was made with."""

import os
import platform
import subprocess
from importlib.metadata import version
from typing import TYPE_CHECKING

from petl_core.files import ROOT

if TYPE_CHECKING:  # takes seconds to import, and naming a revision does not need it
    import torch


def environment(device: "torch.device") -> dict:
    """Versions, revision and machine of a run."""
    import torch

    packages = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow")
    return {
        "revision": revision(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def processor() -> str:
    """The processor and PyTorch's vector instructions on it, on which the last digits of a result depend."""
    import torch

    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


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
