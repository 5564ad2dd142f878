"""Heads on the joint embedding, linear probe and CLIP-Adapter: what each computes."""

import pytest
import torch
from small_clips import SHAPES, captions, embed, images_for, shaped_backbone, train_step
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
