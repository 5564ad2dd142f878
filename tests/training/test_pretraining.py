"""Pre-training of the default backbones: repeatable, on any number of cores."""

import os

import drawn_scenes
import pytest
import torch
from petl_core.training.pretraining import PretrainConfig, is_done, pretrain

from petl_core import data
from petl_core.errors import ConfigError
from petl_core.training import pretraining

SHAPE = {"image_size": 32, "width": 64, "visual_layers": 1, "text_layers": 1, "epochs": 1}


@pytest.fixture(scope="module")
def natural(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    drawn_scenes.write(root, "natural", domain="natural", train=256, test=10, size=32, progress=False)
    return data.load("natural", root)


@pytest.fixture(scope="module")
def backbone(natural, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbones") / "first"
    pretrain(PretrainConfig("natural", **SHAPE), natural, folder)
    return folder


def weights(folder):
    return (folder / "open_clip_model.safetensors").read_bytes()


def test_pretraining_is_repeatable_and_refuses_another_recipe(natural, backbone, tmp_path):
    pretrain(PretrainConfig("natural", **SHAPE), natural, tmp_path / "again")
    assert weights(tmp_path / "again") == weights(backbone)
    with pytest.raises(ConfigError, match="another recipe"):
        is_done(backbone, PretrainConfig("natural"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ConfigError, match="another recipe"):
        patch.setattr(pretraining, "RECIPE", pretraining.RECIPE + 1)
        is_done(backbone, PretrainConfig("natural", **SHAPE))


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_weights_do_not_depend_on_the_number_of_cores(natural, backbone, tmp_path, monkeypatch, cores):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(cores)
        pretrain(PretrainConfig("natural", **SHAPE), natural, tmp_path / "other")
        assert torch.get_num_threads() == cores
    finally:
        torch.set_num_threads(before)
    assert weights(tmp_path / "other") == weights(backbone)


def test_shards_have_the_gradients_of_the_whole_batch(natural, tmp_path):
    """Cutting a batch changes the order of sums and nothing else."""
    losses = []
    for shards in (1, 4):
        report = pretrain(PretrainConfig("natural", **SHAPE, shards=shards), natural, tmp_path / str(shards))
        losses.append([epoch["loss"] for epoch in report["history"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
