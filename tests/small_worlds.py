"""A data root and a runs root that hold the smallest data set and backbone that train."""

from pathlib import Path

import pytest

from petl_core.data import default_data
from petl_core.training import default_backbones
from petl_core.training.pretraining import PretrainConfig

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
