"""A runs root with three finished runs, which a process that knows nothing of tests can open."""

from pathlib import Path

import pytest
from small_worlds import small_world

from petl_core.config import RunConfig
from petl_core.runs import experiment
from petl_core.training import default_backbones

IMAGES = 10  # of the test split: see small_worlds.SIZES


def write_runs(root: Path) -> dict[str, str]:
    """Train a head and a Focus-Adapter, and test zero-shot. Returns ``data_root`` and ``runs_root``."""
    with pytest.MonkeyPatch.context() as patch:
        world = small_world(root, patch, layers=2)
        places = {name: world[name] for name in ("runs_root", "data_root")}
        # By its folder, since the name of a backbone means something only where it is patched in.
        backbone = default_backbones.find_or_pretrain("mini", **places)
        asked = {"dataset": "scenes-mini", "backbone": backbone, "learning_rate": 0.03}  # so that ranks change
        for config in (
            RunConfig(method="focus", epochs=1, method_options={"taps": 2}, seed=5, **asked),
            RunConfig(method="linear_probe", epochs=1, **asked),
            RunConfig(method="linear_probe", epochs=1, **asked).zero_shot(),
        ):
            experiment.run(config, **world)
    return {name: str(place) for name, place in places.items()}
