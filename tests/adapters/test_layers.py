"""Dropout, and blocks with adapters against the formulas of their papers, written by hand."""

import pytest
import torch
from small_clips import moved
from torch import nn
from torch.nn.functional import gelu, layer_norm, linear, pad

from petl_core.adapters import attach
from petl_core.adapters.layers import AdaptedBlock, dropout


def test_the_mask_of_a_seed_is_the_same_on_every_processor():
    """Fails where another generator draws it, as MKL's did for torch's own dropout on Intel's processors."""
    torch.manual_seed(0)
    assert dropout(torch.ones(16), 0.5).tolist() == [0, 2, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0, 2]
    torch.manual_seed(0)
    lower = dropout(torch.ones(16, dtype=torch.bfloat16), 0.5)
    assert lower.dtype == torch.bfloat16 and lower.tolist() == [0, 2, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0, 2]


def test_dropout_keeps_the_expectation_and_its_mask_in_the_backward_pass():
    x = torch.ones(200_000, requires_grad=True)
    y = dropout(x, 0.2)
    assert y.unique().tolist() == [0, 1.25] and y.mean().item() == pytest.approx(1, abs=0.01)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert dropout(x, 0.2, training=False) is x and dropout(x, 0.0) is x


@pytest.mark.parametrize(("name", "modality"), [("mrs", "visual"), ("adaptformer", "text"), ("convpass", "visual")])
def test_adapters_drop_in_training_alone(backbone, name, modality):
    model = moved(attach(backbone, name))
    block = getattr(model.clip, modality).transformer.resblocks[0]
    x = torch.randn(2, 17, getattr(model.clip, modality).transformer.width)
    with torch.no_grad():
        assert torch.equal(block(x), block(x))
        model.train()
        assert not torch.equal(block(x), block(x))


def test_a_site_that_no_block_has_is_refused(clip):
    with pytest.raises(ValueError, match=r"no such site .* residual_attention"):
        AdaptedBlock(clip.visual.transformer.resblocks[0], residual_attention=lambda x: x)


def block_by_hand(block, x, after_attention=lambda h: h, after_mlp=lambda h: h, beside_attention=None, beside_mlp=None):
    """A pre-LN block with functions after and parallel to its two halves; parallel ones see (normed, stream)."""
    normed = block.ln_1(x)
    attended = after_attention(block.attn(normed, normed, normed, need_weights=False)[0])
    x = x + attended + (beside_attention(normed, x) if beside_attention else 0)
    normed = block.ln_2(x)
    return x + after_mlp(block.mlp(normed)) + (beside_mlp(normed, x) if beside_mlp else 0)


def bottleneck_by_hand(weights, x, activation, modality=""):
    """Down, activation, up; with a modality the own and the shared half of an up-projection, side by side."""
    at = f".{modality}" if modality else ""
    h = activation(linear(x, weights[f"down{at}.weight"], weights[f"down{at}.bias"]))
    own = linear(h, weights[f"up{at}.weight"], weights[f"up{at}.bias"])
    if not modality:
        return own
    return torch.cat([own, linear(h, weights["up_shared.weight"], weights["up_shared.bias"])], dim=-1)


def uniadapter_by_hand(weights, x, modality):
    x = layer_norm(x, x.shape[-1:], weights[f"norms.{modality}.weight"], weights[f"norms.{modality}.bias"])
    padded = pad(x, (0, weights["down.weight"].shape[1] - x.shape[-1]))
    h = torch.relu(linear(padded, weights["down.weight"], weights["down.bias"]))
    return 0.1 * linear(h, weights[f"up.{modality}.weight"], weights[f"up.{modality}.bias"])


@pytest.mark.parametrize("modality", ["visual", "text"])
@pytest.mark.parametrize("name", ["adapter", "adaptformer", "cross_modal", "uniadapter", "mrs"])
@torch.no_grad()
def test_a_block_follows_the_formula(backbone, name, modality):
    """Layer 1 of a method with one instance per layer, or two."""
    model = moved(attach(backbone, name, shared=False))
    adapters = model.method.adapters if isinstance(model.method.adapters, nn.ModuleList) else None
    weights = [dict(a.named_parameters()) for a in adapters or model.method.adapters[modality]]
    serial = {
        "adapter": lambda w: lambda h: h + bottleneck_by_hand(w, h, gelu),
        "cross_modal": lambda w: lambda h: h + bottleneck_by_hand(w, h, gelu, modality),
    }
    parallel = {
        "adaptformer": lambda _, x: 0.1 * bottleneck_by_hand(weights[1], x, torch.relu),
        "mrs": lambda _, x: bottleneck_by_hand(weights[1], x, torch.relu, modality),
        "uniadapter": lambda _, x: uniadapter_by_hand(weights[1], x, modality),
    }
    block = getattr(model.clip, modality).transformer.resblocks[1]
    x = torch.randn(2, 9, getattr(model.clip, modality).transformer.width)
    if name in serial:
        expected = block_by_hand(block.block, x, *map(serial[name], weights[2:4]))
    else:
        expected = block_by_hand(block.block, x, beside_mlp=parallel[name])
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_convpass_is_parallel_to_attention_and_mlp(backbone):
    model = moved(attach(backbone, "convpass", shared=False, scale=0.5))
    block = model.clip.visual.transformer.resblocks[1]
    x = torch.randn(2, 17, 96)
    first, second = (lambda normed, _, a=a: a(normed) for a in model.method.adapters[2:4])
    expected = block_by_hand(block.block, x, beside_attention=first, beside_mlp=second)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)
