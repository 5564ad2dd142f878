"""Many runs side by side, each in its own process with everything imported.

Python's fork server imports torch and the rest once; every run is a fork of it. So a run costs what it computes, starts
from the same clean state whatever ran before it, and takes nothing down with it when it dies.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

from petl_core.config import RunConfig
from petl_core.files import resolve
from petl_core.runs.folder import Failure, Run, failure_of, is_finished, open_run
from petl_core.validation import require_at_least

ATTEMPTS = 2  # of a run whose process dies: the second resumes after the last finished epoch
# What the fork server imports: what trains a run, what its optimizer and tests import, what a first run may draw with.
MODULES = ["petl_core.runs.experiment", "torch._dynamo", "sklearn.linear_model", "drawn_scenes"]

Outcome = Run | Failure


@dataclass(frozen=True)
class RunLocation:
    """Where runs find their data, leave their results, and compute."""

    data_root: str | Path = "data"
    runs_root: str | Path = "runs"
    device: str = "auto"


def train_all(configs: Sequence[RunConfig], location: RunLocation, workers: int = 1) -> Iterator[Outcome]:
    """Each run as it ends, finished or failed, ``workers`` at a time; finished runs are read.

    Args:
        configs: in the order in which they are to start.
        location: the same for all.
        workers: runs at a time. They share the cores evenly; under Snakemake each has one, so that the number of cores
            changes no digit.

    Raises:
        ConfigError: ``workers`` is below 1.
    """
    require_at_least(1, workers=workers)
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(MODULES)
    threads = max(1, _cores() // workers)
    with ThreadPoolExecutor(workers) as pool:  # threads that only wait for their process
        futures = [pool.submit(_run_apart, server, config, location, threads) for config in configs]
        for future in as_completed(futures):
            yield future.result()


def _cores() -> int:
    """As many as a batch system or the user allows; else all that this process may use."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    if allowed.isdigit():
        return int(allowed)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_apart(server: ForkServerContext, config: RunConfig, location: RunLocation, threads: int) -> Outcome:
    """A run in its own process, which is started again if it dies."""
    folder = resolve(location.runs_root) / config.hash
    for _ in range(ATTEMPTS):
        if is_finished(folder):
            break
        process = server.Process(target=_run, args=(config, location, threads), daemon=True)
        process.start()
        process.join()
        if process.exitcode in (0, 1):  # finished, or raised and left its reason in failed.json
            break
    return open_run(folder) if is_finished(folder) else failure_of(folder, "its process died")


def _run(config: RunConfig, location: RunLocation, threads: int) -> None:
    """What the process does."""
    import torch
    from threadpoolctl import threadpool_limits

    from petl_core.runs import experiment

    torch.set_num_threads(threads)
    with threadpool_limits(threads):  # for NumPy and scikit-learn, which would use every core in each run
        experiment.run(config, location.data_root, location.runs_root, location.device, progress=False)
