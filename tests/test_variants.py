"""The variants of ``benchmarks/variants.py`` train, and are what they say."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from small_worlds import small_world

from petl_core.adapters import focus
from petl_core.config import RunConfig
from petl_core.files import ROOT
from petl_core.recycling import Pairs
from petl_core.runs import experiment

CONFIG = RunConfig(dataset="scenes-mini", backbone="mini", epochs=2, batch_size=8, method="focus", cache_features=True)
QUEUED = CONFIG.replace(queue_size=64)


@pytest.fixture(scope="module")
def variants():
    spec = importlib.util.spec_from_file_location("variants", Path(ROOT) / "benchmarks" / "variants.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch)


@pytest.mark.parametrize("name", ["stale", "centred", "joint", "sigmoid", "depthwise", "nearest"])
def test_a_variant_trains_otherwise_than_what_it_replaces(name, variants, world, tmp_path):
    config = QUEUED if variants.VARIANTS[name].replaces == "Queue" else CONFIG
    ours = experiment.run(config, **world).metrics["history"][-1]["loss"]["total"]
    elsewhere = {**world, "runs_root": tmp_path}
    for shared in ("backbones", "cache"):
        (tmp_path / shared).symlink_to(Path(world["runs_root"]) / shared)
    with variants.patched(name):
        theirs = experiment.run(config, **elsewhere).metrics["history"][-1]["loss"]["total"]
    assert theirs != pytest.approx(ours, rel=1e-5)


def test_a_stale_positive_is_the_newest_key_of_the_same_image(variants):
    queue = variants.StalePositives(4, 2)
    old, new = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    ids = torch.tensor([7])
    for vector, captions in ((old, 1), (new, 2)):
        queue.enqueue(Pairs(vector, vector, ids, torch.tensor([captions])))
    batch = Pairs(old, old, ids, torch.tensor([3]))
    positives = []
    queue.loss(batch, batch, lambda positive, negatives, exclude: positives.append(positive) or positive.sum())
    assert positives[0].tolist() == [0.0, 0.0]  # old against new


def test_a_gate_weighs_patches_alone_and_may_let_all_pass_alike(variants):
    layer = variants.DepthwiseGated(4, "focus")
    at_query = torch.zeros(2, 10)
    at_query[:, 0] = 1
    _, w = layer(torch.randn(2, 10, 4), at_query, at_query == 0)
    assert (w[:, 0] == 1).all()
    assert w[:, 1:].detach().numpy() == pytest.approx(torch.tensor(variants.GATE_START).sigmoid().item())
    assert isinstance(layer, focus.FocusLayer)


def test_a_variant_that_is_none_is_named(variants, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["variants.py", "stale", "sigmoidal"])
    with pytest.raises(SystemExit):
        variants.main()
    assert "no variant sigmoidal; known: stale, centred" in capsys.readouterr().err
