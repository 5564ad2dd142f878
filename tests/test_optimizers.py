"""Optimizers without torch's compiler compute the same as torch's own."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from petl_core import optimizers

ROOT = Path(__file__).parents[1]


def steps(optimizer_class, count: int, state: dict | None = None, **options):
    """A small model's weights and the optimizer's state after some steps."""
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 3)
    optimizer = optimizer_class([{"params": [model.weight]}, {"params": [model.bias], "lr": 1e-2}], lr=1e-3, **options)
    if state:
        optimizer.load_state_dict(copy.deepcopy(state))  # its tensors would be stepped in place
    for _ in range(count):
        optimizer.zero_grad()
        model(torch.randn(4, 5)).square().sum().backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()]), optimizer.state_dict()


@pytest.mark.parametrize(
    ("name", "options"), [("Adam", {}), ("AdamW", {"weight_decay": 0.1, "betas": (0.9, 0.98)}), ("AdamW", {})]
)
def test_steps_and_states_are_torchs_bit_for_bit(name, options):
    ours, theirs = getattr(optimizers, name), getattr(torch.optim, name)
    weights, state = steps(theirs, 3, **options)
    assert torch.equal(steps(ours, 3, **options)[0], weights)
    assert torch.equal(steps(ours, 2, state, **options)[0], steps(theirs, 2, state, **options)[0])
    again, _ = steps(theirs, 2, steps(ours, 3, **options)[1], **options)
    assert torch.equal(again, steps(theirs, 2, state, **options)[0])


def test_a_step_may_be_given_a_closure_and_leaves_no_graph():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = optimizers.Adam([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2
    assert weight.is_leaf and torch.allclose(weight, torch.full((2,), 0.9))


def test_training_does_not_import_the_compiler():
    code = """
import sys
import torch
from petl_core import optimizers

model = torch.nn.Linear(2, 1)
optimizer = optimizers.AdamW(model.parameters(), 1e-3)
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
assert "torch._dynamo" not in sys.modules and "sympy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
