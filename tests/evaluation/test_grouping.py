"""Runs of one group differ in their seed alone."""

import pytest
from fake_runs import fake_comparison, fake_run

from petl_core.evaluation.grouping import choose_settings, differing_fields, group_runs
from petl_core.evaluation.names import method_and_loss


@pytest.fixture
def runs(tmp_path):
    return fake_comparison(tmp_path)


def test_runs_that_differ_in_seed_are_one_method(runs):
    groups = group_runs(runs, method_and_loss)
    assert [len(group.runs) for group in groups] == [1, 3, 3]
    assert [run.config.seed for run in groups[1].runs] == [2, 3, 4]
    assert [group.is_trained for group in groups] == [False, True, True]


def test_runs_that_differ_in_more_are_refused(runs, tmp_path):
    other = fake_run(tmp_path, 0.5, method="mrs", seed=9, learning_rate=5e-4)
    with pytest.raises(ValueError, match=r"MRS-Adapter .*differ in more than their seed, in learning_rate"):
        group_runs([*runs, other], method_and_loss)
    with pytest.raises(ValueError, match="different data sets"):
        group_runs([*runs, fake_run(tmp_path, 0.5, method="mrs", seed=9, dataset="scenes")], method_and_loss)


def test_options_count_as_fields(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method_options=options) for options in ({}, {"share": 16})]
    assert differing_fields([run.config for run in runs]) == ["share"]
    assert differing_fields([run.config for run in runs], ["share"]) == []


def test_learning_rates_are_chosen_on_validation_alone(tmp_path):
    slow, fast = (
        [fake_run(tmp_path, rate_of_hits, method="mrs", seed=seed, learning_rate=rate) for seed in (2, 3)]
        for rate, rate_of_hits in ((1e-4, 0.9), (1e-3, 0.1))
    )
    for run in fast:
        run.metrics["history"][1]["validation_mr"] = 50.0  # better on validation, worse on test
    other = fake_run(tmp_path, 0.5, method="full", seed=2)
    assert choose_settings([*slow, other, *fast]) == [*fast, other]


def test_settings_are_compared_at_the_seeds_at_which_several_were_tried(tmp_path):
    runs = [
        fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=rate) for rate in (1e-3, 1e-2) for seed in (2, 3)
    ]
    for run in runs[2:]:
        run.metrics["history"][1]["validation_mr"] = 20.0
    later = [fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=1e-2) for seed in (4, 5)]
    for run in later:
        run.metrics["history"][1]["validation_mr"] = 0.0  # at seeds at which nothing is compared
    assert choose_settings([*runs, *later]) == [*runs[2:], *later]


def test_options_and_temperatures_are_settings_too(tmp_path):
    settings = [
        {"method_options": {"scale": 1.0}}, {}, {"temperature": 0.01}, {"learn_temperature": True},
        {"method_options": {"share": 16}},
    ]  # fmt: skip
    runs = [fake_run(tmp_path, 0.5, seed=seed, **fields) for fields in settings for seed in (2, 3)]
    for run in runs[6:8]:
        run.metrics["history"][1]["validation_mr"] = 30.0
    assert choose_settings(runs) == runs[6:]  # another share is another method, not another setting


def test_a_learning_rate_that_lost_a_seed_is_not_chosen(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=1e-3) for seed in (2, 3)]
    runs.append(fake_run(tmp_path, 0.5, method="mrs", seed=2, learning_rate=1e-2))
    runs[-1].metrics["history"][-1]["validation_mr"] = 99.0  # and the other seed diverged
    assert {run.config.learning_rate for run in choose_settings(runs)} == {1e-3}
