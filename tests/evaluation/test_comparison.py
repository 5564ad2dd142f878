"""Means, differences and sentences say what the runs support, and no more."""

import numpy as np
import pytest
from fake_runs import fake_comparison, fake_run

from petl_core.config import RunConfig
from petl_core.evaluation import comparison
from petl_core.evaluation.grouping import first_runs, group_runs
from petl_core.evaluation.names import full_names, method_and_loss, short_names
from petl_core.runs.folder import Failure


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


def test_differences_are_numbers_that_say_what_is_distinguishable(groups):
    zero_shot, full, mrs = (group.key for group in groups)
    frame = comparison.differences(groups, groups[1:])
    found = {(row["key"], row["reference"]): row for row in frame.to_dict("records")}
    assert found[zero_shot, full]["distinguishable"] is True
    assert found[zero_shot, full]["seeds"] == 3
    assert found[mrs, full]["difference"] == pytest.approx(0)  # the same hits, seed by seed
    assert found[mrs, full]["low"] <= 0 <= found[mrs, full]["high"]
    assert found[mrs, full]["distinguishable"] is False
    sentence = comparison.not_distinguishable(frame, short_names(first_runs(groups)))
    assert sentence.startswith("Not distinguishable at the 95% level from Full fine-tuning: MRS-Adapter.")
    assert sentence.endswith("not adjusted for 4 comparisons.")


def test_differences_are_printed_with_signs_and_words(groups):
    names = full_names(first_runs(groups))
    table = comparison.readable_differences(comparison.differences(groups, groups[1:]), names)
    assert list(table) == ["Method", "Compared with", "Seeds", "mR difference", "95% interval", "Distinguishable"]
    assert table.loc[0, "Distinguishable"] == "yes" and table.loc[1, "Distinguishable"] == "no"
    assert table.loc[0, "mR difference"].startswith("−") and table.loc[0, "95% interval"].startswith("[−")
    assert table.loc[1, "mR difference"] in ("+0.00", "−0.00")
    assert table.loc[0, ["Method", "Compared with"]].tolist() == ["Zero-shot CLIP", "Full fine-tuning (InfoNCE)"]


def test_methods_without_a_common_seed_are_named_and_not_compared(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method="full", seed=1), fake_run(tmp_path, 0.5, method="mrs", seed=2)]
    groups = group_runs(runs, method_and_loss)
    names = full_names(first_runs(groups))
    frame = comparison.differences(groups, groups)
    assert frame["distinguishable"].tolist() == [None, None]
    table = comparison.readable_differences(frame, names)
    assert table["Distinguishable"].tolist() == ["no common seed"] * 2 and table["mR difference"].tolist() == ["–"] * 2
    assert comparison.not_distinguishable(frame, names) == "No two rows could be compared."


def test_where_the_reference_failed_there_is_still_a_table(groups):
    frame = comparison.differences(groups[:1], [])
    assert frame.empty and comparison.not_distinguishable(frame, {}) == "No two rows could be compared."
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
