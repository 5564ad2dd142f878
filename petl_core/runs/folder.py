"""A run's folder, ``runs/<hash>/``, read without torch and without training anything.

config.json           the configuration, and the title of its method
checkpoint.pt         the state after the last finished epoch; removed at the end
epoch_weights/        what was trained after each validated epoch; removed at the end
adapter.safetensors   what was trained, at the epoch with the best validation mR
test_hits.npy         (test images, 7): see retrieval.per_image_hits
test_hits_<mode>.npy  the same by each mode of :mod:`petl_core.runs.scene_tests`
metrics.json          all results (:class:`Metrics`); written last: once it exists, the run is finished
failed.json           why the last attempt failed, if it did
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import read_json, resolve

Scores = dict[str, float]  # i2t_r1 ... t2i_r10, mr in percent; i2t_medr, t2i_medr


class Epoch(TypedDict, total=False):
    """An epoch of training; epoch 0 is before training and has no loss."""

    epoch: int
    validation_mr: float  # percent; of the validated epochs
    loss: dict[str, float]  # mean of each term over the epoch's steps, and "total"
    seconds: float  # of training
    validation_seconds: float
    drift: list[dict]  # of a run with a queue: rows of recycling.drift


class SceneTest(TypedDict, total=False):
    """How classes were predicted in the tests of :mod:`petl_core.runs.scene_tests`; accuracies in percent.

    An accuracy is None where no image is labelled with a class.
    """

    classes: list[str]  # labels seen in training
    predictor: dict[str, str]  # of the class of "text" and "image", chosen on validation
    validation_accuracy: dict[str, dict[str, float | None]]  # of all candidates, by their names
    accuracy: dict[str, float | None]  # of the chosen ones on the test split
    prior_weights: dict[str, dict[str, float]]  # by mode and direction, "i2t" and "t2i"; chosen on validation


class Metrics(TypedDict):
    """What ``metrics.json`` holds."""

    hash: str
    config: dict[str, Any]  # every field of RunConfig
    method: dict[str, Any]  # title, and options with defaults filled in
    inputs: dict[str, str]  # digests of data, images and backbone
    scores: dict[str, Scores]  # "strict", "equivalent" (caption-equivalence): on the test split
    intervals: dict[str, dict[str, list[float]]]  # of the same: [low, high] at 95 %, over test images
    scene_scores: dict[str, dict[str, Scores]]  # as scores, by mode of scene_tests; empty without scene labels
    scene_test: SceneTest  # empty without scene labels
    chosen_epoch: int  # by validation mR
    history: list[Epoch]
    selection_audit: list[float]  # test mR of each validated epoch, computed last; nothing is chosen by it
    parameters: dict[str, int]  # "trained" (without logit_scale), "backbone"
    images: dict[str, int]  # "train", "validation", "test"
    captions: dict[str, int]  # the same; runs of older versions lack it
    blank_captions_dropped: int
    seconds: dict[str, float]  # "load", "prepare", "train", "validate", "test"
    peak_memory_mib: float  # of training: GPU, or the process on a CPU
    environment: dict[str, Any]  # revision, versions, device, threads


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    config: RunConfig
    metrics: Metrics

    @property
    def test_hits(self) -> np.ndarray:
        """(test images, 7), for paired comparisons with :func:`petl_core.statistics.compare`."""
        return np.load(self.folder / "test_hits.npy")


@dataclass(frozen=True)
class Failure:
    """A run that was asked for but is missing."""

    name: str
    config: RunConfig | None
    reason: str
    title: str = ""  # of its method, if its folder says


def is_finished(folder: str | Path) -> bool:
    """Whether a run's results are there."""
    return (resolve(folder) / "metrics.json").exists()


def open_run(folder: str | Path) -> Run:
    """A finished run by its folder.

    Raises:
        ConfigError: it holds no finished run, or one of another version.
    """
    folder = resolve(folder)
    if not is_finished(folder):
        raise ConfigError(f"{folder} holds no metrics.json: not a finished run; run its configuration first")
    path = folder / "metrics.json"
    metrics = read_json(path)
    try:
        config = RunConfig(**metrics["config"])
    except (TypeError, KeyError) as error:
        raise ConfigError(f"{path} is of another version ({error}); run its configuration again") from error
    if config.hash != folder.name:
        raise ConfigError(
            f"{folder}: this version keeps its configuration under {config.hash}; run it again, or restore the "
            "folder's name"
        )
    return Run(folder, config, metrics)


def find_run(run: str | Path, runs_root: str | Path = "runs") -> Path:
    """The folder of a run: an existing path; or a path from the project's root; or a run's name (its hash)."""
    from_here = Path(run).absolute()
    if from_here.is_dir():
        return from_here
    return resolve(run) if len(Path(run).parts) > 1 else resolve(runs_root) / run


def failure_of(folder: str | Path, reason: str = "") -> Failure:
    """A missing run with the reason that its folder records; otherwise ``reason``, or that it was not run yet."""
    folder = resolve(folder)
    record: dict[str, Any] = {}
    for name in ("config.json", "failed.json"):  # the second holds more
        if (folder / name).exists():
            record |= read_json(folder / name)
    if not folder.exists():
        reason = reason or "not run yet"
    elif record and not is_finished(folder):
        reason = record.get("reason", "stopped before its end: killed, out of memory, or out of disk space")
    config = None
    with contextlib.suppress(ValueError, TypeError, KeyError):  # of another version
        config = RunConfig(**record["config"])
    return Failure(folder.name, config, reason, record.get("title") or (config.method if config else ""))
