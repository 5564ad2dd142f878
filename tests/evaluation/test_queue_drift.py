"""Drift is given by epoch and age, and by who makes the keys."""

import pytest
from fake_runs import add_drift, fake_run

from petl_core.evaluation.queue_drift import drift_by_keys, queue_drift


@pytest.fixture
def runs(tmp_path):
    fields = [
        {"queue_size": 64, "queue_keys": "ema"},
        {"queue_size": 64, "queue_keys": "ema", "seed": 3},
        {"queue_size": 64, "queue_keys": "ema", "queue_ramp": 8},
        {"queue_size": 64},
        {"queue_size": 64, "queue_weight": 0.0},
        {"queue_size": 16},
        {},
    ]
    made = [fake_run(tmp_path, 0.5, **changes) for changes in fields]
    for run in made[:-1]:
        add_drift(run)
    return made


def test_every_epoch_modality_and_age_is_a_row(runs):
    frame = queue_drift(runs, ["queue_size"])
    assert len(frame) == 6 * 2 * 2 * 3 and frame["key"].nunique() == 6
    assert frame.groupby("queue_size").size().to_dict() == {16: 12, 64: 60}
    assert sorted(set(zip(frame["age_from"], frame["age_to"], strict=True))) == [(1, 1), (2, 3), (4, 7)]
    without = queue_drift(runs[-1:], ["queue_size"])
    assert without.empty and list(without) == list(frame)


def test_keys_are_compared_in_the_largest_queue_and_with_one_that_is_only_watched(runs):
    frame = drift_by_keys(runs)
    assert list(dict.fromkeys(frame["queue"])) == [(("queue_weight", 0.0),), (), (("queue_keys", "ema"),)]
    assert set(frame["key"]) == {runs[i].config.hash for i in (0, 1, 3, 4)}
    assert drift_by_keys(runs[-1:]).empty


def test_queues_of_another_weight_are_compared_where_none_has_the_default(tmp_path):
    lighter = {"queue_size": 64, "queue_weight": 0.1}
    made = [fake_run(tmp_path, 0.5, **lighter, queue_keys=keys) for keys in ("own", "ema")]
    for run in made:
        add_drift(run)
    assert set(drift_by_keys(made)["key"]) == {run.config.hash for run in made}
