"""Counts of parameters and bytes, and the order of methods; times are measured, never asserted."""

import pytest
import torch

from petl_core.adapters import METHODS, attach
from petl_core.errors import ConfigError
from petl_core.evaluation import efficiency
from petl_core.evaluation.efficiency import Subject, measure_training_steps, readable_costs


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
    assert by_subject.loc["zero_shot", "parameters"] == by_subject.loc["zero_shot", "activation_mib"] == 0


def test_activation_memory_grows_with_the_depth_of_the_gradient(by_subject):
    mib = by_subject["activation_mib"]
    assert 0 == mib["zero_shot"] < mib["focus"] < mib["lst"] < mib["mrs"] < mib["full"]
    assert mib["focus_cached"] == mib["focus"]


def test_the_total_is_weights_gradients_moments_and_activations(by_subject):
    clip = efficiency._small_backbone().clip
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in clip.buffers())
    backbone = sum(p.numel() for p in clip.parameters())
    for subject, own in (("zero_shot", 0), ("full", 0), ("focus", by_subject.loc["focus", "parameters"])):
        numbers = backbone + own + 3 * by_subject.loc[subject, "parameters"]  # 4 bytes each
        expected = (4 * numbers + buffers) / 2**20 + by_subject.loc[subject, "activation_mib"]
        assert by_subject.loc[subject, "total_mib"] == pytest.approx(expected)


def test_ratios_refer_to_full_fine_tuning_and_mrs(by_subject):
    activations, total = by_subject["activation_mib"], by_subject["total_mib"]
    assert by_subject.loc["focus", "activation_vs_mrs"] == activations["focus"] / activations["mrs"]
    assert by_subject.loc["focus", "total_vs_mrs"] == total["focus"] / total["mrs"]
    for name in ("mrs", "full"):
        assert by_subject.loc[name, [f"activation_vs_{name}", f"total_vs_{name}", f"throughput_vs_{name}"]].eq(1).all()
    assert by_subject["peak_device_mib"].isna().all()


def test_bytes_repeat_and_ratios_without_a_reference_are_missing(by_subject):
    alone = measure_training_steps([Subject("a", "focus"), Subject("b", "focus", {"taps": 1})], batch_size=4, rounds=2)
    assert alone["activation_mib"][0] == by_subject.loc["focus", "activation_mib"]
    assert alone["activation_mib"][1] < alone["activation_mib"][0]
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


def test_the_table_has_no_empty_column(frame):
    table = readable_costs(frame)
    assert "Peak on the GPU (MiB)" not in table
    assert table["Activations (MiB)"][0] == "0.0"
    on_a_gpu = readable_costs(frame.assign(peak_device_mib=1234.5))
    assert on_a_gpu["Peak on the GPU (MiB)"].eq("1,234").all()


def test_titles_of_methods_say_how_they_differ(frame):
    assert frame["title"][0] == METHODS["zero_shot"].title
    focus = METHODS["focus"].title
    assert frame["title"].iloc[-1] == f"{focus}, cached"
    assert Subject("x", "focus", {"taps": 1}, cached=True).title == f"{focus} (taps 1), cached"
    assert f"Activations / {METHODS['full'].title}" in readable_costs(frame)
