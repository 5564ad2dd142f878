"""A runs root with three finished runs, which a process that knows nothing of tests can open."""

from pathlib import Path

import pytest
from small_worlds import small_run, small_world

from petl_core.runs.run import run

IMAGES = 10  # of the test split: see small_worlds.SIZES


def write_runs(root: Path) -> dict[str, str]:
    """Train a head and a Focus-Adapter, and test zero-shot. Returns ``data_root`` and ``runs_root``."""
    with pytest.MonkeyPatch.context() as patch:
        world = small_world(root, patch, layers=2)
        probe = small_run(world, method="linear_probe", epochs=1, learning_rate=0.03)  # so that ranks change
        focus = probe.replace(method="focus", method_options={"taps": 2}, seed=5)
        for config in (focus, probe, probe.zero_shot()):
            run(config, **world)
    return {name: str(world[name]) for name in ("runs_root", "data_root")}
