"""Queues and larger batches are distinguished, after as many samples and after as many steps."""

import pytest
from fake_runs import fake_run

from petl_core.evaluation.ablation import Ablation
from petl_core.evaluation.negatives import FACTORS, by_source


@pytest.fixture
def runs(tmp_path):
    fields = [
        {"batch_size": 64, "epochs": 8},
        {"queue_size": 64},
        {"queue_size": 16, "queue_keys": "ema"},
        {},
        {"batch_size": 64},
        {"queue_size": 64, "queue_keys": "ema"},
        {"queue_size": 64, "queue_keys": "ema", "queue_hardest": 8},  # a variant is no source of its own
    ]
    scales = [{"temperature": 0.01}, {"learn_temperature": True}]
    return [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)] + [
        fake_run(tmp_path, 0.5, **{"batch_size": 16, **changes, **scale}) for scale in scales for changes in fields
    ]


def test_each_temperature_has_its_sources_and_the_smallest_batch_begins_both_lines_of_larger_ones(runs):
    frame = by_source(Ablation(runs, FACTORS))
    for temperature in (0.01, "learned"):
        part = frame[frame["temperature"] == temperature]
        points = {source: rows["negatives"].tolist() for source, rows in part.groupby("source")}
        assert points == {"none": [16], "samples": [16, 64], "steps": [16, 64], "own": [64], "ema": [16, 64]}
        larger = part[part["negatives"] == 64].set_index("source")["epochs"]
        assert (larger["samples"], larger["steps"]) == (2, 8)
        assert (part["mr_low"] <= part["mr"]).all()
    assert len(frame) == 2 * 8


def test_without_larger_batches_there_is_no_line_of_them(runs):
    frame = by_source(Ablation([run for run in runs if run.config.batch_size == 16], FACTORS))
    assert set(frame["source"]) == {"none", "own", "ema"}


def test_without_queues_there_are_only_batches(runs):
    frame = by_source(Ablation([run for run in runs if not run.config.queue_size], FACTORS))
    assert set(frame["source"]) == {"none", "samples", "steps"}


def test_queues_of_another_weight_are_shown_where_all_have_it(tmp_path):
    queues = [{"queue_size": 64, "queue_weight": 0.1, "queue_keys": keys} for keys in ("own", "ema")]
    runs = [fake_run(tmp_path, 0.5, batch_size=16, **changes) for changes in [{}, *queues]]
    assert by_source(Ablation(runs, FACTORS))["source"].tolist() == ["none", "own", "ema"]
