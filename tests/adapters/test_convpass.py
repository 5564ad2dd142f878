"""Convpass's convolution over the grid of patches, with CLS apart."""

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from petl_core.adapters.convpass import ConvolutionalBypass, ConvpassOptions


@pytest.fixture
def bypass():
    torch.manual_seed(4)
    module = ConvolutionalBypass(128, (8, 6), ConvpassOptions(bottleneck=16)).eval()
    nn.init.normal_(module.up.weight)
    return module.requires_grad_(False)


def test_convpass_starts_as_a_plain_bottleneck(bypass):
    x = torch.randn(2, 49, 128)
    act = bypass.activation
    torch.testing.assert_close(bypass(x), bypass.up(act(act(bypass.down(x)))))


@pytest.mark.parametrize("patch", [(0, 0), (3, 2), (7, 5), (0, 4)])
def test_convpass_is_local(bypass, patch):
    nn.init.normal_(bypass.conv.weight)
    x = torch.randn(1, 49, 128)
    changed = x.clone()
    changed[0, 1 + 6 * patch[0] + patch[1]] += 1
    moved = (bypass(changed) != bypass(x)).any(dim=-1)[0]
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(6), indexing="ij")
    near = ((rows - patch[0]).abs() <= 1) & ((columns - patch[1]).abs() <= 1)
    assert not moved[0]
    assert torch.equal(moved[1:].view(8, 6), near)


def test_convpass_convolves_cls_alone(bypass):
    nn.init.normal_(bypass.conv.weight)
    x = torch.randn(1, 49, 128)
    changed = x.clone()
    changed[0, 0] += 1
    moved = (bypass(changed) != bypass(x)).any(dim=-1)[0]
    assert moved[0] and not moved[1:].any()
    act = bypass.activation
    centre = linear(act(bypass.down(x[:, 0])), bypass.conv.weight[:, :, 1, 1], bypass.conv.bias)
    torch.testing.assert_close(bypass(x)[:, 0], bypass.up(act(centre)), rtol=1e-4, atol=1e-4)
