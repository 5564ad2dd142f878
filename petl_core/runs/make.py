"""A section of the study made by Snakemake: its runs, then tables and figures, with one line of progress."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from tqdm import tqdm

from petl_core.config import RunConfig
from petl_core.files import ROOT, read_json, resolve
from petl_core.runs.archive import failure_of, is_finished
from petl_core.runs.study import Section, title

SNAKEMAKE = [sys.executable, "-m", "snakemake", "--rerun-triggers", "mtime", "params", "--rerun-incomplete"]
TAIL = 20  # lines of Snakemake's log that are shown when it fails
SHOWN_REASON = 160  # characters


def make(section: Section, name: str, cores: int, options: Sequence[str], train: bool = True) -> int:
    """Make what does not exist yet.

    Args:
        section: as read.
        name: of the section.
        cores: of this machine that runs may take.
        options: of Snakemake, such as ``--cores``.
        train: whether missing runs are trained; otherwise tables are drawn from finished and archived ones.

    Returns:
        Snakemake's exit code; 130 after an interrupt.
    """
    command = [*SNAKEMAKE, "--keep-going", "--show-failed-logs", *options]
    command += ["--config", f"section={name}", f"train={train}"]
    environment = dict(os.environ)
    if not section.options.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""  # a run uses a GPU that it sees

    # Snakemake's output goes to a log; the user sees one line of progress, and each failure as soon as it is known.
    root = resolve(section.options.runs_root)
    log = root / "notebooks" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    todo = plan(section, cores) if train else f"{len(section.runs)} runs, drawn as finished or archived"
    print(f"{name}: {todo}; details in {log}", file=sys.stderr)
    reported = {name for name in section.runs if (root / name / "failed.json").exists()}
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT) as process,
        tqdm(total=len(section.runs), unit="run", bar_format="{bar:20} {n_fmt} of {total_fmt} runs, {elapsed}") as bar,
    ):
        try:
            while True:
                ended = process.poll() is not None
                done = len(section.runs) - len(unfinished(section))
                if done != bar.n:
                    bar.n = done
                    bar.refresh()
                failed = {name for name in section.runs if (root / name / "failed.json").exists()}
                for failure in sorted(failed - reported):
                    reason = " ".join(failure_of(root / failure).reason.split())[:SHOWN_REASON]
                    bar.write(f"failed: {title(section.runs[failure])} ({root / failure}): {reason}", file=sys.stderr)
                reported = failed
                if ended:
                    break
                time.sleep(1)
        except KeyboardInterrupt:  # Snakemake was interrupted, too, and ends its jobs
            process.wait()
            return 130
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join([*lines[-TAIL:], f"error: not everything could be made; see {log}"]), file=sys.stderr)
    else:
        print(f"{name}: tables and figures are in {section.options.figures}/, see README.md", file=sys.stderr)
    return process.returncode


def unfinished(section: Section) -> list[RunConfig]:
    """The runs that are left to train."""
    root = resolve(section.options.runs_root)
    return [run for name, run in section.runs.items() if not is_finished(root / name)]


def plan(section: Section, cores: int) -> str:
    """Runs finished and left, and the minutes left by the mean of the section's finished runs."""
    left, root = unfinished(section), resolve(section.options.runs_root)
    text = f"{len(section.runs)} runs, {len(section.runs) - len(left)} finished, {len(left)} to train"
    seconds = [_seconds(root / name) for name in section.runs if is_finished(root / name)]
    if not left or not seconds:
        return text
    at_once = min(section.workers(cores), len(left))
    return f"{text}: about {mean(seconds) * len(left) / at_once / 60:.0f} minutes, {at_once} at once"


def unlock(name: str) -> int:
    """Remove the lock that a killed Snakemake has left; return Snakemake's exit code."""
    command = [*SNAKEMAKE, "--unlock", "--cores", "1", "--config", f"section={name}"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _seconds(folder: Path) -> float:
    return sum(read_json(folder / "metrics.json")["seconds"].values())
