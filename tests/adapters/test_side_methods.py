"""Methods beside frozen towers: which they are, the taps they read, and their second views."""

import pytest
import torch
from small_clips import embed

from petl_core import adapters
from petl_core.adapters.taps import TowerTaps


def test_side_methods_are_known_by_their_class():
    side_methods = {name for name, method in adapters.METHODS.items() if issubclass(method, adapters.SideMethod)}
    assert side_methods == {"zero_shot", "linear_probe", "clip_adapter", "lst", "focus"}


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


@pytest.mark.parametrize(
    "name", ["mrs", *(n for n, m in adapters.METHODS.items() if issubclass(m, adapters.SideMethod))]
)
def test_second_views_are_of_tokens_inside_the_towers_and_of_taps_beside_them(name, clip, images, tokens):
    model = adapters.attach(clip, name).eval()
    plain = embed(model, images, tokens)
    first = []
    clip.visual.transformer.resblocks[0].register_forward_hook(lambda _, args, __: first.append(args[0]))
    with adapters.second_view(model, 0.5):
        view = embed(model, images, tokens)
    assert (torch.cosine_similarity(view, plain) < 0.9999).all()
    assert torch.equal(embed(model, images, tokens), plain)
    dropped = (first[0] == 0).float().mean().item()
    assert dropped == 0 if isinstance(model.method, adapters.SideMethod) else 0.4 < dropped < 0.6
