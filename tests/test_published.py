"""Published results are as printed, give their source, and are marked where they are not like for like."""

import numpy as np
import pytest
from fake_runs import fake_run

from petl_core import published, tables
from petl_core.adapters import METHODS

OURS = {"dataset": "rsicd", "backbone": "ViT-B-32-quickgelu", "pretrained": "openai"}
HMMC = {"contrast": "triplet", "w_image": 1.0, "w_text": 1.0}


def test_exactly_the_three_known_rows_contradict_their_own_mean_recall():
    frame = published.rows()
    marked = frame.loc[frame["contradicts_mr"], ["dataset", "row"]]
    assert sorted(map(tuple, marked.to_numpy())) == [
        ("rsicd", "AMFMN-soft"), ("rsitmd", "AdaptFormer"), ("ucm", "Cross-Modal Adapter"),
    ]  # fmt: skip


def test_every_row_has_possible_values_occurs_once_and_gives_its_source():
    frame = published.rows()
    assert len(frame) == 96 and not frame.duplicated(["dataset", "row"]).any()
    assert frame[list(tables.METRICS)].stack().between(0, 100).all()
    for direction in ("i2t", "t2i"):
        recalls = frame[[f"{direction}_r{k}" for k in (1, 5, 10)]].to_numpy()
        assert (np.diff(recalls, axis=1) >= 0).all()
    assert frame["source"].notna().all() and frame["url"].str.fullmatch(r"https://\S+|unknown").all()
    assert frame["first_hand"].isin(["yes", "no"]).all()
    assert frame["chosen_on"].isin(["validation", "test", "nothing", "unknown"]).all()
    assert not ((frame["first_hand"] == "yes") & (frame["url"] == "unknown")).any()


@pytest.mark.parametrize("dataset", ["rsicd", "rsitmd", "ucm"])
def test_each_data_set_has_the_thirteen_clip_based_methods(dataset):
    frame = published.rows(dataset)
    printed = frame[(frame["source"] == "PE-RSITR") & (frame["group"] != "traditional")]
    assert len(printed) == 14  # Single Language, and thirteen that PE-RSITR ran
    assert set(published.PRINTED_NAMES.values()) == set(printed["row"]) - {"Single Language"}
    assert published.PRINTED_NAMES.keys() <= METHODS.keys()


@pytest.mark.parametrize(
    ("method", "marks"),
    [
        ("MRS-Adapter + HMMC", ""),
        ("AdaptFormer", "†"),
        ("CMER", "‡¶∥"),
        ("RemoteCLIP B/32", "¶"),
        ("HarMA", "§¶∥"),
        ("GaLR with MR", "‡¶"),
    ],
)
def test_rows_that_are_not_like_for_like_are_marked(method, marks):
    row = published.rows("rsitmd").set_index("row").loc[method]
    assert row["marks"] == marks
    assert sum(row[column] for column in published.MARKS) == len(marks)


def test_the_legend_explains_the_marks_that_occur():
    clip_based = published.rows("rsitmd", published.CLIP_BASED)
    assert set(clip_based["group"]) == set(published.CLIP_BASED)
    legend = published.legend(clip_based["marks"])
    assert legend.startswith("† contradicts its own recalls; ") and "¶ pre-training unknown" in legend
    assert published.legend(clip_based["marks"].iloc[:0]) == ""


def test_ours_stand_beside_the_rows_that_they_reproduce():
    runs = [
        fake_run(0.3, method="mrs", **OURS, **HMMC),
        fake_run(0.3, method="mrs", **OURS),
        fake_run(0.3, method="full", **OURS),
        fake_run(0.3, method="focus", **OURS, queue_size=64),
    ]
    frame = tables.frame(runs)
    found = published.matched(frame.assign(row=frame["name"]))
    assert found["printed_mr"].tolist()[:3] == [31.12, 31.12, 30.39] and np.isnan(found["printed_mr"][3])
    assert found["like_for_like"].tolist() == [True, False, True, False]
    assert found["apart"][0] == pytest.approx(found["mr"][0] - 31.12)
    inside = (found["mr_low"] <= found["printed_mr"]) & (found["printed_mr"] <= found["mr_high"])
    assert found["inside"].tolist() == [*inside[:3], None]

    named = published.matched(frame.assign(row=frame["name"], printed=[*[""] * 3, "CMER"]))
    assert named["printed_mr"].tolist()[3] == 32.61 and not named["like_for_like"][3]


def test_another_backbone_is_never_like_for_like():
    frame = tables.frame([fake_run(0.3, method="full", dataset="rsicd")])
    assert not published.matched(frame.assign(row=frame["name"]))["like_for_like"].any()


def test_the_released_recipe_is_recognised():
    ours = published.RELEASED.replace(**OURS, epochs=30, seed=5, temperature=0.01)
    assert published.is_as_released(ours)
    for changed in ({"w_text": 0.0}, {"contrast": "infonce"}, {"select": "last"}, {"blank_captions": False}):
        assert not published.is_as_released(ours.replace(**changed))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("weights/RemoteCLIP-ViT-B-32.pt", "RemoteCLIP was trained on RSICD"),
        ("RS5M_ViT-B-32_RET-2.pt", "fine-tuned"),
        ("RS5M_ViT-B-32.pt", "holds no part"),
    ],
)
def test_a_backbone_that_may_have_seen_the_test_sets_is_named(weights, words):
    assert words in published.training_data_warning(weights)
    assert published.training_data_warning("openai") == ""
