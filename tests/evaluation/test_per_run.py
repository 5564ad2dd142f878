"""Tables with one row per run."""

import numpy as np
import pytest
from fake_runs import fake_comparison, fake_run

from petl_core.evaluation import per_run
from petl_core.evaluation.comparison import readable_summary
from petl_core.evaluation.names import full_names


@pytest.fixture
def runs(tmp_path):
    return fake_comparison(tmp_path)


@pytest.fixture
def names(runs):
    return full_names({run.config.hash: run for run in runs})


def test_scores_list_every_run_with_its_seed(runs, names):
    frame = per_run.scores(runs)
    assert frame["seed"].tolist() == [run.config.seed for run in runs]
    assert frame["mr"].tolist() == [run.metrics["scores"]["strict"]["mr"] for run in runs]
    table = readable_summary(frame, names)
    assert table["Method"].tolist() == list(names.values()) and "Seed" in table


def test_costs_list_every_run(runs):
    frame = per_run.costs(runs)
    assert len(frame) == len(runs)
    assert frame.loc[1, "images_per_second"] == 40.0


def test_an_epoch_over_captions_encodes_an_image_for_each(tmp_path):
    run = fake_run(tmp_path, 0.5, pairs="captions")
    assert per_run.costs([run]).loc[0, "images_per_second"] == 80.0
    del run.metrics["captions"]  # as older runs
    assert np.isnan(per_run.costs([run]).loc[0, "images_per_second"])


def test_a_pause_does_not_count_as_training(runs):
    """A machine that sleeps in the middle of an epoch."""
    trained = runs[1]
    assert per_run.training_seconds(trained) == 4.0  # two epochs of two seconds
    trained.metrics["history"].append({"epoch": 3, "seconds": 1481.8, "validation_mr": 9.0})
    assert per_run.training_seconds(trained) == 6.0
    assert per_run.costs(runs).loc[1, "images_per_second"] == 40.0


def test_what_is_not_trained_takes_no_time(runs):
    assert per_run.training_seconds(runs[0]) == 0.0


def test_costs_are_printed_with_units_and_without_nan(runs, names):
    table = per_run.readable_costs(per_run.costs(runs), names)
    zero_shot, trained = table.iloc[0], table.iloc[1]
    assert zero_shot["Seconds per epoch"] == zero_shot["Validation mR"] == "–"
    assert (trained["Trained parameters"], trained["Seconds per epoch"], trained["Images per second"]) == (
        "1,000",
        "2",
        "40",
    )
    assert trained["Chosen epoch"] == "1/2"
