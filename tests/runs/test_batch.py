"""Many runs side by side: each as if it were alone, and none stopped by another."""

import shutil

import dying_runs
import numpy as np
import pytest
import torch
from petl_core.runs.folder import Failure, Run
from safetensors.torch import load_file

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import ROOT
from petl_core.runs import batch, experiment

SHORT = RunConfig(epochs=1, train_images=32, w_image=0.0, w_text=0.0)


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    """With the backbone already made."""
    location = batch.RunLocation(ROOT / "data", tmp_path_factory.mktemp("runs"))
    experiment.run(SHORT.zero_shot(), location.data_root, location.runs_root, progress=False)
    return location


def test_runs_side_by_side_are_those_trained_one_by_one(location, tmp_path):
    configs = [SHORT, SHORT.replace(method="lora"), SHORT.replace(seed=3)]
    ended = list(batch.train_all([SHORT.zero_shot(), *configs], location, workers=2))
    assert {run.config.hash for run in ended} == {config.hash for config in [SHORT.zero_shot(), *configs]}
    shutil.copytree(location.runs_root / "backbones", tmp_path / "backbones")
    together = {run.config.hash: run for run in ended}
    threads = together[SHORT.hash].metrics["environment"]["threads"]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for config in configs:
            alone = experiment.run(config, location.data_root, tmp_path, progress=False)
            one, other = (load_file(run.folder / "adapter.safetensors") for run in (alone, together[config.hash]))
            assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
            assert alone.metrics["scores"] == together[config.hash].metrics["scores"]
            assert np.array_equal(alone.test_hits, together[config.hash].test_hits)
    finally:
        torch.set_num_threads(before)


def test_a_run_that_dies_once_resumes_and_one_that_dies_twice_is_reported(location, monkeypatch):
    monkeypatch.setattr(batch, "_run", dying_runs.run)
    configs = [SHORT.replace(method=method, seed=5) for method in ("bitfit", "lora", "mrs")]
    diverging = SHORT.replace(method="full", learning_rate=1e30, batch_size=8)
    ended = list(batch.train_all([*configs, diverging], location, workers=2))
    finished = {run.config.method for run in ended if isinstance(run, Run)}
    reasons = {failure.title: failure.reason for failure in ended if isinstance(failure, Failure)}
    assert finished == {"lora", "mrs"}
    assert (location.runs_root / "lora.died").exists()
    assert "stopped before its end" in reasons["BitFit"]
    assert "FloatingPointError" in reasons["Full fine-tuning"]


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_below_one_is_refused(workers, tmp_path):
    with pytest.raises(ConfigError, match=f"^workers = {workers} must be at least 1$"):
        list(batch.train_all([SHORT], batch.RunLocation(runs_root=tmp_path), workers=workers))
    assert not list(tmp_path.iterdir())
