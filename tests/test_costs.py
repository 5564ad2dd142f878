"""Bytes against counts by hand, and the order of methods; times are measured, never asserted."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from petl_core import backbone as backbones
from petl_core import costs
from petl_core.adapters import METHODS, attach
from petl_core.backbone import Backbone
from petl_core.config import RunConfig
from petl_core.costs import MIB, activation_bytes, activation_mib, queue_steps, seconds_of, training_steps
from petl_core.errors import ConfigError
from petl_core.files import ROOT

FLOAT = 4
B, D, H = 5, 7, 11
SUBJECTS = ["zero_shot", "full", "mrs", "lst", "focus", "focus, cached"]


@pytest.fixture
def perceptron():
    return nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, 3))


@pytest.fixture(scope="module")
def frame():
    return training_steps(SUBJECTS, batch_size=4, rounds=1).set_index("row")


# What is counted.


def test_a_tensor_that_two_operations_save_counts_once(perceptron):
    x = torch.randn(B, D)
    step = lambda: perceptron(x).sum()  # noqa: E731
    hidden = B * H * FLOAT  # ReLU saves its output, which is what the second layer saves of its input
    assert activation_bytes(step, [x, *perceptron.parameters()]) == hidden
    assert activation_bytes(step, perceptron.parameters()) == hidden + B * D * FLOAT
    assert activation_bytes(step) == hidden + B * D * FLOAT + 3 * H * FLOAT  # no gradient to x: first weight not saved


def test_what_lies_before_the_first_trained_weight_is_not_kept(perceptron):
    perceptron[0].requires_grad_(False)
    x = torch.randn(B, D)
    assert activation_bytes(lambda: perceptron(x).sum(), perceptron.parameters()) == B * H * FLOAT
    perceptron.requires_grad_(False)
    assert activation_bytes(lambda: perceptron(x).sum()) == 0


def test_a_view_keeps_all_of_its_storage_and_a_dropped_graph_nothing(perceptron):
    wide = torch.randn(B, 10 * D)

    def step():
        perceptron(wide[:, :D]).sum()
        return perceptron[0](wide[:, :D]).sum()

    assert activation_bytes(step, perceptron.parameters()) == B * 10 * D * FLOAT


def test_the_graph_survives_its_measurement(perceptron):
    x, losses = torch.randn(B, D), []

    def step():
        losses.append(perceptron(x).square().sum())
        return losses[-1]

    activation_bytes(step)
    losses[0].backward()
    counted = perceptron[0].weight.grad.clone()
    perceptron.zero_grad()
    perceptron(x).square().sum().backward()
    torch.testing.assert_close(perceptron[0].weight.grad, counted)


def test_a_linear_probe_by_hand(clip, images):
    model = attach(Backbone(clip, None, None), "linear_probe").train()
    taps = model.tap_image(images)
    n, d = taps.shape
    normalised, head, norms = n * d * FLOAT, n * 2 * d * FLOAT, n * FLOAT
    assert activation_bytes(lambda: model.image_from_taps(taps).sum(), model.parameters()) == normalised
    scaled = lambda: model.image_from_taps(taps, normalize=True).sum()  # noqa: E731
    # x / max(|x|, eps): x, |x|, and the clamped norm that divides it
    assert activation_bytes(scaled, model.parameters()) == normalised + head + 2 * norms


def test_a_peak_is_remembered_after_its_memory_was_freed():
    """In a separate process: one in which a larger test ran before already has a higher peak."""
    script = """
