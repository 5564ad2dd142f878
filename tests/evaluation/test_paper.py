"""Our runs as rows of the published tables, and what is said about their differences."""

import pandas as pd
import pytest
from fake_runs import fake_run

from petl_core.evaluation import comparison, paper, published

CLIP = {"dataset": "rsitmd", "backbone": "ViT-B-32-quickgelu", "pretrained": "openai"}
HMMC = {"w_image": 1.0, "w_text": 1.0}


@pytest.fixture
def runs(tmp_path):
    """Rows not in the order of the tables; MRS-Adapter has three: released, tuned with the same loss, with another."""
    rows = [
        {"method": "focus", "queue_size": 64, "scene_probability": 0.5},
        {"method": "focus"},
        {"method": "mrs"},
        {"method": "mrs", **HMMC, "contrast": "triplet", "batch_size": 64},
        paper.RELEASED.changed() | {"epochs": 30},
        {"method": "full"},
        {"method": "zero_shot", "epochs": 0},
    ]
    runs = [fake_run(tmp_path, 0.5, **CLIP, **row) for row in rows]
    for run in runs:
        run.metrics["parameters"]["backbone"] = published.BACKBONE_PARAMETERS
    return runs


def table(runs):
    groups = paper.paper_groups(runs)
    names = paper.row_names(groups)
    matched = published.matched(comparison.summary(groups), paper.printed_names(groups), groups[0].first.config.dataset)
    return published.readable_matched(matched, names), paper.conditions(groups[0].first, matched, names)


def test_rows_are_in_the_published_order_next_to_what_was_printed(runs):
    shown, _ = table(runs)
    assert shown[["Method", "Published mR"]].to_numpy().tolist() == [
        ["Zero-shot CLIP", "23.89"],
        ["Full fine-tuning (InfoNCE)", "45.33"],
        ["MRS-Adapter (InfoNCE) *", "44.47"],
        ["MRS-Adapter + HMMC (triplet)", "44.47"],
        ["MRS-Adapter + HMMC (triplet), as released", "44.47"],
        ["Focus-Adapter (InfoNCE) + queue 64 + scene labels 0.5", "48.70 ‡ ¶ ∥"],
        ["Focus-Adapter (InfoNCE)", "–"],
    ]
    assert shown.loc[6, ["Difference", "Seeds"]].tolist() == ["–", 1]


def test_seeds_share_a_row(runs, tmp_path):
    again = fake_run(tmp_path, 0.4, **CLIP, method="full", seed=3)
    shown, _ = table([*runs, again])
    assert shown["Seeds"].tolist() == [1, 2, 1, 1, 1, 1, 1]


def test_the_released_recipe_is_distinguished_from_a_run_that_shares_its_loss(runs):
    assert [paper.is_as_released(run.config) for run in runs] == [False] * 4 + [True] + [False] * 2
    released = paper.RELEASED.replace(seed=5, epochs=30, dataset="rsicd", backbone="ViT-B-32-quickgelu")
    assert paper.is_as_released(released)
    for other in (
        {"method_options": {"bottleneck": 256}},
        {"queue_size": 64},
        {"blank_captions": False},
        {"margin": 1.0},
    ):
        assert not paper.is_as_released(released.replace(**other))


@pytest.mark.parametrize(
    ("fields", "millions", "expected", "unexpected"),
    [
        ({}, 151.277313, "* trained with a loss other than", "ike for like"),
        ({"pretrained": "mine.pt"}, 151.277313, "Like for like only if our backbone is CLIP ViT-B/32", "No row"),
        ({"backbone": "ViT-L-14"}, 427.616513, "No row is like for like: our backbone has 427.6 M", "only if"),
        ({"dataset": "scenes"}, 7.788545, "Nothing is published for these rows on drawn scenes.", "*"),
    ],
)  # fmt: skip
def test_what_differs_is_said(tmp_path, fields, millions, expected, unexpected):
    run = fake_run(tmp_path, 0.5, **{**CLIP, **fields}, method="mrs")
    run.metrics["parameters"]["backbone"] = round(millions * 1e6)
    shown, said = table([run])
    assert expected in said and unexpected not in said
    assert shown["Method"].str.endswith("*").all() == ("*" in said)


def test_the_answer_counts_rows_by_where_the_published_figure_lies():
    frame = pd.DataFrame({"printed_mr": [10.0, 10.0, 10.0, None], "mr_low": [9.0, 11.0, 5.0, 0.0]})
    frame["printed"] = ["MRS-Adapter", "MRS-Adapter", "LoRA", ""]
    frame["mr_high"] = frame["mr_low"] + 2
    assert paper.answer(frame, "So.") == (
        "Of 3 rows of ours compared with 2 published results, the published mR is within our 95% interval in 1, "
        "below it in 1 and above it in 1. So."
    )
    assert paper.answer(frame[3:], "So.") == "So."
