"""Finished runs, read without torch and without training anything: from ``runs/``, or from the committed archive.

A run's folder, ``runs/<hash>/``::

    config.json           the configuration
    checkpoint.pt         the state after the last finished epoch; removed at the end
    adapter.safetensors   what was trained
    hits.npz              per-image hits (N, 7), see retrieval.per_image_hits: "strict", and by each scene test
    metrics.json          all results; written last: once it exists, the run is finished
    failed.json           why the last attempt failed, if it did

The archive, ``figures/results/``, holds one table a section of study.yaml, one row a run, with the content of
metrics.json and hits.npz, and the small adapters that notebooks and the explorer show.
"""

import functools
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import ROOT, read_json, resolve, write_atomically

ARCHIVE = ROOT / "figures" / "results"
ADAPTER_LIMIT = 2**19  # bytes; larger adapters are not archived
ARCHIVED = ["hash", "method", "seed", "mr", "metrics", "hits"]


@dataclass(frozen=True)
class Run:
    """A finished run.

    ``metrics`` is the content of its metrics.json: scores, intervals and scene_scores (percent), validation_mr, history
    (one entry an epoch: loss by term, seconds, and validation_mr and drift where asked for), chosen_epoch,
    selection_audit (test mR of every epoch, where asked for), scene_test, parameters, images and captions (counts),
    inputs (digests), seconds by act, peak_memory_mib, environment.
    """

    config: RunConfig
    metrics: dict[str, Any]
    hits: np.ndarray  # (N, 7)
    scene_hits: dict[str, np.ndarray]  # (N, 7) by scene test
    adapter: Path | None  # None if it was not archived

    @property
    def hash(self) -> str:
        return self.config.hash

    @property
    def title(self) -> str:
        """The method's name in tables and figures."""
        return self.metrics["method"]["title"]


@dataclass(frozen=True)
class Failure:
    """A run that was asked for and is missing."""

    name: str
    config: RunConfig | None
    reason: str


def is_finished(folder: str | Path) -> bool:
    """Whether a run's results are there."""
    return (resolve(folder) / "metrics.json").exists()


def open_run(name: str | Path, runs_root: str | Path = "runs") -> Run:
    """A finished run by its hash, from ``runs_root`` or else the archive; or by the path of its folder.

    Raises:
        ConfigError: there is none, or it is one of another version.
    """
    folder = Path(name).absolute() if Path(name).absolute().is_dir() else resolve(name)
    if len(Path(name).parts) == 1 and not is_finished(folder):
        folder = resolve(runs_root) / name
    if is_finished(folder):
        metrics = read_json(folder / "metrics.json")
        hits, adapter = (folder / "hits.npz").read_bytes(), folder / "adapter.safetensors"
    else:
        row = archived(ARCHIVE).get(folder.name)
        if row is None:
            raise ConfigError(f"{folder} holds no metrics.json: not a finished run; run its configuration first")
        metrics, hits, adapter = json.loads(row["metrics"]), row["hits"], ARCHIVE / f"{folder.name}.safetensors"
    try:
        config = RunConfig(**metrics["config"])
    except (ConfigError, KeyError) as error:
        raise ConfigError(f"{folder} is of another version ({error}); run its configuration again") from error
    if config.hash != folder.name:
        raise ConfigError(f"{folder}: this version names its configuration {config.hash}; run it again")
    with np.load(io.BytesIO(hits)) as arrays:
        tables = dict(arrays)
    return Run(config, metrics, tables.pop("strict"), tables, adapter if adapter.exists() else None)


def find_runs(runs_root: str | Path = "runs") -> list[Run]:
    """Every finished run of this version under ``runs_root`` and in the archive."""
    names = [path.parent.name for path in sorted(resolve(runs_root).glob("*/metrics.json"))]
    found = []
    for name in dict.fromkeys([*names, *archived(ARCHIVE)]):
        try:
            found.append(open_run(name, runs_root))
        except (ConfigError, OSError):  # of another version
            continue
    return found


