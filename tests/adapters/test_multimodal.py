"""What an adapter shares between images and captions, and what it keeps apart."""

import pytest
import torch
from layouts import NOT_SHARED
from safetensors.torch import load_file
from small_clips import captions, embed, images_for, moved, shaped_backbone, train_step
from torch.nn.functional import gelu

from petl_core import adapters
from petl_core.adapters.multimodal import MRSBottleneck, MRSOptions
from petl_core.backbone import trim

IN_TOWERS = [name for name, _ in NOT_SHARED if name != "convpass"]


def test_mrs_matches_the_released_adapter(real_data):
    golden = load_file(real_data.parent / "golden" / "mrs_adapter.safetensors")
    adapter = MRSBottleneck({"visual": 768, "text": 512}, MRSOptions()).eval()
    released = {
        "down.visual": "visual_down_proj",
        "down.text": "down_proj",
        "up.visual": "visual_up_proj",
        "up.text": "up_proj",
        "up_shared": "share_up_proj",
    }
    state = {
        f"{ours}.{w}": golden[f"weight.{theirs}.{w}"] for ours, theirs in released.items() for w in ("weight", "bias")
    }
    adapter.load_state_dict(state)
    for modality in ("visual", "text"):
        torch.testing.assert_close(
            adapter(golden[f"x_{modality}"], modality), golden[f"y_{modality}"], atol=7.5e-7, rtol=0
        )


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


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("towers", ["image", "text"])
@pytest.mark.parametrize("name", IN_TOWERS)
def test_one_tower_can_be_adapted_alone(name, towers, shared, tmp_path):
    """And all that is trained is of use there."""
    model = adapters.attach(shaped_backbone(), name, towers=towers, shared=shared)
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9, 7, 30, 3))
    frozen = embed(model.eval(), images, tokens)
    optimizer = torch.optim.Adam(model.train().trainable().values(), lr=1e-2)
    for _ in range(2):
        train_step(model, optimizer, images, tokens)
    assert all(p.grad.any() for p in model.trainable().values())
    trained = embed(model.eval(), images, tokens)
    changed = (trained != frozen).any(dim=1)
    assert changed[:6].all() == (towers == "image") and changed[6:].all() == (towers == "text")
    assert changed.sum() == 6
    again = adapters.load(shaped_backbone(), model.save(tmp_path / "adapter.safetensors")).eval()
    assert torch.equal(embed(again, images, tokens), trained)


@pytest.mark.parametrize("name", ["mrs", "cross_modal"])
def test_without_a_share_no_weight_serves_both_towers(name, backbone, images, tokens):
    model = moved(adapters.attach(backbone, name, share=0))
    reached = []
    for encode, inputs in ((model.encode_image, images), (model.encode_text, tokens)):
        model.zero_grad()
        encode(inputs).sum().backward()
        reached.append({n for n, p in model.trainable().items() if p.grad is not None})
    assert not reached[0] & reached[1]
    assert reached[0] | reached[1] == set(model.trainable())