import torch
from petl_core.costs import PeakMemory
memory = PeakMemory(torch.device("cpu"))
before = memory.mib
large = torch.ones(64 * 2**20 // 4)
del large
assert memory.mib > before + 60
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_step_is_run_once_and_its_time_is_positive():
    steps = []
    assert seconds_of(lambda: steps.append(1), torch.device("cpu")) > 0
    assert steps == [1]


# Methods.


def test_activation_memory_grows_with_the_depth_of_the_gradient(frame):
    mib = frame["activation_mib"]
    names = [METHODS[method].title for method in ("zero_shot", "focus", "lst", "mrs", "full")]
    assert mib[names].is_monotonic_increasing and mib[names].nunique() == 5 and mib[names[0]] == 0
    assert mib["Focus-Adapter, cached"] == mib["Focus-Adapter"]
    assert (frame["images_per_second_low"] <= frame["images_per_second"]).all()


def test_the_total_is_weights_gradients_moments_and_activations(frame):
    clip = backbones.load(RunConfig().backbone).clip
    held = sum(weight.nbytes for weight in (*clip.parameters(), *clip.buffers()))
    for name, own in (("Zero-shot CLIP", 0), ("Full fine-tuning", 0), ("Focus-Adapter", 1)):
        trained = FLOAT * frame.at[name, "parameters"]
        expected = (held + own * trained + 3 * trained) / MIB + frame.at[name, "activation_mib"]
        assert frame.at[name, "total_mib"] == pytest.approx(expected)


def test_ratios_refer_to_full_fine_tuning_and_mrs(frame):
    focus, mrs = frame.loc["Focus-Adapter"], frame.loc["MRS-Adapter"]
    assert focus["activation_vs_mrs"] == focus["activation_mib"] / mrs["activation_mib"]
    assert mrs[["activation_vs_mrs", "total_vs_mrs", "throughput_vs_mrs"]].eq(1).all()
    assert frame["peak_device_mib"].isna().all()
    alone = training_steps(["focus", ("focus", {"taps": 1})], batch_size=4, rounds=1)
    assert alone["activation_mib"][1] < alone["activation_mib"][0] == focus["activation_mib"], "bytes repeat"
    assert alone.filter(like="_vs_").isna().all(axis=None) and alone["row"][1] == "Focus-Adapter, taps 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subjects": ["mrs, cached"]}, "none of its features"),
        ({"subjects": [("focus", {"tap": 3})]}, "tap"),
        ({"subjects": ["focal"]}, "focal"),
        ({"subjects": ["focus", "focus"]}, "distinct subjects"),
        ({"batch_size": 1}, "batch_size of at least 2"),
        ({"rounds": 0}, "at least 1 round"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_what_cannot_be_measured_is_an_error(arguments, message):
    with pytest.raises(ConfigError, match=message):
        training_steps(**arguments)


# Runs and queues.


def test_a_run_is_measured_with_its_own_loss_queue_and_inputs():
    small = RunConfig(method="focus", batch_size=8)
    alone = activation_mib(small)
    assert alone == activation_mib(small.replace(seed=2, learning_rate=1.0)), "bytes repeat"
    assert activation_mib(small.replace(cache_features=True)) == alone, "taps are read, wherever they come from"
    assert activation_mib(small.replace(w_image=1.0, w_text=1.0)) > alone
    queued = activation_mib(small.replace(queue_size=4096)) - alone
    assert queued > 2 * 4096 * 8 * FLOAT / MIB, "at least the scores of both directions"
    assert activation_mib(small.replace(scene_weight=0.1)) > alone


def test_a_run_without_a_graph_has_no_activations():
    assert activation_mib(RunConfig().zero_shot()) == 0
    assert activation_mib(RunConfig(gradient_cache=8)) != activation_mib(RunConfig(gradient_cache=8)), "NaN"


def test_a_queue_costs_its_features_and_its_scores():
    width, batch = 16, 4
    frame = queue_steps([8, 64], batch_size=batch, width=width, steps=1)
    stored = 2 * width * FLOAT + 3 * 8  # two features, and three numbers of 8 bytes
    assert (frame["stored_mib"] * MIB).tolist() == [8 * stored, 64 * stored]
    assert frame["activation_mib"][1] > frame["activation_mib"][0] > 0
    assert (frame["milliseconds_low"] <= frame["milliseconds_high"]).all()


@pytest.mark.parametrize("arguments", [{"sizes": []}, {"sizes": [0]}, {"sizes": [8], "steps": 0}])
def test_a_queue_of_nothing_is_an_error(arguments):
    with pytest.raises(ConfigError, match="at least 1"):
        queue_steps(**arguments)


def test_captions_have_the_usual_length():
    lengths = backbones.caption_lengths(backbones.load(RunConfig().backbone).tokens(list(costs.CAPTIONS)))
    assert 8 <= lengths.float().mean() <= 20
