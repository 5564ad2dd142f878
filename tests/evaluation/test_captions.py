"""Captions say what results are based on, and what is missing."""

from fake_runs import fake_comparison, fake_run
from petl_core.runs.folder import Failure

from petl_core.config import RunConfig
from petl_core.evaluation import captions

FAILED = [
    Failure("0123", RunConfig(method="lora", seed=7), "FloatingPointError: the loss\nis not finite", "LoRA"),
    Failure("4567", None, "never ran"),
]


def test_captions_name_what_results_are_based_on(tmp_path):
    caption = captions.conditions(fake_comparison(tmp_path))
    assert "150 test images" in caption and "seeds 2 to 4; 95% intervals over seeds and test images;" in caption
    assert caption.endswith(
        "On a few drawn scenes; CLIP of 7.8 M parameters pre-trained on a few drawn ground-level scenes."
    )


def test_data_and_backbone_are_named_in_words(tmp_path):
    run = fake_run(tmp_path, 0.5, dataset="scenes", backbone="embedded")
    assert captions.on(run) == ("On drawn scenes; CLIP of 7.8 M parameters pre-trained on drawn ground-level scenes.")
    run = fake_run(tmp_path, 0.5, dataset="rsicd", backbone="ViT-B-32-quickgelu", pretrained="openai")
    assert captions.on(run) == (
        "On RSICD (NOT its published split: 150 test images); ViT-B-32-quickgelu (openai weights)."
    )
    run.metrics["images"]["test"] = 1_093
    assert captions.on(run) == "On RSICD; ViT-B-32-quickgelu (openai weights)."


def test_captions_warn_of_a_backbone_that_was_trained_on_such_data(tmp_path):
    runs = [fake_run(tmp_path, 0.5, seed=s, backbone="ViT-B-32", pretrained="w/RemoteCLIP.pt") for s in (2, 3)]
    assert captions.conditions(runs).count("RemoteCLIP was trained on RSICD, RSITMD and UCM") == 1
    assert " was trained on" not in captions.conditions(fake_comparison(tmp_path))


def test_failed_runs_have_their_row_with_their_reason():
    table = captions.failed_runs(FAILED)
    assert table["Reason"].tolist() == ["FloatingPointError: the loss is not finite", "never ran"]
    assert table["Configuration"].tolist() == ["LoRA (InfoNCE), seed 7", "unknown"]


def test_failed_runs_have_their_sentence():
    sentence = captions.failed_sentence(FAILED)
    assert "LoRA" in sentence and "never ran" in sentence
    assert captions.failed_sentence([]) == ""
    assert captions.failed_sentence(FAILED * 3).endswith("; 1 more.")
