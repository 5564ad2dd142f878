"""Training reaches all that a method trains, and nothing else, in float32 with a backbone of any precision."""

import pytest
import torch
from layouts import ADAPTERS, NOT_SHARED, TRAINED, each_layout
from open_clip.model import CustomTextCLIP
from small_clips import (
    SHAPES,
    backbone_of,
    captions,
    embed,
    hugging_face_backbone,
    images_for,
    moved,
    shaped_backbone,
    train_step,
)

from petl_core.adapters import METHODS, attach
from petl_core.backbone import trim

IN_TOWERS = ("linear_probe", "coop", "vpt", "vl_prompt", "clip_adapter", "lora")
BF16 = [(name, options) for name, options in ADAPTERS if name != "zero_shot"]


def check_training(model):
    """Two steps: zero-initialised projections pass gradient on from the second one."""
    model.train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.trainable().values(), lr=1e-2)
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9, 7, 30, 3))
    for _ in range(2):
        train_step(model, optimizer, images, tokens)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None and torch.equal(parameter, before[name]), name
        elif name != "clip.logit_scale":  # the loss of a step has its own temperature
            assert parameter.dtype == parameter.grad.dtype == torch.float32, name
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize("shape", SHAPES)
@each_layout(TRAINED)
def test_gradient_reaches_all_that_is_trained_and_nothing_else(name, options, shape):
    check_training(attach(shaped_backbone(shape), name, **options))


@each_layout(BF16)
def test_methods_on_a_bfloat16_backbone_are_trained_in_float32(name, options):
    model = attach(shaped_backbone(dtype=torch.bfloat16), name, **options)
    assert model.trainable_count() == sum(p.numel() for p in model.method.parameters())
    check_training(model)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "zero_shot"])
def test_logit_scale_is_frozen_unless_asked_and_never_counted(name):
    model, learning = attach(shaped_backbone(), name), attach(shaped_backbone(), name, train_logit_scale=True)
    assert not model.clip.logit_scale.requires_grad
    assert learning.clip.logit_scale.requires_grad
    assert learning.trainable_count() == model.trainable_count()
    assert learning.trainable().keys() - model.trainable().keys() == {"clip.logit_scale"}
    check_training(learning)


@pytest.mark.parametrize("name", IN_TOWERS)
def test_a_bfloat16_backbone_gives_nearly_the_same_embeddings(name):
    exact, model = (moved(attach(shaped_backbone(dtype=d), name)) for d in (torch.float32, torch.bfloat16))
    model.load_state_dict(exact.trainable(), strict=False)
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9, 7, 30, 3))
    embeddings = embed(model, images, tokens)
    assert embeddings.dtype == torch.float32
    assert torch.cosine_similarity(embeddings, embed(exact, images, tokens)).min() > 0.999


@pytest.mark.parametrize("name", ["zero_shot", "linear_probe", "clip_adapter", "vpt", "focus"])
def test_methods_that_leave_the_text_blocks_alone_work_with_a_hugging_face_tower(name):
    model = attach(hugging_face_backbone(), name).train()
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9, 7, 30, 3))
    assert not model.clip.training, "dropout of the frozen encoder would be on"
    assert torch.equal(embed(model, images, tokens), embed(model, images, tokens))
    if model.trainable():
        check_training(model)


@pytest.mark.parametrize(("vision_layers", "text_layers"), [(1, 3), (3, 1)])
@each_layout(NOT_SHARED)
def test_no_adapter_without_a_use_where_one_tower_is_deeper(name, options, vision_layers, text_layers):
    """On a grid of 8 x 6 patches."""
    clip = CustomTextCLIP(
        embed_dim=32,
        vision_cfg={"image_size": (64, 48), "patch_size": 8, "width": 128, "layers": vision_layers},
        text_cfg={"width": 80, "heads": 2, "layers": text_layers, "vocab_size": 100},
    )
    model = moved(attach(backbone_of(clip), name, **options))
    images, tokens = torch.randn(2, 3, 64, 48), torch.randint(100, (2, 77))
    (model.encode_image(images).sum() + model.encode_text(tokens).sum()).backward()
    assert all(p.grad is not None for p in model.trainable().values())
