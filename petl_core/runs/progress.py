"""How far a section of the study has got: runs done and left, minutes left, failures; without torch."""

import functools
import json
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tqdm import tqdm

from petl_core.config import RunConfig
from petl_core.files import resolve
from petl_core.runs.folder import failure_of, is_finished
from petl_core.runs.study import Section, title

POLL = 1.0  # seconds
STEPS = re.compile(r"^(\d+) of (\d+) steps", re.MULTILINE)  # as Snakemake counts them in its log
SHOWN_REASON = 160  # characters


def follow(section: Section, process: subprocess.Popen, log: Path, workers: int) -> None:
    """Show one line of progress while Snakemake works, and each failure as soon as it is known.

    Args:
        section: as read.
        process: Snakemake's.
        log: what it prints.
        workers: runs at a time.
    """
    root = resolve(section.options["runs_root"])
    reported = {name for name in section.runs if (root / name / "failed.json").exists()}
    done = sum(is_finished(root / name) for name in section.runs)
    with tqdm(total=len(section.runs), initial=done, unit="run", bar_format="{bar:20} {desc}") as bar:
        while True:
            ended = process.poll() is not None
            bar.n = sum(is_finished(root / name) for name in section.runs)
            bar.set_description_str(_line(section, log, workers, bar.format_dict["elapsed"]))
            for failure in _new_failures(section, root, reported):
                bar.write(failure)
            if ended:
                return
            time.sleep(POLL)


def estimate(section: Section, workers: int) -> str:
    """Runs and minutes left, ``workers`` at a time, estimated from finished runs on the same data and backbone."""
    left, minutes = _left(section, workers)
    text = f"{len(section.runs)} runs, {len(section.runs) - len(left)} finished, {len(left)} to train"
    if not left:
        return text
    if minutes is None:
        return f"{text}, minutes unknown until runs like them have finished"
    return f"{text}: about {minutes:.0f} minutes, {min(workers, len(left))} at once"


def found(section: Section) -> str:
    """How many runs are finished and missing, for a section that is drawn without training."""
    left = len(unfinished(section))
    return f"{len(section.runs)} runs, {len(section.runs) - left} finished, {left} missing and not trained"


def _line(section: Section, log: Path, workers: int, elapsed: float) -> str:
    left, minutes = _left(section, workers)
    parts = [f"{len(section.runs) - len(left)} of {len(section.runs)} runs"]
    steps = STEPS.findall(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
    if steps:
        parts.append(f"step {steps[-1][0]} of {steps[-1][1]}")
    if left and minutes is not None:
        parts.append(f"about {minutes:.0f} min of training left")
    parts.append(f"{elapsed / 60:.0f} min so far")
    return ", ".join(parts)


def _new_failures(section: Section, root: Path, reported: set[str]) -> Iterator[str]:
    """A line for each run that failed since the last look."""
    for name, run in section.runs.items():
        if not (root / name / "failed.json").exists():
            reported.discard(name)  # it is tried again, and may fail again
        elif name not in reported:
            reported.add(name)
            reason = " ".join(failure_of(root / name).reason.split())
            yield f"failed: {title(run)} ({root / name}): {reason[:SHOWN_REASON]}"


def unfinished(section: Section) -> list[RunConfig]:
    """The runs that are left to train."""
    root = resolve(section.options["runs_root"])
    return [run for name, run in section.runs.items() if not is_finished(root / name)]


def _left(section: Section, workers: int) -> tuple[list[RunConfig], float | None]:
    """Unfinished runs, and the minutes they will take; None if nothing like them has finished."""
    left = unfinished(section)
    seen = _costs(resolve(section.options["runs_root"])) if left else []
    known = [seconds for run in left if (seconds := _expected(run, seen)) is not None]
    if not known:
        return left, None
    return left, sum(known) / len(known) * len(left) / min(workers, len(left)) / 60


@dataclass(frozen=True)
class _Cost:
    """What a finished run took."""

    run: RunConfig
    images: int  # of training
    per_image: float  # seconds in each epoch
    fixed: float  # seconds of everything else


def _costs(runs_root: Path) -> list[_Cost]:
    costs = [_cost_of(path) for path in runs_root.glob("*/metrics.json")]
    return [cost for cost in costs if cost is not None]


@functools.cache  # metrics.json never changes once it is there
def _cost_of(path: Path) -> _Cost | None:
    """None for a run of another version, which says nothing about the cost of this one's."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        run, seconds, images = RunConfig(**metrics["config"]), metrics["seconds"], metrics["images"]["train"]
        others = sum(seconds[act] for act in ("load", "prepare", "validate", "test"))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return _Cost(run, images, per_image=seconds["train"] / (images * max(1, run.epochs)), fixed=others)


def _expected(run: RunConfig, seen: Sequence[_Cost]) -> float | None:
    """Seconds, estimated from the runs most like this one."""
    alike = [cost for cost in seen if (cost.run.dataset, cost.run.backbone) == (run.dataset, run.backbone)]
    for field in ("method", "cache_features", "pairs"):  # where none agrees, this field is ignored
        alike = [cost for cost in alike if getattr(cost.run, field) == getattr(run, field)] or alike
    if not alike:
        return None
    images = run.train_images or max(cost.images for cost in alike)
    return median(cost.per_image for cost in alike) * images * run.epochs + median(cost.fixed for cost in alike)
