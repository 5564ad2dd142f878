"""Counts of parameters and bytes, and the order of methods; times are measured, never asserted."""

import pytest
import torch

from petl_core.adapters import METHODS, attach
from petl_core.evaluation import efficiency
from petl_core.evaluation.efficiency import Subject, measure_training_steps, readable_costs
from petl_core.validation import ConfigError


@pytest.fixture(scope="module")
def frame():
    return measure_training_steps(batch_size=4, rounds=1)


@pytest.fixture(scope="module")
def by_subject(frame):
    return frame.set_index("subject")


def test_counts_are_those_of_the_methods(by_subject):
    for subject in efficiency.SUBJECTS:
        model = attach(efficiency._small_backbone(), subject.method)
        assert by_subject.loc[subject.key, "parameters"] == model.trainable_count()
    assert by_subject.loc["zero_shot", "parameters"] == by_subject.loc["zero_shot", "backward_mib"] == 0


def test_the_deeper_the_gradient_the_more_is_kept(by_subject):
    kept = by_subject["backward_mib"]
    assert 0 == kept["zero_shot"] < kept["focus"] < kept["lst"] < kept["mrs"] < kept["full"]
    assert kept["focus_cached"] == kept["focus"]


def test_training_holds_weights_gradients_moments_and_what_is_kept(by_subject):
    clip = efficiency._small_backbone().clip
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in clip.buffers())
    backbone = sum(p.numel() for p in clip.parameters())
    for subject, own in (("zero_shot", 0), ("full", 0), ("focus", by_subject.loc["focus", "parameters"])):
        numbers = backbone + own + 3 * by_subject.loc[subject, "parameters"]  # 4 bytes each
        expected = (4 * numbers + buffers) / 2**20 + by_subject.loc[subject, "backward_mib"]
        assert by_subject.loc[subject, "training_mib"] == pytest.approx(expected)


def test_ratios_refer_to_full_fine_tuning_and_mrs(by_subject):
    kept, held = by_subject["backward_mib"], by_subject["training_mib"]
    assert by_subject.loc["focus", "kept_vs_mrs"] == kept["focus"] / kept["mrs"]
    assert by_subject.loc["focus", "memory_vs_mrs"] == held["focus"] / held["mrs"]
    for name in ("mrs", "full"):
        assert by_subject.loc[name, [f"kept_vs_{name}", f"memory_vs_{name}", f"throughput_vs_{name}"]].eq(1).all()
    assert by_subject["peak_device_mib"].isna().all()


def test_bytes_repeat_and_ratios_without_a_reference_are_missing(by_subject):
    alone = measure_training_steps([Subject("a", "focus"), Subject("b", "focus", {"taps": 1})], batch_size=4, rounds=2)
    assert alone["backward_mib"][0] == by_subject.loc["focus", "backward_mib"]
    assert alone["backward_mib"][1] < alone["backward_mib"][0]
    assert alone.filter(like="_vs_").isna().all(axis=None)


def test_a_cached_step_never_runs_a_tower(monkeypatch):
    trial = efficiency._Trial(efficiency.SUBJECTS[-1], efficiency._small_backbone(), 4, torch.device("cpu"))
    before = trial.model.method.image.up.weight.clone()
    monkeypatch.setattr(trial.model.clip, "encode_image", None)
    monkeypatch.setattr(trial.model.clip, "encode_text", None)
    trial.seconds(1)
    assert not torch.equal(before, trial.model.method.image.up.weight)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "mrs", "cached": True}, "none of its features"),
        ({"method": "focus", "options": {"tap": 3}}, "unknown tap"),
        ({"method": "focal"}, "unknown method"),
    ],
)
def test_a_subject_that_cannot_be_measured_is_an_error(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Subject("x", **arguments)


@pytest.mark.parametrize("arguments", [{"batch_size": 1}, {"rounds": 0}, {"subjects": [Subject("a", "focus")] * 2}])
def test_a_measurement_that_means_nothing_is_an_error(arguments):
    with pytest.raises(ConfigError, match="distinct keys"):
        measure_training_steps(**arguments)


def test_the_table_has_no_column_of_nothing(frame):
    table = readable_costs(frame)
    assert "Peak on the GPU (MiB)" not in table
    assert table["Kept (MiB)"][0] == "0.0"
    on_a_gpu = readable_costs(frame.assign(peak_device_mib=1234.5))
    assert on_a_gpu["Peak on the GPU (MiB)"].eq("1,234").all()


def test_methods_are_named_last_and_say_how_they_differ(frame):
    assert frame["title"][0] == METHODS["zero_shot"].title
    focus = METHODS["focus"].title
    assert frame["title"].iloc[-1] == f"{focus}, cached"
    assert Subject("x", "focus", {"taps": 1}, cached=True).title == f"{focus} (taps 1), cached"
    assert f"Kept / {METHODS['full'].title}" in readable_costs(frame)
