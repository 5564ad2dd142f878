"""A section of the study made by Snakemake: its runs, then tables and figures, with one line of progress."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from petl_core.files import ROOT, resolve
from petl_core.runs import progress
from petl_core.runs.study import Section

SNAKEMAKE = [sys.executable, "-m", "snakemake", "--rerun-triggers", "mtime", "params", "--rerun-incomplete"]
TAIL = 20  # lines of Snakemake's log that are shown when it fails


def make(section: Section, name: str, cores: int, options: Sequence[str], train: bool = True) -> int:
    """Make what does not exist yet.

    Args:
        section: as read.
        name: of the section, in study.yaml or in a file that ``options`` name.
        cores: of this machine that runs may take.
        options: of Snakemake, such as ``--cores``.
        train: whether missing runs are trained; otherwise tables name them.

    Returns:
        Snakemake's exit code; 130 after an interrupt.
    """
    command = [*SNAKEMAKE, "--keep-going", "--show-failed-logs", *options]
    command += ["--config", f"section={name}", f"train={train}"]
    environment = dict(os.environ)
    if not section.options["gpus"]:
        environment["CUDA_VISIBLE_DEVICES"] = ""  # a run uses a GPU that it sees

    # Snakemake's output goes to a log; the user sees one line of progress.
    log = resolve(section.options["runs_root"]) / "notebooks" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    workers = section.workers(cores)
    todo = progress.estimate(section, workers) if train else progress.found(section)
    print(f"{name}: {todo}; details in {log}", file=sys.stderr)
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            progress.follow(section, process, log, workers)
        except KeyboardInterrupt:  # Snakemake was interrupted, too, and ends its jobs
            process.wait()
            return 130
    if process.returncode:
        print(_failure(log), file=sys.stderr)
        return process.returncode
    print(f"{name}: tables and figures are in {section.options['figures']}/, see report.html", file=sys.stderr)
    return 0


def has_gpu() -> bool:
    """Whether PyTorch sees a GPU here."""
    import torch  # takes seconds, which only sections with GPUs need to wait for

    return torch.cuda.is_available()


def cores(text: str) -> int:
    """A number of cores from the command line; argparse adds the option's name to an error."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of cores; give 1 or more")
    return int(text)


def unlock(name: str) -> int:
    """Remove the lock that a killed Snakemake has left; return Snakemake's exit code."""
    command = [*SNAKEMAKE, "--unlock", "--cores", "1", "--config", f"section={name}"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _failure(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([*lines[-TAIL:], f"error: not everything could be made; see {log}"])
