"""LoRA and BitFit: which weights of the towers they change, and that they start at zero-shot."""

import pytest
import torch
from small_clips import SHAPES, captions, changed, embed, images_for, tiny

from petl_core.adapters import attach
from petl_core.backbone import trim
from petl_core.validation import ConfigError


@pytest.fixture(params=SHAPES)
def clip(request):
    return tiny(request.param)


@pytest.mark.parametrize(
    ("method", "dtype"), [("lora", torch.float32), ("lora", torch.bfloat16), ("bitfit", torch.float32)]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_starts_at_zero_shot_bit_for_bit(method, dtype, shape):
    zero_shot, model = attach(tiny(shape, dtype), "zero_shot"), attach(tiny(shape, dtype), method)
    images, tokens = images_for(model.clip), trim(captions(5, 12, 9, 7, 30, 3))
    assert torch.equal(embed(model, images, tokens), embed(zero_shot, images, tokens))


def test_lora_changes_query_and_value(clip):
    frozen = clip.visual.transformer.resblocks[1].attn.in_proj_weight.detach().clone()
    model = changed(attach(clip, "lora", rank=3, alpha=6))
    layer, width = model.method.layers["visual"][1], frozen.shape[1]
    with torch.no_grad():
        change = clip.visual.transformer.resblocks[1].attn.in_proj_weight - frozen
        torch.testing.assert_close(change[:width], 2 * layer.b["q"] @ layer.a["q"], rtol=0, atol=1e-6)
        torch.testing.assert_close(change[-width:], 2 * layer.b["v"] @ layer.a["v"], rtol=0, atol=1e-6)
    assert not change[width:-width].any()
    assert not any(name.startswith("clip.") for name in model.trainable())


def test_bitfit_trains_exactly_the_biases(clip):
    model = attach(clip, "bitfit")
    towers = ("clip.visual.", "clip.text.")
    biases = {n for n, p in model.named_parameters() if n.endswith("bias") and n.startswith(towers)}
    assert model.trainable().keys() == biases
    assert all(p.dim() == 1 for p in model.trainable().values())


def test_bitfit_refuses_bfloat16():
    with pytest.raises(ConfigError, match="fp32"):
        attach(tiny(dtype=torch.bfloat16), "bitfit")
