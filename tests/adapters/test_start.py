"""Training starts at zero-shot CLIP, or where a method's paper starts."""

import copy

import pytest
import torch
from layouts import LAYOUTS, OWN_WEIGHTS, each_layout
from small_clips import SHAPES, captions, embed, images_for, shaped_backbone, tiny_backbone
from torch.nn.functional import normalize

from petl_core.adapters import attach
from petl_core.backbone import input_dtype, trim

STARTS_ELSEWHERE = {"coop", "vpt", "vl_prompt", "clip_adapter"}  # their first step is already off zero-shot CLIP
AT_ZERO_SHOT = [(name, options) for name, options in LAYOUTS if name not in STARTS_ELSEWHERE | {"linear_probe"}]


def zero_shot(clip, images, tokens) -> torch.Tensor:
    """(images + captions, d), of the plain CLIP."""
    with torch.no_grad():
        return torch.cat([clip.encode_image(images.to(input_dtype(clip))), clip.encode_text(tokens)]).float()


def check_start(name, options, backbone):
    images, tokens = images_for(backbone), captions(5, 12, 9, 7, 30, 77)
    expected = zero_shot(copy.deepcopy(backbone.clip), images, tokens)
    found = embed(attach(backbone, name, **options).eval(), images, tokens)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
@each_layout(AT_ZERO_SHOT)
def test_embeddings_are_zero_shot_bit_for_bit(name, options, shape):
    check_start(name, options, shaped_backbone(shape))


@pytest.mark.parametrize("shape", SHAPES)
@each_layout([(name, options) for name, options in AT_ZERO_SHOT if name not in OWN_WEIGHTS])
def test_a_bfloat16_backbones_too(name, options, shape):
    check_start(name, options, shaped_backbone(shape, torch.bfloat16))


@each_layout([("mrs", {}), ("adapter", {}), ("lst", {}), ("focus", {}), ("full", {})])
def test_captions_of_clips_own_tokenizer_are_zero_shot_bit_for_bit(name, options, images, tokens):
    expected = zero_shot(tiny_backbone().clip, images, tokens)
    assert torch.equal(embed(attach(tiny_backbone(), name, **options).eval(), images, tokens), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_linear_probe_starts_at_zero_shot_similarities(shape, dtype):
    frozen, model = (attach(shaped_backbone(shape, dtype), name) for name in ("zero_shot", "linear_probe"))
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9, 7, 30, 3))
    before, after = (normalize(embed(each, images, tokens), dim=-1) for each in (frozen, model))
    assert after.shape[1] == 2 * before.shape[1]
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=0, atol=1e-5)
