"""Many runs side by side: each as if it were alone, and none stopped by another."""

import dying_runs
import numpy as np
import pytest
import torch
from small_worlds import check_same, elsewhere, small_run, small_world

from petl_core.errors import ConfigError
from petl_core.runs import batch
from petl_core.runs.archive import Failure, Run
from petl_core.runs.run import run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # two runs at a time, of one thread each


def train_all(configs, world):
    return list(batch.train_all(configs, world["data_root"], world["runs_root"], "cpu", workers=2))


def test_runs_side_by_side_are_those_trained_one_by_one(world, tmp_path):
    short = small_run(world, epochs=1)
    configs = [short.zero_shot(), short, short.replace(method="focus", cache_features=True), short.replace(seed=3)]
    together = {one.hash: one for one in train_all(configs, world)}
    assert together.keys() == {config.hash for config in configs}
    assert together[short.hash].metrics["environment"]["threads"] == 1 == torch.get_num_threads()
    for config in configs[1:]:
        alone = run(config, device="cpu", **elsewhere(world, tmp_path))
        check_same(together[config.hash], alone)
        assert np.array_equal(alone.hits, together[config.hash].hits)


def test_a_run_that_dies_once_resumes_and_one_that_dies_twice_is_reported(world, monkeypatch):
    monkeypatch.setattr(batch, "_run", dying_runs.run)
    short = small_run(world, epochs=1, seed=5)
    diverging = short.replace(method="full", learning_rate=1e30, batch_size=4)
    ended = train_all([*(short.replace(method=method) for method in ("bitfit", "lora", "mrs")), diverging], world)
    assert {one.config.method for one in ended if isinstance(one, Run)} == {"lora", "mrs"}
    assert (world["runs_root"] / "lora.died").exists()
    reasons = {failure.config.method: failure.reason for failure in ended if isinstance(failure, Failure)}
    assert reasons.keys() == {"bitfit", "full"}
    assert "stopped before its end" in reasons["bitfit"] and "FloatingPointError" in reasons["full"]


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_below_one_is_refused(workers, tmp_path):
    with pytest.raises(ConfigError, match=f"^workers = {workers} must be at least 1$"):
        list(batch.train_all([], runs_root=tmp_path, workers=workers))


@pytest.mark.parametrize(("allowed", "cores"), [("3", 3), ("", None), ("0", None), ("many", None)])
def test_a_batch_takes_the_cores_that_it_is_allowed(monkeypatch, allowed, cores):
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    monkeypatch.setattr(batch.os, "sched_getaffinity", lambda _: range(7), raising=False)
    assert batch.cores() == (cores or 7)
