"""Means, differences and sentences say what the runs support, and no more."""

import numpy as np
import pytest
from fake_runs import fake_comparison, fake_run
from petl_core.runs.folder import Failure

from petl_core.config import RunConfig
from petl_core.evaluation import comparison
from petl_core.evaluation.grouping import first_runs, group_runs
from petl_core.evaluation.names import full_names, method_and_loss, short_names


@pytest.fixture
def groups(tmp_path):
    return group_runs(fake_comparison(tmp_path), method_and_loss)


def test_summary_is_the_mean_over_seeds_within_its_interval(groups):
    summary = comparison.summary(groups)
    assert summary["key"].tolist() == [group.key for group in groups]
    for group, row in zip(groups, summary.to_dict("records"), strict=True):
        expected = np.mean([run.metrics["scores"]["strict"]["mr"] for run in group.runs])
        assert row["mr"] == pytest.approx(expected)
        assert row["mr_low"] < expected < row["mr_high"]


def test_differences_are_numbers_that_say_what_is_significant(groups):
    zero_shot, full, mrs = (group.key for group in groups)
    frame = comparison.differences(groups, groups[1:])
    assert list(zip(frame["key"], frame["reference"], strict=True)) == [
        (zero_shot, full),
        (mrs, full),
        (zero_shot, mrs),
    ]
    assert frame["seeds"].tolist() == [3, 3, 3]
    worse, same, _ = frame.to_dict("records")
    assert worse["significant"] is True and worse["equivalent"] is False
    assert worse["high"] < 0 and worse["p"] < worse["p_holm"] < 0.05
    assert same["difference"] == pytest.approx(0)  # the same hits, seed by seed
    assert same["low"] <= 0 <= same["high"]
    assert same["significant"] is False and same["equivalent"] is True and same["p_holm"] == 1
    assert comparison.verdicts(frame).startswith("2 of 3 differences significant (5% level, adjusted by Holm; the")


def test_pairs_that_are_judged_elsewhere_are_left_out_whichever_way_round(groups):
    zero_shot, full, mrs = groups
    frame = comparison.differences(groups, [full, mrs], without=[(mrs, full)])
    assert list(zip(frame["key"], frame["reference"], strict=True)) == [
        (zero_shot.key, full.key),
        (zero_shot.key, mrs.key),
    ]


def test_differences_are_printed_with_signs_and_words(groups):
    names = full_names(first_runs(groups))
    table = comparison.readable_differences(comparison.differences(groups, groups[1:]), names)
    assert list(table) == [
        "Method", "Compared with", "Seeds", "mR difference", "95% interval", "p", "p (Holm)", "Significant",
        "Equivalent (±1)",
    ]  # fmt: skip
    worse, same = table.iloc[0], table.iloc[1]
    assert [worse["Significant"], worse["Equivalent (±1)"]] == ["yes", "no"]
    assert [same["Significant"], same["Equivalent (±1)"], same["p"], same["p (Holm)"]] == [
        "no",
        "yes",
        "1.000",
        "1.000",
    ]
    assert worse["mR difference"].startswith("−") and worse["95% interval"].startswith("[−")
    assert same["mR difference"] in ("+0.00", "−0.00")
    assert worse[["Method", "Compared with"]].tolist() == ["Zero-shot CLIP", "Full fine-tuning (InfoNCE)"]


def test_small_p_values_are_printed_as_such(groups):
    frame = comparison.differences(groups, groups[1:2]).assign(p=[0.0009, 0.0314], p_holm=[0.001, 0.0628])
    table = comparison.readable_differences(frame, full_names(first_runs(groups)))
    assert table["p"].tolist() == ["<0.001", "0.031"] and table["p (Holm)"].tolist() == ["0.001", "0.063"]


def test_one_seed_gives_an_interval_and_no_verdict(tmp_path):
    runs = [fake_run(tmp_path, rate, method=method) for method, rate in (("full", 0.9), ("mrs", 0.2))]
    runs += [fake_run(tmp_path, 0.5, method="focus", seed=seed) for seed in (2, 3)]
    groups = group_runs(runs, method_and_loss)
    frame = comparison.differences(groups, groups[:1])
    assert frame["seeds"].tolist() == [1, 1] and (frame["high"] < 0).all()
    assert frame[["p", "p_holm", "detectable"]].isna().all(axis=None)
    assert frame[["significant", "equivalent"]].isna().all(axis=None)
    names = short_names(first_runs(groups))
    table = comparison.readable_differences(frame, names)
    assert table["Significant"].tolist() == table["Equivalent (±1)"].tolist() == ["one seed"] * 2
    assert table["p"].tolist() == ["–"] * 2 and table["95% interval"].str.startswith("[−").all()
    assert comparison.verdicts(frame) == "No verdict on 2 pairs with one seed in common."


def test_the_sentence_on_detectable_differences_gives_the_median(groups):
    frame = comparison.differences(groups, groups[1:]).assign(detectable=[1.0, 2.04, 30.0])
    assert comparison.verdicts(frame).endswith("2.0 points would be found with 80% power (median pair).")


def test_methods_without_a_common_seed_are_named_and_not_compared(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method="full", seed=1), fake_run(tmp_path, 0.5, method="mrs", seed=2)]
    groups = group_runs(runs, method_and_loss)
    names = full_names(first_runs(groups))
    frame = comparison.differences(groups, groups)
    assert frame["significant"].tolist() == [None]
    table = comparison.readable_differences(frame, names)
    assert table["Significant"].tolist() == ["no common seed"] and table["mR difference"].tolist() == ["–"]
    assert comparison.verdicts(frame) == "No two rows could be compared."


def test_where_the_reference_failed_there_is_still_a_table(groups):
    frame = comparison.differences(groups[:1], [])
    assert frame.empty and comparison.verdicts(frame) == "No two rows could be compared."
    assert comparison.readable_differences(frame, {}).empty


def test_a_method_without_a_finished_run_has_a_row_that_says_so(groups):
    failed = [
        Failure("0123", RunConfig(method="lora", seed=7), "FloatingPointError: the loss\nis not finite", "LoRA"),
        Failure("4567", None, "never ran"),
        Failure("89ab", RunConfig(method="full", seed=7), "killed", "Full fine-tuning"),  # other seeds finished
    ]
    summary, names = comparison.summary(groups), full_names(first_runs(groups))
    finished = comparison.readable_summary(summary, names)
    shown = comparison.readable_summary(summary, names, failed)
    assert shown["Method"].tolist() == [*finished["Method"], "4567", "LoRA (InfoNCE)"]
    assert shown.set_index("Method").loc["LoRA (InfoNCE)", "mR"] == "failed"
