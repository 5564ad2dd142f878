"""A run's tests with labelled queries are tests of their own."""

import numpy as np
import pytest
from fake_runs import IMAGES, fake_run

from petl_core import retrieval
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.evaluation.ablation import Ablation
from petl_core.evaluation.labelled_queries import LabelledTest, labelled_tests
from petl_core.runs import experiment
from petl_core.training import default_backbones
from petl_core.training.pretraining import PretrainConfig

MODES = ("predicted", "oracle")


def test_labelled_queries_are_rows_of_their_own(tmp_path):
    plain = fake_run(tmp_path, 0.3)
    trained = fake_run(tmp_path, 0.3, scene_probability=0.5)
    hits = np.tile([1.0] * 3 + [2.0] * 4, (IMAGES, 1))  # of two captions an image, all found
    for mode in MODES:
        np.save(trained.folder / f"test_hits_{mode}.npy", hits)
        trained.metrics["scene_scores"][mode] = {}
    ablation = Ablation([plain, trained, *labelled_tests(trained)], ["scene_probability", "queries"])
    assert ablation.table["queries"].tolist() == ["none", "none", "predicted", "oracle"]
    assert list(ablation.names.values()) == [
        "scene probability 0 · no label",
        "scene probability 0.5 · no label",
        "scene probability 0.5 · predicted label",
        "scene probability 0.5 · oracle label (LEAK)",
    ]
    assert ablation.table["mr"].tolist()[2:] == [100, 100]


def test_labelled_tests_repeat_what_the_run_measured(tmp_path, monkeypatch):
    sizes = {"train": 24, "test": 10, "size": 32}
    monkeypatch.setitem(default_data.DRAWN, "scenes-mini", {"domain": "aerial", **sizes})
    monkeypatch.setitem(default_data.DRAWN, "natural-mini", {"domain": "natural", **sizes})
    recipe = PretrainConfig("natural-mini", image_size=32, width=64, visual_layers=1, text_layers=1, epochs=1)
    monkeypatch.setitem(default_backbones.BACKBONES, "mini", recipe)
    config = RunConfig("scenes-mini", "mini", method="focus", batch_size=8, scene_probability=0.5, train_images=12)
    places = {"data_root": tmp_path / "data", "runs_root": tmp_path / "runs", "device": "cpu", "progress": False}
    run = experiment.run(config, **places)
    tests = labelled_tests(run)
    assert [test.mode for test in tests] == list(MODES)
    for test in tests:
        assert isinstance(test, LabelledTest)
        stored = run.metrics["scene_scores"][test.mode]["strict"]["mr"]
        assert retrieval.metrics(test.test_hits)["mr"] == pytest.approx(stored)
    plain = experiment.run(config.replace(scene_probability=0.0), **places)
    assert labelled_tests(plain) == []
