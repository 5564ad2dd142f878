"""Prompts: their places in the towers, how they start, and the room they make in a caption."""

import copy

import pytest
import torch
from small_clips import CONTEXT, EOT, SHAPES, captions, embed, images_for, shaped_backbone

from petl_core.adapters import attach, second_view
from petl_core.adapters.prompts import make_room
from petl_core.backbone import trim


@pytest.fixture(params=SHAPES)
def backbone(request):
    return shaped_backbone(request.param)


@pytest.mark.parametrize("deep", [False, True])
def test_second_views_do_not_drop_prompts(deep, backbone):
    clip = backbone.clip
    options = {"image_tokens": 5, "image_deep": deep, "text_tokens": 4, "text_deep": deep}
    model = attach(backbone, "vl_prompt", **options)
    images, tokens = images_for(backbone), trim(captions(5, 12, 9))
    seen = {"visual": [], "text": []}
    for name, tower in (("visual", clip.visual), ("text", clip.text)):
        for block in tower.transformer.resblocks:
            block.register_forward_pre_hook(lambda _, inputs, name=name: seen[name].append(inputs[0]))
    with second_view(model, 0.5):
        embed(model, images, tokens)
    prompts, context = model.method.image.prompts, model.method.text.context
    expected = {
        "visual": list(prompts),
        "text": [context[0] + clip.text.positional_embedding[1:5], *context[1:]],
    }
    for name, learned in expected.items():
        n = len(learned[0])
        for layer, expected_tokens in enumerate(learned):
            assert (seen[name][layer][:, 1 : 1 + n] == expected_tokens).all()
        first = seen[name][0]
        others = torch.cat([first[:, :1], first[:, 1 + n :]], dim=1)
        assert 0.4 < (others == 0).float().mean() < 0.6


@pytest.mark.parametrize("deep", [False, True])
def test_coop_runs_the_tower_on_context_and_caption(deep, backbone):
    model, text = attach(backbone, "coop", deep=deep), backbone.clip.text
    tokens = captions(5, 61, 62, 77)
    with torch.no_grad():
        expected = []
        for row in tokens:
            caption = row[row != 0]
            kept = torch.cat([caption[:60], caption[-1:]]) if len(caption) > 61 else caption
            words = text.token_embedding(kept)
            x = torch.cat([words[:1], model.method.context[0], words[1:]])
            x = (x + text.positional_embedding[: len(x)])[None]
            for layer, block in enumerate(reference_blocks(text)):
                if deep and layer:
                    x = torch.cat([x[:, :1], model.method.context[layer][None], x[:, 17:]], dim=1)
                x = block(x, attn_mask=text.attn_mask[: x.shape[1], : x.shape[1]])
            expected.append(text.ln_final(x)[:, -1] @ text.text_projection)
        torch.testing.assert_close(model.encode_text(tokens), torch.cat(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("deep", [False, True])
def test_vpt_runs_the_tower_on_prompts_and_patches(deep, backbone):
    model, visual = attach(backbone, "vpt", tokens=7, deep=deep), backbone.clip.visual
    images = images_for(backbone)
    with torch.no_grad():
        x = visual._embeds(images)
        prompts = model.method.prompts[:, None].expand(-1, len(images), -1, -1)
        hidden = prompts[0]
        for layer, block in enumerate(reference_blocks(visual)):
            hidden = prompts[layer] if deep else hidden
            out = block(torch.cat([x[:, :1], hidden, x[:, 1:]], dim=1))
            x, hidden = torch.cat([out[:, :1], out[:, 8:]], dim=1), out[:, 1:8]
        expected = visual.ln_post(x)[:, 0] @ visual.proj
        torch.testing.assert_close(model.encode_image(images), expected, rtol=1e-4, atol=1e-5)


def reference_blocks(tower):
    """The tower's blocks without hooks."""
    blocks = copy.deepcopy(tower.transformer.resblocks)
    for block in blocks:
        block._forward_pre_hooks.clear()
        block._forward_hooks.clear()
    return blocks


def test_make_room():
    tokens = torch.tensor([[8, 1, 2, 3, 9], [8, 4, 9, 0, 0]])
    assert make_room(tokens, 2, 10).tolist() == [[8, 8, 8, 1, 2, 3, 9], [8, 8, 8, 4, 9, 0, 0]]
    assert make_room(tokens, 2, 6).tolist() == [[8, 8, 8, 1, 2, 9], [8, 8, 8, 4, 9, 0]]
    assert make_room(tokens, 2, 5).tolist() == [[8, 8, 8, 1, 9], [8, 8, 8, 4, 9]]


def test_a_caption_with_the_token_that_pads_keeps_its_end():
    """Id 0 is padding behind a caption, and an exclamation mark inside one."""
    full = torch.tensor([[8, 4, 0, 5, 9]])
    assert make_room(full, 2, 7).tolist() == [[8, 8, 8, 4, 0, 5, 9]]
    assert make_room(full, 2, 6).tolist() == [[8, 8, 8, 4, 0, 9]]
    assert make_room(full, 2, 5).tolist() == [[8, 8, 8, 4, 9]]
    padded = torch.tensor([[8, 4, 5, 0, 6, 9, 0, 0], [8, 0, 0, 9, 0, 0, 0, 0]])
    assert make_room(padded, 2, 8).tolist() == [[8, 8, 8, 4, 5, 0, 6, 9], [8, 8, 8, 0, 0, 9, 0, 0]]
    assert make_room(padded, 2, 6).tolist() == [[8, 8, 8, 4, 5, 9], [8, 8, 8, 0, 0, 9]]
    assert make_room(padded, 2, 5).tolist() == [[8, 8, 8, 4, 9], [8, 8, 8, 0, 9]]


def test_a_long_caption_keeps_its_end():
    room = make_room(captions(77, 62, 61, 60), 16, CONTEXT)
    assert room.shape == (4, CONTEXT)
    assert room.argmax(dim=1).tolist() == [76, 76, 76, 75]
    assert (room == EOT).sum(dim=1).tolist() == [1, 1, 1, 1]


def test_starting_scale_of_prompts():
    context = attach(shaped_backbone(), "coop", tokens=64).method.context
    assert context.std().item() == pytest.approx(0.02, rel=0.05)
    prompts = attach(shaped_backbone(), "vpt").method.prompts
    assert prompts.abs().max().item() == pytest.approx((6 / (3 * 8 * 8 + 128)) ** 0.5, rel=0.01)
