"""A factor is read off a run, or is None where it has no effect."""

import pytest
from fake_runs import fake_queues, fake_run

from petl_core.evaluation.factors import factor_title, factor_value, format_value


def test_a_factor_may_be_an_option_left_at_its_default(tmp_path):
    run = fake_run(tmp_path, 0.5, method_options={"bottleneck": 8})
    assert [factor_value(run, name) for name in ("bottleneck", "share")] == [8, 64]
    for unknown in ("bottle", "hash"):
        with pytest.raises(ValueError, match=f"{unknown} is neither a field of RunConfig nor an option of mrs"):
            factor_value(run, unknown)


def test_all_training_images_are_a_number(tmp_path):
    assert factor_value(fake_run(tmp_path, 0.5), "train_images") == 80


def test_settings_without_effect_have_no_value(tmp_path):
    runs = fake_queues(tmp_path)
    assert [factor_value(run, "queue_warmup") for run in runs] == [None, None, None, 0, 0, 8, 8]
    assert factor_value(runs[0], "learning_rate") is None
    assert factor_value(runs[1], "scene_template") is None


def test_the_momentum_of_slow_keys_has_no_effect_on_own_ones(tmp_path):
    runs = [fake_run(tmp_path, 0.5, queue_size=8, queue_keys=keys, queue_momentum=0.9) for keys in ("own", "ema")]
    assert [factor_value(run, "queue_momentum") for run in runs] == [None, 0.9]


def test_a_queue_is_described_by_its_keys_its_weight_and_what_else_was_changed(tmp_path):
    shown = {
        "own keys, weight 1": {},
        "slow keys, weight 1": {"queue_keys": "ema"},
        "own keys, weight 0.1": {"queue_weight": 0.1, "queue_momentum": 0.9},
        "slow keys, weight 1, text anchors, hardest 16, momentum 0.9": {
            "queue_keys": "ema", "queue_momentum": 0.9, "queue_directions": "text", "queue_hardest": 16,
        },
    }  # fmt: skip
    for words, fields in shown.items():
        run = fake_run(tmp_path, 0.5, queue_size=8, **fields)
        assert format_value("queue", factor_value(run, "queue")) == words
    assert factor_value(fake_run(tmp_path, 0.5, queue_weight=0.1), "queue") is None


def test_values_are_keys_and_words_are_made_of_them(tmp_path):
    run = fake_run(tmp_path, 0.5, w_text=1.0)
    assert factor_value(run, "terms") == ("cross", "text")
    shown = {
        "terms": "image–text + text–text", "contrast": "InfoNCE", "queries": "no label", "cache_features": "no",
        "learning_rate": "0.002", "queue_warmup": "–",
    }  # fmt: skip
    assert {factor: format_value(factor, factor_value(run, factor)) for factor in shown} == shown
    assert format_value("queue_size", 1024) == "1,024"
    assert (factor_title("terms"), factor_title("queue_size")) == ("HMMC terms", "Queue size")
