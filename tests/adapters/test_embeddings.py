"""Embeddings of every method depend on a sample alone, and not on the weights of another model."""

import copy

import pytest
import torch
from layouts import LAYOUTS, NOT_SHARED, TRAINED, each_layout, meta_model
from small_clips import SHAPES, captions, embed, images_for, moved, shaped_backbone, tiny_backbone

from petl_core.adapters import METHODS, SideMethod, attach, second_view
from petl_core.adapters.towers import token_dropout
from petl_core.backbone import trim

IMAGES_ONLY, TEXT_ONLY = {"vpt", "convpass"}, {"coop"}


@pytest.mark.parametrize("shape", SHAPES)
@each_layout(LAYOUTS)
def test_batch_and_padding_change_no_embedding(name, options, shape):
    model = moved(attach(shaped_backbone(shape), name, **options))
    images, tokens = images_for(model.backbone), captions(5, 12, 70, 7, 77, 3)
    pairs = [embed(model, image[None], trim(row[None])) for image, row in zip(images, tokens, strict=True)]
    alone = torch.stack(pairs, dim=1).flatten(0, 1)  # images, then captions
    torch.testing.assert_close(embed(model, images, tokens), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_padding_changes_no_embedding_of_a_real_caption(name, tokens):
    model = moved(attach(tiny_backbone(), name))
    trimmed = trim(tokens)
    assert trimmed.shape[1] < tokens.shape[1]
    with torch.no_grad():
        together, full = model.encode_text(trimmed), model.encode_text(tokens)
        alone = torch.cat([model.encode_text(trim(caption[None])) for caption in tokens])
    torch.testing.assert_close(full, together, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


@each_layout(TRAINED)
def test_trained_weights_change_the_embeddings(name, options):
    images, tokens = images_for(shaped_backbone()), trim(captions(5, 12, 9))
    frozen = embed(attach(shaped_backbone(), "zero_shot"), images, tokens)
    found = embed(moved(attach(shaped_backbone(), name, **options)), images, tokens)
    if found.shape == frozen.shape:  # a linear probe's are wider
        text_unchanged = name in IMAGES_ONLY or options == {"text": False}
        assert torch.allclose(found[:6], frozen[:6], atol=1e-3) == (name in TEXT_ONLY)
        assert torch.equal(found[6:], frozen[6:]) == text_unchanged


@pytest.mark.parametrize("name", [name for name in METHODS if name != "zero_shot"])
def test_a_copy_is_independent(name):
    model = moved(attach(shaped_backbone(), name))
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9))
    before = embed(model, images, tokens)
    twin = copy.deepcopy(model)
    assert twin.backbone.clip is twin.clip is not model.clip
    assert torch.equal(embed(twin, images, tokens), before)
    moved(twin)
    assert torch.equal(embed(model, images, tokens), before)
    differs = (embed(twin, images, tokens) != before).any(dim=1)
    assert (differs[: len(images)] == (name not in TEXT_ONLY)).all()
    assert (differs[len(images) :] == (name not in IMAGES_ONLY)).all()


@pytest.mark.parametrize("name", METHODS)
def test_token_dropout_reaches_every_method(name):
    model = attach(shaped_backbone(), name)
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9))
    with token_dropout(model.clip, 0.2):
        view = embed(model, images, tokens)
    plain = embed(model.eval(), images, tokens)
    assert (torch.cosine_similarity(view, plain) < 0.9999).all()
    assert torch.equal(embed(model, images, tokens), plain)


@pytest.mark.parametrize("name", ["mrs", *(name for name, method in METHODS.items() if issubclass(method, SideMethod))])
def test_second_views_drop_tokens_inside_the_towers_and_taps_of_side_methods(name, images, tokens):
    model = attach(tiny_backbone(), name).eval()
    plain = embed(model, images, tokens)
    first = []
    block = model.clip.visual.transformer.resblocks[0]
    block.register_forward_hook(lambda _, args, __: first.append(args[0]))
    with second_view(model, 0.5):
        view = embed(model, images, tokens)
    assert (torch.cosine_similarity(view, plain) < 0.9999).all()
    assert torch.equal(embed(model, images, tokens), plain)
    dropped = (first[0] == 0).float().mean().item()
    assert dropped == 0 if isinstance(model.method, SideMethod) else 0.4 < dropped < 0.6


def test_second_views_carry_gradient(backbone, images, tokens):
    model = attach(backbone, "mrs").eval()
    torch.manual_seed(0)
    with second_view(model, 0.2):
        view, text_view = model.encode_image(images), model.encode_text(tokens)
    assert not torch.equal(view, model.encode_image(images))
    assert not torch.equal(text_view, model.encode_text(tokens))
    view.sum().backward()
    assert model.method.adapters[0].up["visual"].weight.grad.abs().sum() > 0
    assert torch.equal(model.encode_image(images), model.encode_image(images))


@each_layout([*((name, {}) for name in METHODS), *NOT_SHARED])
def test_vit_l_14_runs(name, options):
    """Twice as deep a visual tower as text tower, other widths, a grid of 16 x 16."""
    model = meta_model("ViT-L-14-quickgelu", name, **options).eval()
    with torch.no_grad():
        v = model.encode_image(torch.empty(2, 3, 224, 224, device="meta"))
        t = model.encode_text(torch.zeros(2, 77, dtype=torch.long, device="meta"))
    assert v.shape == t.shape == (2, 1536 if name == "linear_probe" else 768)
