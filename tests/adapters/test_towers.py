"""Towers from inside: their blocks, and the taps that a side network reads."""

import pytest
import torch
from open_clip import CustomTextCLIP
from small_clips import hugging_face_backbone
from torch import nn

from petl_core.adapters.towers import TowerTaps, blocks_of, dropped_tokens, residual_blocks, width_of
from petl_core.errors import ConfigError


@pytest.mark.parametrize(("embedding", "block_input"), [(32, False), (512, False), (193, True)])
def test_taps_are_packed_and_unpacked(clip, images, embedding, block_input):
    taps = TowerTaps((0, 2), 96, embedding, block_input)

    def encode(inputs):
        clip.encode_image(inputs)
        return torch.arange(6.0 * embedding).view(6, embedding)

    packed = taps.read(clip.visual, encode, images)
    found, states = taps.unpack(packed)
    assert torch.equal(found, encode(images))
    assert [state.shape for state in states] == [(6, 17, 96)] * (3 if block_input else 2)
    blocks = clip.visual.transformer.resblocks
    if block_input:
        assert torch.equal(blocks[0](states[0]), states[1])
    assert torch.equal(blocks[2](blocks[1](states[-2])), states[-1])


def test_hugging_face_blocks_are_tapped(tokens):
    clip = hugging_face_backbone().clip
    taps = TowerTaps((0, 2), 48, clip.text.output_dim)
    _, states = taps.unpack(taps.read(clip.text, clip.encode_text, tokens))
    with torch.no_grad():
        hidden = clip.text.transformer(tokens, attention_mask=(tokens != 0).long(), output_hidden_states=True)[2]
    assert torch.equal(states[0], hidden[1]) and torch.equal(states[1], hidden[3])


def test_blocks_and_width_of_either_kind_of_tower(clip):
    assert (len(blocks_of(clip.visual)), width_of(clip.visual)) == (3, 96)
    assert (len(blocks_of(clip.text)), width_of(clip.text)) == (2, 80)
    assert residual_blocks(clip.text) is blocks_of(clip.text)
    encoder = hugging_face_backbone().clip.text
    assert (len(blocks_of(encoder)), width_of(encoder)) == (3, 48)
    with pytest.raises(ConfigError, match="HFTextEncoder has none"):
        residual_blocks(encoder)


def test_a_tower_without_blocks_is_refused():
    resnet = CustomTextCLIP(
        32,
        {"image_size": 32, "layers": (1, 1, 1, 1), "width": 8, "head_width": 8},
        {"width": 32, "heads": 2, "layers": 1, "vocab_size": 100},
    )
    for tower in (nn.Identity(), resnet.visual):
        with pytest.raises(ConfigError, match="no transformer blocks"):
            blocks_of(tower)


def test_second_views_need_open_clips_transformers():
    clip = hugging_face_backbone().clip
    with pytest.raises(ConfigError, match="set w_image and w_text to 0"), dropped_tokens(clip, torch.abs):
        pytest.fail("it has none")
