"""Ladder side-tuning: its side networks, and how little of the backbone they keep."""

import copy

import pytest
import torch
from small_clips import moved
from torch import nn

from petl_core import adapters
from petl_core.backbone import trim


@torch.no_grad()
def test_lst_follows_the_formula(backbone, images):
    tower = copy.deepcopy(backbone.clip.visual)
    model = adapters.attach(backbone, "lst")
    side = model.method.sides["visual"]
    assert not side.alphas.any(), "gates start half open"
    moved(model)
    h = tower._embeds(images)
    s = side.down_input(h)
    for alpha, down, side_block, block in zip(
        side.alphas, side.downs, side.blocks, tower.transformer.resblocks, strict=True
    ):
        h = block(h)
        mu = torch.sigmoid(alpha / 0.1)
        s = side_block(mu * s + (1 - mu) * down(h))
    expected = tower(images) + side.up(side.ln(s))[:, 0]
    torch.testing.assert_close(model.encode_image(images), expected, rtol=1e-4, atol=1e-5)


def test_lst_text_side_is_causal(backbone, tokens):
    side = moved(adapters.attach(backbone, "lst")).method.sides["text"]
    h = [torch.randn(1, 9, 80) for _ in range(3)]
    changed = [torch.cat([x[:, :5], torch.randn(1, 4, 80)], dim=1) for x in h]
    with torch.no_grad():
        before, after = side(h[0], h[1:]), side(changed[0], changed[1:])
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.isclose(before[:, 5:], after[:, 5:]).all(dim=-1).any()


@pytest.mark.parametrize("modality", ["visual", "text"])
def test_lst_keeps_nothing_of_the_backbone_but_its_taps(backbone, images, tokens, modality):
    model = moved(adapters.attach(backbone, "lst")).train()
    saved: list[torch.Tensor] = []

    def keep(tensor):
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if modality == "visual":
            model.encode_image(images)
            kept, d, side_mlp = 6 * 17, 96, 4 * 12
        else:
            model.encode_text(trim(tokens))
            kept, d, side_mlp = trim(tokens).numel(), 80, 4 * 10
    activations = [t for t in saved if t.numel() >= kept and not isinstance(t, nn.Parameter)]
    wide = {t.data_ptr() for t in activations if t.numel() > kept * side_mlp}
    depth = len(getattr(model.clip, modality).transformer.resblocks)
    assert len(wide) == depth + 1
    assert all(t.numel() == kept * d for t in activations if t.numel() > kept * side_mlp)


def test_lst_runs_no_frozen_block_with_a_graph(backbone, images, tokens):
    model = adapters.attach(backbone, "lst").train()
    graphs = []
    for tower in (model.clip.visual, model.clip.text):
        for block in tower.transformer.resblocks:
            block.register_forward_hook(lambda _, __, output: graphs.append(output.requires_grad))
    loss = model.encode_image(images).sum() + model.encode_text(tokens).sum()
    assert graphs == [False] * 5
    assert loss.requires_grad
