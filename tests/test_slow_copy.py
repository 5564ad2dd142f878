import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from petl_core.recycling import SlowCopy


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 0.99), st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_a_slow_copy_is_the_moving_average_of_what_it_follows(momentum, values):
    weight = nn.Parameter(torch.zeros(3))
    slow, expected = SlowCopy({"w": weight}, momentum), 0.0
    for value in values:
        with torch.no_grad():
            weight.fill_(value)
        slow.update()
        expected = momentum * expected + (1 - momentum) * value
    assert slow.weights["w"].tolist() == pytest.approx([expected] * 3, abs=1e-5)
    assert weight.tolist() == pytest.approx([values[-1]] * 3)


def test_a_slow_copy_takes_the_place_of_the_weights_and_gives_it_back():
    layer = nn.Linear(3, 2)
    start = layer.weight.detach().clone()
    slow = SlowCopy(dict(layer.named_parameters()), 0.9)
    with torch.no_grad():
        layer.weight.add_(1)
    with pytest.raises(ZeroDivisionError), slow.in_place():
        assert torch.equal(layer.weight, start)
        raise ZeroDivisionError
    assert torch.equal(layer.weight, start + 1)
    assert torch.equal(slow.weights["weight"], start)


def test_a_graph_made_outside_is_not_disturbed_by_the_slow_copy():
    gradients = []
    for exchanged in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 2))
        slow = SlowCopy(dict(model.named_parameters()), 0.5)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(3)
        loss = model(torch.ones(4, 3)).square().sum()
        if exchanged:
            with slow.in_place(), torch.no_grad():
                model(torch.ones(4, 3))
        loss.backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert torch.equal(*gradients)
