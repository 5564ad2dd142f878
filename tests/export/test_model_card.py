"""The card of a model says what its run's metrics say, and nothing else."""

import copy
import re

import pytest
from petl_core.evaluation.names import METRICS, describe
from petl_core.export.model_card import model_card
from petl_core.runs.folder import Run


def with_metrics(run, **changes):
    return Run(run.folder, run.config, {**copy.deepcopy(run.metrics), **changes})


def row(card, name):
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_recall_stands_with_its_interval(lora):
    card = model_card(lora, "0123", carried=True)
    for metric, name in METRICS.items():
        cells = row(card, name)[1:]
        for kind, cell in zip(("strict", "equivalent"), cells, strict=True):
            low, high = lora.metrics["intervals"][kind][metric]
            assert cell == f"{lora.metrics['scores'][kind][metric]:.2f} [{low:.2f}, {high:.2f}]"


def test_figures_follow_the_metrics(lora):
    scores = {kind: {**found, "mr": 12.345} for kind, found in lora.metrics["scores"].items()}
    changed = with_metrics(lora, scores=scores, chosen_epoch=1, images={"train": 7_000, "validation": 8, "test": 9})
    card = model_card(changed, "0123", carried=False)
    assert row(card, "mR")[1].startswith("12.35 [") or row(card, "mR")[1].startswith("12.34 [")
    assert "epoch 1 of 3, by mR on the validation images" in card
    assert "7,000 images to train on, 8 to choose by, 9 to test on" in card


def test_it_names_data_backbone_method_seed_and_revision(lora, mrs):
    card = model_card(lora, "0123", carried=True)
    assert card.startswith("---\nlibrary_name: petl_core\n")
    assert f"# {describe(lora)}, on mini, for scenes-mini" in card
    assert "fingerprint 0123; it is in this folder, too" in card
    assert f"* Seed: {lora.config.seed}\n" in card
    assert lora.metrics["environment"]["revision"] in card and lora.config.hash in card
    assert '"share": 16' in model_card(mrs, "0123", carried=False)
    assert "in this folder, too" not in model_card(mrs, "0123", carried=False)


def test_no_place_on_disk_is_told(lora):
    config = lora.config.replace(dataset="/somewhere/rsicd", backbone="/somewhere/my-clip")
    card = model_card(Run(lora.folder, config, lora.metrics), "0123", carried=True)
    assert "on my-clip, for rsicd" in card and "/somewhere" not in card


@pytest.mark.parametrize(("weights", "warned"), [("w/RemoteCLIP-ViT-B-32.pt", True), ("openai", False)])
def test_training_data_of_the_backbone_are_told_where_they_touch_the_test(lora, weights, warned):
    config = lora.config.replace(backbone="ViT-B-32-quickgelu", pretrained=weights)
    card = model_card(Run(lora.folder, config, lora.metrics), "0123", carried=True)
    assert bool(re.search(r"\* Beware: RemoteCLIP was trained on RSICD", card)) is warned


def test_zero_shot_has_nothing_to_choose(lora):
    config = lora.config.zero_shot()
    card = model_card(Run(lora.folder, config, lora.metrics), "0123", carried=False)
    assert "* Chosen: nothing was trained" in card
