"""A data root and a runs root that hold the smallest data set and backbone that train; and what tests do there."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip_folders import write_folder
from safetensors.torch import load_file

from petl_core import training
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.runs.archive import Run

SIZES = {"train": 24, "test": 10, "size": 32}


def small_world(root: Path, patch: pytest.MonkeyPatch, layers: int = 1) -> dict:
    """Arguments of ``run``: places with the data set "scenes-mini" and, in ``root``, a backbone of random weights."""
    patch.setitem(default_data.DRAWN, "scenes-mini", {"domain": "aerial", **SIZES})
    patch.setattr(open_clip, "get_tokenizer", functools.cache(open_clip.get_tokenizer))  # half of a run's seconds
    default_data.load_or_draw("scenes-mini", root / "data")
    write_folder(root / "clip", visual_layers=layers, text_layers=layers)
    return {"data_root": root / "data", "runs_root": root / "runs", "progress": False}


def small_run(world: dict, **fields) -> RunConfig:
    """A run in a small world, of three epochs of three steps."""
    backbone = world["data_root"].parent / "clip"
    return RunConfig(**{"dataset": "scenes-mini", "backbone": str(backbone), "epochs": 3, "batch_size": 8, **fields})


def elsewhere(world: dict, runs_root: Path) -> dict:
    """The same data and backbone with no run made yet."""
    return {**world, "runs_root": runs_root}


def results(run: Run) -> tuple:
    """What a run must find again when it is repeated."""
    history = [{key: value for key, value in entry.items() if key != "seconds"} for entry in run.metrics["history"]]
    found = ("scores", "intervals", "scene_scores", "scene_test", "validation_mr", "chosen_epoch", "selection_audit")
    return history, {name: run.metrics[name] for name in found}


def check_same(run: Run, other: Run) -> None:
    """Equal results, hits and weights, to the bit."""
    assert results(run) == results(other)
    assert (run.hits == other.hits).all()
    one, two = load_file(run.adapter), load_file(other.adapter)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@contextmanager
def killed_in_epoch(number: int) -> Iterator[None]:
    """Within this context a run must die before this epoch trains."""
    train_epoch = training.train_epoch

    def until_killed(state, train, epoch, *rest):
        if epoch == number:
            raise KeyboardInterrupt
        return train_epoch(state, train, epoch, *rest)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "train_epoch", until_killed)
        yield
