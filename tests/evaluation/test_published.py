"""Published results are as printed, give their source, and are marked where they are not like for like."""

import pandas as pd
import pytest
from fake_runs import fake_comparison, fake_run
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_core.adapters import METHODS
from petl_core.evaluation import comparison, published
from petl_core.evaluation.grouping import first_runs, group_runs
from petl_core.evaluation.names import METRICS, full_names, method_and_loss
from petl_core.plots.latex import SYMBOLS


def row_of(dataset: str, method: str) -> pd.Series:
    return published.printed_figures(dataset).set_index("method").loc[method]


def test_exactly_the_three_known_rows_contradict_their_own_mean_recall():
    frame = published.printed_figures()
    marked = frame.loc[frame["contradicts_mr"], ["dataset", "method"]]
    assert sorted(map(tuple, marked.to_numpy())) == [
        ("rsicd", "AMFMN-soft"), ("rsitmd", "AdaptFormer"), ("ucm", "Cross-Modal Adapter"),
    ]  # fmt: skip


def test_every_row_has_possible_values_and_occurs_once():
    frame = published.printed_figures()
    assert len(frame) == 96 and not frame.duplicated(["dataset", "method"]).any()
    assert frame[list(METRICS)].stack().between(0, 100).all()
    for direction in ("i2t", "t2i"):
        assert (frame[f"{direction}_r1"] <= frame[f"{direction}_r5"]).all()
        assert (frame[f"{direction}_r5"] <= frame[f"{direction}_r10"]).all()


def test_every_row_gives_its_source_or_says_that_it_is_unknown():
    frame = published.printed_figures()
    assert frame["source"].notna().all()
    assert frame["url"].str.fullmatch(r"https://\S+|unknown").all()
    assert frame["first_hand"].isin(["yes", "no"]).all()
    assert frame["chosen_on"].isin(["validation", "test", "nothing", "unknown"]).all()
    assert frame["seeds"].dropna().ge(1).all()
    assert not ((frame["first_hand"] == "yes") & (frame["url"] == "unknown")).any()


@pytest.mark.parametrize("dataset", ["rsicd", "rsitmd", "ucm"])
def test_each_data_set_has_the_thirteen_clip_based_methods(dataset):
    frame = published.printed_figures(dataset)
    printed = frame[(frame["source"] == "PE-RSITR") & (frame["group"] != "traditional")]
    assert len(printed) == 14  # Single Language, and thirteen that PE-RSITR ran
    assert set(published.PRINTED_NAMES.values()) == set(printed["method"]) - {"Single Language"}
    assert published.PRINTED_NAMES.keys() <= METHODS.keys()


@pytest.mark.parametrize(
    ("method", "marks"),
    [
        ("MRS-Adapter + HMMC", set()),
        ("AdaptFormer", {"contradicts_mr"}),
        ("CMER", {"other_backbone", "other_pretraining", "second_hand"}),
        ("RemoteCLIP B/32", {"other_pretraining"}),
        ("GeoRSCLIP-FT", {"other_pretraining"}),
        ("HarMA", {"chosen_on_test", "other_pretraining", "second_hand"}),
        ("GaLR with MR", {"other_backbone", "other_pretraining"}),
    ],
)
def test_rows_that_are_not_like_for_like_are_marked(method, marks):
    row = row_of("rsitmd", method)
    assert {column for column in published.MARKS if row[column]} == marks


def test_figures_are_printed_with_their_marks_and_a_short_source():
    rows = published.printed_figures("rsitmd", published.CLIP_BASED)
    table = published.readable_figures(rows).set_index("Method")
    assert table.loc[["AdaptFormer", "UniAdapter", "HarMA"], "mR"].tolist() == ["34.81 †", "39.23", "46.53 § ¶ ∥"]
    assert table.loc[["UniAdapter", "GeoRSCLIP-FT"], "Source"].tolist() == ["PE-RSITR, Table II", "RS5M README"]


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({column: st.booleans() for column in published.MARKS}), min_size=1, max_size=5))
def test_a_row_shows_its_marks_and_the_legend_explains_exactly_those_shown(flags):
    rows = published.printed_figures("ucm").head(len(flags)).assign(**pd.DataFrame(flags))
    shown = published.readable_figures(rows)["mR"].str.split().str[1:].tolist()
    assert shown == [[published.MARKS[column][0] for column in published.MARKS if row[column]] for row in flags]
    legend = published.legend(rows)
    for mark, meaning in published.MARKS.values():
        assert (f"{mark} {meaning}" in legend) == any(mark in marks for marks in shown)
    assert not legend or (legend.startswith(" ") and legend.endswith("."))


def test_every_mark_can_be_typeset():
    assert {mark for mark, _ in published.MARKS.values()} <= SYMBOLS.keys()


def test_published_results_are_next_to_ours_where_both_have_the_method(tmp_path):
    runs = [*fake_comparison(tmp_path), fake_run(tmp_path, 0.4, method="focus")]
    groups = group_runs(runs, method_and_loss)
    summary, names = comparison.summary(groups), full_names(first_runs(groups))
    printed = {group.key: published.PRINTED_NAMES.get(group.first.config.method, "") for group in groups}
    table = published.readable_matched(published.matched(summary, printed, "rsicd"), names).set_index("Method")
    assert table["Published mR"].to_dict() == {
        "Zero-shot CLIP": "15.04",
        "Full fine-tuning (InfoNCE)": "30.39",
        "MRS-Adapter (InfoNCE)": "31.12",
        "Focus-Adapter (InfoNCE)": "–",
    }
    ours = summary.set_index(summary["key"].map(names)).loc["MRS-Adapter (InfoNCE)"]
    compared = table.loc["MRS-Adapter (InfoNCE)"]
    assert compared["Our mR"] == f"{ours['mr']:.2f} [{ours['mr_low']:.2f}, {ours['mr_high']:.2f}]"
    assert compared[["Difference", "Seeds"]].tolist() == [comparison.signed(ours["mr"] - 31.12), 3]
    elsewhere = published.readable_matched(published.matched(summary, printed, "scenes"), names)
    assert (elsewhere[["Published mR", "Difference"]] == "–").all(axis=None)
    assert elsewhere["Our mR"].tolist() == table["Our mR"].tolist()


def test_a_published_result_next_to_ours_keeps_its_mark():
    key = ("adaptformer", ("cross",))
    summary = pd.DataFrame({"key": [key], "mr": [30.0], "mr_low": [29.0], "mr_high": [31.0], "seeds": [5]})
    marked, unmarked = (published.matched(summary, {key: "AdaptFormer"}, name) for name in ("rsitmd", "rsicd"))
    table = published.readable_matched(marked, {key: "AdaptFormer"})
    assert table.to_numpy().tolist() == [["AdaptFormer", "34.81 †", "30.00 [29.00, 31.00]", "−4.81", 5]]
    assert published.legend(marked) == " † contradicts its own recalls."
    assert published.legend(unmarked) == ""
