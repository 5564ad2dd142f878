"""Blocks with adapters against the formulas of their papers, written by hand."""

import copy

import pytest
import torch
from petl_core.adapters.mrs import MRSBottleneck, MRSOptions
from petl_core.adapters.sites import AdaptedBlock
from safetensors.torch import load_file
from small_clips import moved
from torch import nn
from torch.nn.functional import gelu, layer_norm, linear

from petl_core import adapters


def block_by_hand(block: nn.Module, x: torch.Tensor, after_attention, after_mlp, beside_attention, beside_mlp):
    """A pre-LN block with functions after and parallel to its two halves; parallel ones see (normed, stream)."""
    normed = block.ln_1(x)
    attended = block.attn(normed, normed, normed, need_weights=False)[0]
    x = x + after_attention(attended) + beside_attention(normed, x)
    normed = block.ln_2(x)
    return x + after_mlp(block.mlp(normed)) + beside_mlp(normed, x)


def same(h):
    return h


def nothing(normed, x):
    return 0


def bottleneck_by_hand(weights, x, activation):
    h = activation(linear(x, weights["down.weight"], weights["down.bias"]))
    return linear(h, weights["up.weight"], weights["up.bias"])


def by_hand(name: str, method: nn.Module, x: torch.Tensor, block: nn.Module, modality: str) -> torch.Tensor:
    """Layer 1 of a method with one instance per layer, written from its paper's formula."""
    if name in ("adapter", "adaptformer"):
        weights = [dict(a.named_parameters()) for a in method.adapters[modality]]
    else:
        weights = [dict(a.named_parameters()) for a in method.adapters]
    if name == "adapter":
        serial = [lambda h, w=w: h + bottleneck_by_hand(w, h, gelu) for w in weights[2:4]]
        return block_by_hand(block, x, *serial, nothing, nothing)
    if name == "adaptformer":
        return block_by_hand(
            block, x, same, same, nothing, lambda _, x: 0.1 * bottleneck_by_hand(weights[1], x, torch.relu)
        )
    if name == "cross_modal":

        def serial_of(w):
            def serial(h):
                z = gelu(linear(h, w[f"down.{modality}.weight"], w[f"down.{modality}.bias"]))
                own = linear(z, w[f"up.{modality}.weight"], w[f"up.{modality}.bias"])
                return h + torch.cat([own, linear(z, w["up_shared.weight"], w["up_shared.bias"])], dim=-1)

            return serial

        return block_by_hand(block, x, serial_of(weights[2]), serial_of(weights[3]), nothing, nothing)

    if name == "mrs":

        def beside_mlp(_, x):
            w = weights[1]
            z = torch.relu(linear(x, w[f"down.{modality}.weight"], w[f"down.{modality}.bias"]))
            own = linear(z, w[f"up.{modality}.weight"], w[f"up.{modality}.bias"])
            return torch.cat([own, linear(z, w["up_shared.weight"], w["up_shared.bias"])], dim=-1)

        return block_by_hand(block, x, same, same, nothing, beside_mlp)

    assert name == "uniadapter"

    def beside(_, x):
        w = weights[1]
        x = layer_norm(x, x.shape[-1:], w[f"norms.{modality}.weight"], w[f"norms.{modality}.bias"])
        padded = nn.functional.pad(x, (0, w["down.weight"].shape[1] - x.shape[-1]))
        z = torch.relu(linear(padded, w["down.weight"], w["down.bias"]))
        return 0.1 * linear(z, w[f"up.{modality}.weight"], w[f"up.{modality}.bias"])

    return block_by_hand(block, x, same, same, nothing, beside)


@pytest.mark.parametrize("modality", ["visual", "text"])
@pytest.mark.parametrize("name", ["adapter", "adaptformer", "cross_modal", "uniadapter", "mrs"])
@torch.no_grad()
def test_block_follows_the_formula(backbone, name, modality):
    model = moved(adapters.attach(backbone, name, shared=False))
    block = getattr(model.clip, modality).transformer.resblocks[1]
    assert isinstance(block, AdaptedBlock)
    x = torch.randn(2, 9, getattr(model.clip, modality).transformer.width)
    expected = by_hand(name, model.method, x, block.block, modality)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_convpass_is_parallel_to_attention_and_mlp(backbone):
    model = moved(adapters.attach(backbone, "convpass", shared=False, scale=0.5))
    block = model.clip.visual.transformer.resblocks[1]
    x = torch.randn(2, 17, 96)
    bypasses = [lambda normed, _, a=a: a(normed) for a in model.method.adapters[2:4]]
    expected = block_by_hand(block.block, x, same, same, *bypasses)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)
    assert all(a.scale == 0.5 for a in model.method.adapters)


@torch.no_grad()
def test_lst_follows_the_formula(backbone, images, tokens):
    frozen = copy.deepcopy(backbone.clip)
    model = moved(adapters.attach(backbone, "lst"))
    side, tower = model.method.sides["visual"], frozen.visual
    h = tower._embeds(images)
    s = side.down_input(h)
    for i, block in enumerate(tower.transformer.resblocks):
        h = block(h)
        mu = torch.sigmoid(side.alphas[i] / 0.1)
        s = block_by_hand(side.blocks[i], mu * s + (1 - mu) * side.downs[i](h), same, same, nothing, nothing)
    expected = frozen.encode_image(images) + side.up(side.ln(s))[:, 0]
    torch.testing.assert_close(model.encode_image(images), expected, rtol=1e-4, atol=1e-5)


def test_mrs_matches_the_released_adapter(real_data):
    golden = load_file(real_data.parent / "golden" / "mrs_adapter.safetensors")
    adapter = MRSBottleneck({"visual": 768, "text": 512}, MRSOptions()).eval()
    released = {
        "down.visual": "visual_down_proj",
        "down.text": "down_proj",
        "up.visual": "visual_up_proj",
        "up.text": "up_proj",
        "up_shared": "share_up_proj",
    }
    state = {
        f"{ours}.{w}": golden[f"weight.{theirs}.{w}"] for ours, theirs in released.items() for w in ("weight", "bias")
    }
    adapter.load_state_dict(state)
    for modality in ("visual", "text"):
        torch.testing.assert_close(
            adapter(golden[f"x_{modality}"], modality), golden[f"y_{modality}"], atol=1e-5, rtol=0
        )
