"""Heads on the joint embedding: the linear probe and CLIP-Adapter."""

import copy

import pytest
import torch
from small_clips import SHAPES, captions, embed, images_for, step, tiny
from torch.nn.functional import normalize, relu

from petl_core.adapters import attach
from petl_core.backbone import trim


@pytest.fixture(params=SHAPES)
def clip(request):
    return tiny(request.param)


def test_linear_probe_starts_at_zero_shot_similarities(clip):
    zero_shot, model = attach(copy.deepcopy(clip), "zero_shot"), attach(clip, "linear_probe")
    images, tokens = images_for(clip), trim(captions(5, 12, 9, 7, 30, 3))
    before, after = (normalize(embed(m, images, tokens), dim=-1) for m in (zero_shot, model))
    assert after.shape[1] == 2 * before.shape[1]
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=0, atol=1e-5)


def test_linear_probe_trains_every_joint_dimension(clip):
    model = attach(clip, "linear_probe")
    optimizer = torch.optim.SGD(model.trainable().values())
    step(model, optimizer, images_for(clip), trim(captions(5, 12, 9, 7, 30, 3)))
    assert all((p.grad != 0).float().mean() > 0.99 for p in model.trainable().values())


def test_clip_adapter_formula(clip):
    zero_shot, model = attach(copy.deepcopy(clip), "zero_shot"), attach(clip, "clip_adapter")
    images, tokens = images_for(clip), trim(captions(5, 12, 9))
    x, y = embed(zero_shot, images, tokens), embed(model, images, tokens)
    adapters = [model.method.image] * len(images) + [model.method.text] * len(tokens)
    for before, after, adapter in zip(x, y, adapters, strict=True):
        down, up = adapter[0].weight, adapter[2].weight
        torch.testing.assert_close(after, 0.2 * relu(up @ relu(down @ before)) + 0.8 * before)
