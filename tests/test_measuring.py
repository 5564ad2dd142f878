"""Bytes against counts by hand; peaks and times are measured, and only their order is asserted."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from petl_core.adapters import attach
from petl_core.backbone import Backbone
from petl_core.files import ROOT
from petl_core.measuring import activation_bytes, seconds_of

FLOAT = 4
B, D, H = 5, 7, 11
CPU = torch.device("cpu")


@pytest.fixture
def perceptron():
    return nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, 3))


def test_a_tensor_that_two_operations_save_counts_once(perceptron):
    x = torch.randn(B, D)
    step = lambda: perceptron(x).sum()  # noqa: E731
    hidden = B * H * FLOAT  # ReLU saves its output, which is what the second layer saves of its input
    assert activation_bytes(step, [x, *perceptron.parameters()]) == hidden
    assert activation_bytes(step, perceptron.parameters()) == hidden + B * D * FLOAT
    assert activation_bytes(step) == hidden + B * D * FLOAT + 3 * H * FLOAT  # no gradient to x: first weight not saved


def test_gelu_saves_its_input_too(perceptron):
    perceptron[1] = nn.GELU()
    x = torch.randn(B, D)
    assert activation_bytes(lambda: perceptron(x).sum(), [x, *perceptron.parameters()]) == 2 * B * H * FLOAT


def test_what_lies_before_the_first_trained_weight_is_not_kept(perceptron):
    perceptron[0].requires_grad_(False)
    x = torch.randn(B, D)
    assert activation_bytes(lambda: perceptron(x).sum(), perceptron.parameters()) == B * H * FLOAT
    perceptron.requires_grad_(False)
    assert activation_bytes(lambda: perceptron(x).sum()) == 0


def test_a_view_keeps_all_of_its_storage(perceptron):
    wide = torch.randn(B, 10 * D)
    assert activation_bytes(lambda: perceptron[0](wide[:, :D]).sum()) == B * 10 * D * FLOAT


def test_a_graph_that_was_dropped_keeps_nothing(perceptron):
    x = torch.randn(B, D)

    def step():
        perceptron(x).sum()
        return perceptron[0](x).sum()

    assert activation_bytes(step, perceptron.parameters()) == B * D * FLOAT


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


def test_a_linear_probe_by_hand(clip, images, tokens):
    model = attach(Backbone(clip, None, None), "linear_probe").train()
    taps = model.tap_image(images)
    n, d = taps.shape
    width = 2 * d
    normalised, head, norms = n * d * FLOAT, n * width * FLOAT, n * FLOAT
    step = lambda: model.image_from_taps(taps).sum()  # noqa: E731
    assert activation_bytes(step, model.parameters()) == normalised
    scaled = lambda: model.image_from_taps(taps, normalize=True).sum()  # noqa: E731
    # x / max(|x|, eps): x, |x|, and the clamped norm that divides it
    assert activation_bytes(scaled, model.parameters()) == normalised + head + 2 * norms


def test_a_peak_is_remembered_after_its_memory_was_freed():
    """In a separate process: one in which a larger test ran before already has a higher peak."""
    script = """
import torch
from petl_core.measuring import PeakMemory
memory = PeakMemory(torch.device("cpu"))
before = memory.mib
large = torch.ones(64 * 2**20 // 4)
del large
assert memory.mib > before + 60
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_step_is_run_once_and_its_time_is_positive():
    steps = []
    assert seconds_of(lambda: steps.append(1), CPU) > 0
    assert steps == [1]
