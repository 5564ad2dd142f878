"""Two finished runs on the smallest data and backbone: a method that folds and one that does not."""

import pytest
from small_worlds import small_world

from petl_core.config import RunConfig
from petl_core.runs import experiment

CONFIG = RunConfig(dataset="scenes-mini", backbone="mini", method="lora", epochs=3, batch_size=8, learning_rate=0.02)


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch)


@pytest.fixture(scope="package")
def lora(world):
    run = experiment.run(CONFIG, **world)
    assert run.metrics["chosen_epoch"] > 0, "what is exported must have been trained"
    return run


@pytest.fixture(scope="package")
def mrs(world):
    return experiment.run(CONFIG.replace(method="mrs", method_options={"share": 16}, epochs=1), **world)


@pytest.fixture
def data_root(world):
    return world["data_root"]
