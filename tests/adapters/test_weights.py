"""LoRA and BitFit: which weights of the towers they change."""

import pytest
import torch
from small_clips import SHAPES, moved, shaped_backbone

from petl_core.adapters import attach


@pytest.fixture(params=SHAPES)
def backbone(request):
    return shaped_backbone(request.param)


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
