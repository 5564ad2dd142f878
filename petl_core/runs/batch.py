"""Many runs side by side, each in its own process with everything imported.

Python's fork server imports torch and the rest once; every run is a fork of it. So a run costs what it computes, starts
from the same clean state whatever ran before it, and takes nothing down with it when it dies.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import resolve
from petl_core.runs.archive import Failure, Run, failure_of, is_finished, open_run

ATTEMPTS = 2  # of a run whose process dies: the second resumes after the last finished epoch
# What the fork server imports: what trains a run, what its optimizer and tests import, what a first run may draw with.
MODULES = ["petl_core.runs.run", "torch._dynamo", "sklearn.linear_model", "drawn_scenes"]


def train_all(
    configs: Sequence[RunConfig],
    data_root: str | Path = "data",
    runs_root: str | Path = "runs",
    device: str = "auto",
    workers: int = 1,
) -> Iterator[Run | Failure]:
    """Each run as it ends, finished or failed, ``workers`` at a time; those under ``runs_root`` are read.

    Runs share the cores evenly; under Snakemake each has one, so that the number of cores changes no digit.

    Raises:
        ConfigError: ``workers`` is below 1.
    """
    if workers < 1:
        raise ConfigError(f"workers = {workers} must be at least 1")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(MODULES)
    threads = max(1, cores() // workers)

    def run_apart(config: RunConfig) -> Run | Failure:
        folder = resolve(runs_root) / config.hash
        for _ in range(ATTEMPTS):
            if is_finished(folder):
                break
            process = server.Process(target=_run, args=(config, data_root, runs_root, device, threads), daemon=True)
            process.start()
            process.join()
            if process.exitcode in (0, 1):  # finished, or raised and left its reason in failed.json
                break
        return open_run(folder) if is_finished(folder) else failure_of(folder, "its process died")

    with ThreadPoolExecutor(workers) as pool:  # threads that only wait for their process
        for future in as_completed([pool.submit(run_apart, config) for config in configs]):
            yield future.result()


def cores() -> int:
    """As many cores as a batch system or the user allows; else all that this process may use."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    if allowed.isdigit() and int(allowed):
        return int(allowed)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(config: RunConfig, data_root: str | Path, runs_root: str | Path, device: str, threads: int) -> None:
    """What the process does."""
    import torch
    from threadpoolctl import threadpool_limits

    from petl_core.runs.run import run

    torch.set_num_threads(threads)
    with threadpool_limits(threads):  # for NumPy and scikit-learn, which would use every core in each run
        run(config, data_root, runs_root, device, progress=False)
