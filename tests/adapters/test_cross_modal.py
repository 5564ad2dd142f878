"""What an adapter shares between images and captions, and what it keeps apart."""

import pytest
import torch
from small_clips import moved
from torch.nn.functional import gelu

from petl_core import adapters


@torch.no_grad()
def test_cross_modal_writes_the_shared_dimensions_alike(backbone):
    (adapter,) = moved(adapters.attach(backbone, "cross_modal", share=8)).method.adapters
    h = torch.randn(64)
    for down in adapter.down.values():  # the same h, whatever the input
        down.weight.zero_()
        down.bias.copy_(h)
    written = {m: adapter(torch.zeros(1, 1, d), m)[0, 0] for m, d in (("visual", 96), ("text", 80))}
    assert torch.equal(written["visual"][-8:], written["text"][-8:])
    torch.testing.assert_close(written["text"][-8:], adapter.up_shared(gelu(h)))
    assert not torch.isclose(written["visual"][-16:-8], written["text"][-16:-8]).any()


@pytest.mark.parametrize("name", ["cross_modal", "uniadapter"])
def test_training_on_images_moves_text_through_the_shared_weights(backbone, images, tokens, name):
    """But not through what a modality has for itself."""
    model = moved(adapters.attach(backbone, name))
    model.encode_image(images).sum().backward()
    reached = {n.removeprefix("method.adapters.0.") for n, p in model.trainable().items() if p.grad is not None}
    both = {"up_shared.weight", "up_shared.bias"} if name == "cross_modal" else {"down.weight", "down.bias"}
    assert both < reached
    assert not any("text" in n for n in reached)
