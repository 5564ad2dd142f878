"""Names are made of a run's values, and say no more than is needed."""

import pytest
from fake_runs import fake_comparison, fake_run
from petl_core.runs.folder import Failure

from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.evaluation import names
from petl_core.training import default_backbones


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"method": "zero_shot", "epochs": 0}, "Zero-shot CLIP"),
        ({}, "MRS-Adapter (InfoNCE)"),
        ({"w_image": 1.0, "w_text": 1.0}, "MRS-Adapter + HMMC (InfoNCE)"),
        ({"contrast": "triplet", "w_text": 1.0}, "MRS-Adapter + image–text and text–text (triplet)"),
        ({"queue_size": 64, "scene_probability": 0.5}, "MRS-Adapter (InfoNCE) + queue 64 + scene labels 0.5"),
        (
            {"scene_weight": 0.3, "scene_balance": True},
            "MRS-Adapter (InfoNCE) + scene cross-entropy 0.3 + balanced scenes",
        ),
    ],
)
def test_a_run_is_described_by_method_loss_queue_and_labels(tmp_path, fields, name):
    assert names.describe(fake_run(tmp_path, 0.5, **fields)) == name


def test_a_failure_is_described_by_what_its_folder_says():
    assert names.describe(Failure("0123", RunConfig(method="lora"), "", "LoRA")) == "LoRA (InfoNCE)"
    assert names.describe(Failure("0123", RunConfig(method="lora", epochs=0), "")) == "lora"
    assert names.describe(Failure("0123", None, "never ran")) == "0123"


def test_short_names_keep_what_distinguishes_runs(tmp_path):
    runs = {run.config.hash: run for run in fake_comparison(tmp_path)[:2]}
    triplet = fake_run(tmp_path, 0.5, method="full", contrast="triplet")
    assert list(names.short_names(runs).values()) == ["Zero-shot CLIP", "Full fine-tuning"]
    assert list(names.short_names({**runs, "third": triplet}).values()) == [
        "Zero-shot CLIP",
        "Full fine-tuning (InfoNCE)",
        "Full fine-tuning (triplet)",
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "a few drawn scenes; CLIP of 7.8 M parameters pre-trained on a few drawn ground-level scenes"),
        (
            {"dataset": "scenes", "backbone": "embedded"},
            "drawn scenes; CLIP of 7.8 M parameters pre-trained on drawn ground-level scenes",
        ),
        (
            {"dataset": "rsicd", "backbone": "embedded"},
            "RSICD (NOT its published split: 150 test images); "
            "CLIP of 7.8 M parameters pre-trained on drawn ground-level scenes",
        ),
        (
            {"dataset": "ucm", "backbone": "ViT-B-32-quickgelu", "pretrained": "openai"},
            "UCM (NOT its published split: 150 test images); ViT-B-32-quickgelu (openai weights)",
        ),
        ({"dataset": "/some/where/mine.json", "backbone": "/some/where/clip"}, "mine; clip"),
    ],
)
def test_a_setting_is_put_into_words(tmp_path, fields, words):
    assert names.setting(fake_run(tmp_path, 0.5, **fields)) == words


def test_every_default_data_set_and_backbone_has_words():
    assert names.DATASETS.keys() >= default_data.DRAWN.keys()
    assert names.BACKBONES.keys() == default_backbones.BACKBONES.keys()
