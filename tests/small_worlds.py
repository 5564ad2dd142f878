"""A data root and a runs root that hold the smallest data set and backbone that train; and what tests do there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from petl_core.runs.folder import Run
from petl_core.training.pretraining import PretrainConfig

from petl_core.data import default_data
from petl_core.training import default_backbones, epoch

SIZES = {"train": 24, "test": 10, "size": 32}


def small_world(root: Path, patch: pytest.MonkeyPatch, layers: int = 1) -> dict:
    """Arguments of ``experiment.run``; its data sets are "scenes-mini" and "natural-mini", its backbone is "mini".

    All are made at once, so that no test depends on which ran before it in its process.
    """
    patch.setitem(default_data.DRAWN, "scenes-mini", {"domain": "aerial", **SIZES})
    patch.setitem(default_data.DRAWN, "natural-mini", {"domain": "natural", **SIZES})
    shape = {"image_size": 32, "width": 64, "visual_layers": layers, "text_layers": layers}
    patch.setitem(default_backbones.BACKBONES, "mini", PretrainConfig("natural-mini", epochs=1, **shape))
    default_data.load_or_draw("scenes-mini", root / "data")
    default_backbones.find_or_pretrain("mini", root / "runs", root / "data")
    return {"data_root": root / "data", "runs_root": root / "runs", "progress": False}


def elsewhere(world: dict, runs_root: Path) -> dict:
    """The same data and backbone with no run made yet."""
    shutil.copytree(world["runs_root"] / "backbones", runs_root / "backbones")
    return {**world, "runs_root": runs_root}


def results(run: Run) -> tuple:
    """What a run must find again when it is repeated."""
    history = [{k: v for k, v in entry.items() if not k.endswith("seconds")} for entry in run.metrics["history"]]
    return run.metrics["scores"], run.metrics["intervals"], run.metrics["chosen_epoch"], history


@contextmanager
def killed_in_epoch(number: int) -> Iterator[None]:
    """Within this context a run must die before this epoch trains."""
    original = epoch.train_epoch

    def until_killed(state, train):
        if state.epoch == number:
            raise KeyboardInterrupt
        return original(state, train)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(epoch, "train_epoch", until_killed)
        yield
