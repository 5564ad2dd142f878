"""What must be right before anything is trained: data, weights, every method, disk, memory; and how long it will take.

A failed check is one line with its remedy. Checks that depend on it are left out.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from petl_core import backbone
from petl_core.backbone import Backbone
from petl_core.config import RunConfig
from petl_core.data import DataError, RetrievalData, default_data
from petl_core.data.catalogue import CATALOGUE
from petl_core.files import resolve
from petl_core.measuring import MIB
from petl_core.paper import costs
from petl_core.paper.costs import Amounts, Cost
from petl_core.runs import experiment
from petl_core.runs.folder import is_finished
from petl_core.training import default_backbones

GIB = 2**30
HOUR, MINUTE = 3600, 60  # seconds
USABLE_GPU_FRACTION = 0.9  # of its memory; the CUDA context and fragmentation take the rest


@dataclass(frozen=True)
class Check:
    """What was looked at, and what was found."""

    name: str
    passed: bool
    found: str  # where it failed: what is wrong, and the remedy


@dataclass(frozen=True)
class Plan:
    """What is to be checked: all runs, and where they find data and leave results."""

    runs: dict[str, RunConfig]  # by name; all on one data set and backbone
    data_root: str
    runs_root: str
    gpus: int  # for each run
    workers: int  # runs at a time

    @property
    def first(self) -> RunConfig:
        """Any run: all share its data set and backbone."""
        return next(iter(self.runs.values()))

    @property
    def finished(self) -> list[RunConfig]:
        return [run for name, run in self.runs.items() if self._is_finished(name)]

    @property
    def left(self) -> list[RunConfig]:
        """Runs that are not finished."""
        return [run for name, run in self.runs.items() if not self._is_finished(name)]

    @property
    def device(self) -> torch.device:
        return torch.device("cuda" if self.gpus else "cpu")

    def _is_finished(self, name: str) -> bool:
        return is_finished(resolve(self.runs_root) / name)


def check_all(plan: Plan, measured: bool = True) -> list[Check]:
    """All checks that can be made.

    Args:
        plan: what is to be run.
        measured: whether this machine is the one that trains, so that steps are tried on it.
    """
    data, dataset = check_data(plan)
    weights, frozen, start = check_weights(plan)
    if dataset is None or frozen is None or not plan.left:
        left = [] if plan.left else [Check("time", True, "nothing is left to train")]
        return [data, weights, *left]
    if not measured:
        found = "methods, disk, memory and time are not checked here: other machines train"
        return [data, weights, Check("cluster", True, found)]
    amounts = Amounts.of(dataset, frozen)
    measured_costs, failures = measure_kinds(plan, frozen, amounts)
    methods = check_methods(measured_costs, failures)
    if failures:
        return [data, weights, methods]
    return [
        *(data, weights, methods),
        check_disk(plan, measured_costs),
        check_memory(plan, measured_costs),
        check_time(plan, measured_costs, dataset, start),
    ]


def check_data(plan: Plan) -> tuple[Check, RetrievalData | None]:
    """Whether the data set is there, in a known layout and with all its images."""
    name = plan.first.dataset
    try:
        dataset = default_data.load_or_draw(name, plan.data_root)
    except (DataError, ValueError, OSError) as error:
        return Check("data", False, str(error)), None
    counts = (len(dataset.train.images), len(dataset.test.images))
    found = f"{name}: {counts[0]:,} / {counts[1]:,} images, "
    found += f"{len(dataset.train.captions):,} / {len(dataset.test.captions):,} captions in {dataset.root}"
    known = CATALOGUE.get(name)
    if known and counts != (known.train, known.test):
        found += f"; NOT the published split of {known.train:,} / {known.test:,}"
    return Check("data", True, found), dataset


def check_weights(plan: Plan) -> tuple[Check, Backbone | None, float]:
    """Whether the backbone loads, downloaded if need be; the backbone, on the CPU; and the seconds of loading it."""
    config = plan.first
    name = f"{config.backbone} {config.pretrained}".strip()
    try:
        experiment.check_method_and_backbone(config)
        with _quiet():
            folder = default_backbones.find_or_pretrain(config.backbone, plan.runs_root, plan.data_root)
            backbone.load(folder, config.pretrained, config.precision)  # downloads
            started = time.perf_counter()
            frozen = backbone.load(folder, config.pretrained, config.precision)
    except (ValueError, OSError) as error:
        remedy = "name weights that exist here (--pretrained FILE.pt, or --backbone FOLDER), or connect to a network"
        return Check("weights", False, f"{' '.join(str(error).split())}; {remedy}"), None, 0.0
    parameters = sum(parameter.numel() for parameter in frozen.clip.parameters())
    return Check("weights", True, f"{name}: {parameters:,} parameters"), frozen, time.perf_counter() - started


def measure_kinds(plan: Plan, frozen: Backbone, amounts: Amounts) -> tuple[dict[str, Cost], dict[str, str]]:
    """The cost of each kind of run that is left, by its hash; and why methods cannot be trained, by their names."""
    kinds = {kind.hash: kind for kind in map(costs.kind_of, plan.left)}
    found: dict[str, Cost] = {}
    failures: dict[str, str] = {}
    for name, kind in tqdm(kinds.items(), "trying each method", unit="method"):
        try:
            experiment.check_method_and_backbone(kind)
            found[name] = costs.measure(kind, frozen, amounts, plan.device)
        except torch.OutOfMemoryError:
            failures[kind.method] = f"a batch of {kind.batch_size} does not fit the GPU; lower batch_size"
        except (ValueError, RuntimeError, FloatingPointError) as error:
            failures[kind.method] = " ".join(str(error).split()).removeprefix(f"method {kind.method}: ")
    return found, failures


def check_methods(measured: dict[str, Cost], failures: dict[str, str]) -> Check:
    """Whether a batch of every kind of run was trained."""
    if failures:
        reasons = "; ".join(f"{method}: {reason}" for method, reason in failures.items())
        return Check("methods", False, f"{reasons}; change study.yaml's sections paper_tuning and paper")
    return Check("methods", True, f"a batch of each of {len(measured)} kinds of run was trained")


def check_disk(plan: Plan, measured: dict[str, Cost]) -> Check:
    """Whether caches and weights fit."""
    folder = resolve(plan.runs_root)
    kinds = {costs.kind_of(run).hash for run in plan.finished} & measured.keys()
    written = {name for kind in kinds for name in measured[kind].caches} | ({"pixels"} if plan.finished else set())
    priced = _priced(plan, measured)
    caches = sum(size for name, size in costs.cache_bytes(priced).items() if name not in written)
    weights = costs.weight_bytes(priced, plan.workers)
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    found = f"{(caches + weights) / GIB:.1f} GiB at most in {folder} (caches {caches / GIB:.1f}, weights of runs "
    found += f"{weights / GIB:.1f}), {free / GIB:.1f} GiB free"
    if caches + weights > free:
        return Check("disk", False, f"{found}; free some space, or name another folder with --runs-root")
    return Check("disk", True, found)


def check_memory(plan: Plan, measured: dict[str, Cost]) -> Check:
    """Whether the largest method fits the GPU, as often as runs share it."""
    if not plan.gpus:
        return Check("memory", True, "not checked: no GPU is used")
    total = torch.cuda.get_device_properties(plan.device).total_memory / MIB
    largest, peak = max(((run, cost.peak_mib) for run, cost in _priced(plan, measured)), key=lambda priced: priced[1])
    shared = f"{plan.workers} times " if plan.workers > 1 else ""
    found = f"at most {shared}{peak:,.0f} MiB ({largest.method}, batch size {largest.batch_size}) of {total:,.0f} MiB "
    found += f"on {torch.cuda.get_device_name()}"
    if plan.workers * peak > USABLE_GPU_FRACTION * total:
        return Check("memory", False, f"{found}; lower batch_size in the sections paper_tuning and paper of study.yaml")
    return Check("memory", True, found)


def check_time(plan: Plan, measured: dict[str, Cost], dataset: RetrievalData, start: float) -> Check:
    """Hours, if no run stops early: an estimate, which cannot fail."""
    scoring = costs.scoring_seconds(dataset.test)
    seconds = sum(start + costs.run_seconds(run, cost, dataset, scoring) for run, cost in _priced(plan, measured))
    on = torch.cuda.get_device_name() if plan.gpus else f"this CPU, {torch.get_num_threads()} threads"
    hours = f"{seconds / HOUR:,.1f} hours" if seconds > HOUR else f"{seconds / MINUTE:,.0f} minutes"
    found = f"{len(plan.left)} of {len(plan.runs)} runs are left: about {hours} on {on} (by a batch of each kind)"
    return Check("time", True, f"{found}, less if patience ends runs early")


def _priced(plan: Plan, measured: dict[str, Cost]) -> list[tuple[RunConfig, Cost]]:
    """Runs that are left, each with the cost of its kind."""
    return [(run, measured[costs.kind_of(run).hash]) for run in plan.left]


@contextmanager
def _quiet() -> Iterator[None]:
    """Log nothing: a failing download would report each of its attempts."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
