"""Linear probe, CLIP-Adapter, BitFit and LoRA: what each computes, and which weights it changes."""

import pytest
import torch
from small_clips import SHAPES, captions, embed, images_for, moved, shaped_backbone, train_step
from torch.nn.functional import relu

from petl_core.adapters import attach
from petl_core.backbone import trim


@pytest.fixture(params=SHAPES)
def backbone(request):
    return shaped_backbone(request.param)


def test_linear_probe_trains_every_joint_dimension(backbone):
    model = attach(backbone, "linear_probe")
    optimizer = torch.optim.Adam(model.trainable().values())
    train_step(model, optimizer, images_for(backbone), trim(captions(5, 12, 9, 7, 30, 3)))
    assert all((p.grad != 0).float().mean() > 0.99 for p in model.trainable().values())


def test_clip_adapter_formula(backbone):
    zero_shot, model = attach(backbone, "zero_shot"), attach(backbone, "clip_adapter")
    images, tokens = images_for(backbone), trim(captions(5, 12, 9))
    x, y = embed(zero_shot, images, tokens), embed(model, images, tokens)
    adapters = [model.method.image] * len(images) + [model.method.text] * len(tokens)
    for before, after, adapter in zip(x, y, adapters, strict=True):
        down, up = adapter[0].weight, adapter[2].weight
        torch.testing.assert_close(after, 0.2 * relu(up @ relu(down @ before)) + 0.8 * before)


def test_lora_changes_query_and_value(backbone):
    attention = backbone.clip.visual.transformer.resblocks[1].attn
    frozen = attention.in_proj_weight.detach().clone()
    model = moved(attach(backbone, "lora", rank=3, alpha=6))
    layer, width = model.method.layers["visual"][1], frozen.shape[1]
    with torch.no_grad():
        change = attention.in_proj_weight - frozen
        torch.testing.assert_close(change[:width], 2 * layer.b["q"] @ layer.a["q"], rtol=0, atol=1e-6)
        torch.testing.assert_close(change[-width:], 2 * layer.b["v"] @ layer.a["v"], rtol=0, atol=1e-6)
    assert not change[width:-width].any()
    assert not any(name.startswith("clip.") for name in model.trainable())


def test_bitfit_trains_exactly_the_biases(backbone):
    model = attach(backbone, "bitfit")
    towers = ("clip.visual.", "clip.text.")
    biases = {n for n, p in model.named_parameters() if n.endswith("bias") and n.startswith(towers)}
    assert model.trainable().keys() == biases
    assert all(p.dim() == 1 for p in model.trainable().values())