def open_runs(
    runs: Sequence[str | RunConfig],
    section: str = "",
    notebook: str = "",
    data_root: str | Path = "data",
    runs_root: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
) -> tuple[list[Run], list[Failure]]:
    """The runs that a notebook reads, in the given order, and those that are missing.

    Args:
        runs: names, which are only read, or configurations, which are trained where they are not found. If empty, the
            configurations that ``section`` of study.yaml lists for ``notebook``.

    Raises:
        ConfigError: there is not a single finished run.
    """
    if not runs:
        from petl_core.runs import study

        runs = study.runs_of(section, notebook)
    finished, failed = [], []
    for wanted in tqdm(runs, "runs", disable=not progress, unit="run", leave=False):
        name = wanted.hash if isinstance(wanted, RunConfig) else wanted
        try:
            finished.append(open_run(name, runs_root))
            continue
        except ConfigError as error:
            reason = f"{type(error).__name__}: {error}"
        if isinstance(wanted, RunConfig):
            from petl_core.runs.run import run  # imports torch

            try:
                finished.append(run(wanted, data_root, runs_root, device, progress))
                continue
            except Exception as error:  # the others go on
                reason = f"{type(error).__name__}: {error}"
        failed.append(failure_of(resolve(runs_root) / name, reason))
    if not finished:
        reasons = "; ".join(f"{failure.name}: {failure.reason}" for failure in failed) or "none was requested"
        raise ConfigError(f"no finished run under {resolve(runs_root)}: {reasons}")
    return finished, failed


def failure_of(folder: str | Path, reason: str = "") -> Failure:
    """A missing run with the reason that its folder records; otherwise ``reason``, or that it was not run yet."""
    folder = resolve(folder)
    record: dict[str, Any] = {}
    for name in ("config.json", "failed.json"):  # the second holds more
        if (folder / name).exists():
            record |= read_json(folder / name)
    if not record:
        return Failure(folder.name, None, reason or "not run yet")
    killed = "stopped before its end: killed, out of memory, or out of disk space"
    try:
        config = RunConfig(**record["config"])
    except (ConfigError, KeyError, TypeError):  # of another version
        config = None
    return Failure(folder.name, config, record.get("reason", killed))


# The archive.


@functools.cache
def archived(root: Path) -> dict[str, dict[str, Any]]:
    """Every archived run by its hash: a row of ``ARCHIVED`` and its section."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted(root.glob("*.parquet")):
        for row in pd.read_parquet(path).to_dict("records"):
            rows.setdefault(row["hash"], {**row, "section": path.stem})
    return rows


def add_to_archive(section: str, runs: Sequence[Run]) -> Path:
    """Write the runs of a section to the archive, in place of its table there; and their adapters, where small.

    Of each configuration the adapter of the first seed is kept.
    """
    table = pd.DataFrame([_as_row(run) for run in runs], columns=ARCHIVED)
    path = write_atomically(
        ARCHIVE / f"{section}.parquet", lambda temporary: table.to_parquet(temporary, compression="zstd", index=False)
    )
    first_seed: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: run.config.seed):
        first_seed.setdefault(run.config.replace(seed=0).hash, run)
    for run in first_seed.values():
        target = ARCHIVE / f"{run.hash}.safetensors"
        if run.adapter and run.adapter != target and run.adapter.stat().st_size <= ADAPTER_LIMIT:
            shutil.copyfile(run.adapter, target)
    archived.cache_clear()
    return path


def _as_row(run: Run) -> dict[str, Any]:
    hits, scene_hits = io.BytesIO(), cast(dict[str, Any], run.scene_hits)
    np.savez_compressed(hits, strict=run.hits, **scene_hits)
    return {
        "hash": run.hash,
        "method": run.config.method,
        "seed": run.config.seed,
        "mr": run.metrics["scores"]["strict"]["mr"],
        "metrics": json.dumps(run.metrics),
        "hits": hits.getvalue(),
    }
