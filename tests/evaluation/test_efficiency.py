"""Bytes against counts by hand and the order of methods; times are measured, never asserted."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from petl_core.adapters import attach
from petl_core.evaluation import efficiency
from petl_core.evaluation.efficiency import CACHED, FOCUS, FULL, MRS, ZERO_SHOT, Subject, measure, saved_bytes
from petl_core.validation import ConfigError

FLOAT = 4
B, D, H = 5, 7, 11


@pytest.fixture
def perceptron():
    return nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, 3))


@pytest.fixture(scope="module")
def frame():
    return measure(batch_size=4, rounds=1)


def test_a_tensor_that_two_operations_save_counts_once(perceptron):
    x = torch.randn(B, D)
    step = lambda: perceptron(x).sum()  # noqa: E731
    hidden = B * H * FLOAT  # ReLU saves its output, which is what the second layer saves of its input
    assert saved_bytes(step, [x, *perceptron.parameters()]) == hidden
    assert saved_bytes(step, perceptron.parameters()) == hidden + B * D * FLOAT
    assert saved_bytes(step) == hidden + B * D * FLOAT + 3 * H * FLOAT  # no gradient to x: first weight not saved


def test_gelu_saves_its_input_too(perceptron):
    perceptron[1] = nn.GELU()
    x = torch.randn(B, D)
    assert saved_bytes(lambda: perceptron(x).sum(), [x, *perceptron.parameters()]) == 2 * B * H * FLOAT


def test_what_lies_before_the_first_trained_weight_is_not_kept(perceptron):
    perceptron[0].requires_grad_(False)
    x = torch.randn(B, D)
    assert saved_bytes(lambda: perceptron(x).sum(), perceptron.parameters()) == B * H * FLOAT
    perceptron.requires_grad_(False)
    assert saved_bytes(lambda: perceptron(x).sum()) == 0


def test_a_view_keeps_all_of_its_storage(perceptron):
    wide = torch.randn(B, 10 * D)
    assert saved_bytes(lambda: perceptron[0](wide[:, :D]).sum()) == B * 10 * D * FLOAT


def test_a_graph_that_was_dropped_keeps_nothing(perceptron):
    x = torch.randn(B, D)

    def step():
        perceptron(x).sum()
        return perceptron[0](x).sum()

    assert saved_bytes(step, perceptron.parameters()) == B * D * FLOAT


def test_the_graph_survives_its_measurement(perceptron):
    x, losses = torch.randn(B, D), []

    def step():
        losses.append(perceptron(x).square().sum())
        return losses[-1]

    saved_bytes(step)
    losses[0].backward()
    counted = perceptron[0].weight.grad.clone()
    perceptron.zero_grad()
    perceptron(x).square().sum().backward()
    torch.testing.assert_close(perceptron[0].weight.grad, counted)


def test_a_linear_probe_by_hand(clip, images, tokens):
    model = attach(clip, "linear_probe").train()
    taps = model.tap_image(images)
    n, d = taps.shape
    width = 2 * d
    normalised, head, norms = n * d * FLOAT, n * width * FLOAT, n * FLOAT
    step = lambda: model.image_from_taps(taps).sum()  # noqa: E731
    assert saved_bytes(step, model.parameters()) == normalised
    scaled = lambda: model.image_from_taps(taps, normalize=True).sum()  # noqa: E731
    # x / max(|x|, eps): x, |x|, and the clamped norm that divides it
    assert saved_bytes(scaled, model.parameters()) == normalised + head + 2 * norms


def test_counts_are_those_of_the_methods(frame):
    by_label = frame.set_index("label")
    small = efficiency._small_backbone
    for subject in efficiency.SUBJECTS:
        assert by_label.loc[subject.label, "parameters"] == attach(small().clip, subject.method).trainable_count()
    assert by_label.loc[ZERO_SHOT, "parameters"] == by_label.loc[ZERO_SHOT, "backward_mib"] == 0


def test_the_deeper_the_gradient_the_more_is_kept(frame):
    kept = frame.set_index("label")["backward_mib"]
    assert 0 == kept[ZERO_SHOT] < kept[FOCUS] < kept["LST"] < kept[MRS] < kept[FULL]
    assert kept[CACHED] == kept[FOCUS]


def test_ratios_refer_to_full_fine_tuning_and_mrs(frame):
    by_label = frame.set_index("label")
    kept = by_label["backward_mib"]
    assert by_label.loc[FOCUS, "memory_vs_mrs"] == kept[FOCUS] / kept[MRS]
    assert by_label.loc[MRS, ["memory_vs_mrs", "throughput_vs_mrs"]].eq(1).all()
    assert by_label.loc[FULL, ["memory_vs_full", "throughput_vs_full"]].eq(1).all()
    assert by_label["peak_device_mib"].isna().all()


def test_bytes_repeat_and_ratios_without_a_reference_are_missing(frame):
    alone = measure([Subject("a", "focus"), Subject("b", "focus", {"taps": 1})], batch_size=4, rounds=2)
    assert alone["backward_mib"][0] == frame.set_index("label").loc[FOCUS, "backward_mib"]
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
    with pytest.raises(ConfigError, match="distinct labels"):
        measure(**arguments)


def test_the_plot_names_every_method_and_what_is_only_claimed(frame):
    figure = efficiency.plot(frame)
    axes = figure.axes[0]
    shown = {text.get_text() for text in axes.get_legend().get_texts()}
    assert shown == {*frame["label"][1:], f"{ZERO_SHOT}, forward only", "CMER, claimed"}
    full = frame.set_index("label").loc[FULL]
    star = next(line for line in axes.lines if line.get_marker() == "*")
    np.testing.assert_allclose(star.get_xdata(), 0.51 * full["backward_mib"])
    np.testing.assert_allclose(star.get_ydata(), 1.4 * full["images_per_second"])
    plt.close(figure)


def test_the_table_has_no_column_of_nothing(frame):
    table = efficiency.readable(frame)
    assert "Peak on the GPU (MiB)" not in table
    assert table["Kept (MiB)"][0] == "0.0"
    on_a_gpu = efficiency.readable(frame.assign(peak_device_mib=1234.5))
    assert on_a_gpu["Peak on the GPU (MiB)"].eq("1,234").all()
