"""What every method keeps to: where it starts, what it trains, what an embedding depends on, saving, its count."""

import copy

import pytest
import torch
from layouts import ADAPTERS, LAYOUTS, NOT_SHARED, OWN_WEIGHTS, each_layout, meta_model
from open_clip.model import CustomTextCLIP
from safetensors.torch import load_file
from small_clips import (
    SHAPES,
    backbone_of,
    captions,
    embed,
    hugging_face_backbone,
    images_for,
    moved,
    shaped_backbone,
    tiny_backbone,
    train_step,
)
from torch.nn.functional import normalize

from petl_core.adapters import METHODS, SideMethod, attach, load, second_view
from petl_core.backbone import input_dtype, trim

STARTS_ELSEWHERE = {"coop", "vpt", "vl_prompt", "clip_adapter", "linear_probe"}
IMAGES_ONLY, TEXT_ONLY = {"vpt", "convpass"}, {"coop"}
SIDE_METHODS = {"zero_shot", "linear_probe", "clip_adapter", "lst", "focus"}
LENGTHS = (5, 12, 70, 7, 77, 3)


def check_training(model):
    """Two steps, since zero projections pass gradient on from the second, reach all that is trained, nothing else."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.train().trainable().values(), lr=1e-2)
    for _ in range(2):
        train_step(model, optimizer, images_for(model.backbone), trim(captions(5, 12, 9, 7, 30, 3)))
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None and torch.equal(parameter, before[name]), name
        elif name != "clip.logit_scale":  # the loss of a step has its own temperature
            assert parameter.dtype == parameter.grad.dtype == torch.float32, name
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def check_life(name, options, make_backbone, path, batches=True):
    """From its start through training to a saved file, on backbones that ``make_backbone()`` gives, always the same."""
    model = attach(make_backbone(), name, **options)
    clip = make_backbone().clip
    images, tokens = images_for(model.backbone), captions(*LENGTHS)

    # It starts at zero-shot CLIP, bit for bit, or where its paper starts.
    with torch.no_grad():
        frozen = torch.cat([clip.encode_image(images.to(input_dtype(clip))), clip.encode_text(tokens)]).float()
    start = embed(model.eval(), images, tokens)
    assert start.dtype == torch.float32
    if name not in STARTS_ELSEWHERE:
        assert torch.equal(start, frozen)

    # It trains what it says, and that changes the embeddings of the towers that it adapts.
    if name != "zero_shot":
        check_training(model)
        after = embed(moved(model), images, tokens)
        assert torch.allclose(after[:6], start[:6], atol=1e-3) == (name in TEXT_ONLY)
        assert torch.equal(after[6:], start[6:]) == (name in IMAGES_ONLY)

    # An embedding depends on its sample alone, whatever the batch and the padding.
    after = embed(model.eval(), images, tokens)
    if batches:
        pairs = [embed(model, image[None], trim(row[None])) for image, row in zip(images, tokens, strict=True)]
        torch.testing.assert_close(after, torch.stack(pairs, dim=1).flatten(0, 1), rtol=1e-4, atol=1e-5)

    # A copy has weights of its own.
    twin = copy.deepcopy(model)
    assert twin.backbone.clip is twin.clip is not model.clip
    assert torch.equal(embed(twin, images, tokens), after)
    if name != "zero_shot":
        assert not torch.equal(embed(moved(twin), images, tokens), after)
        assert torch.equal(embed(model, images, tokens), after)

    # What it trains is saved, nothing else, and loading it gives the model back.
    model.save(path)
    assert load_file(path).keys() == model.trainable().keys()
    if name not in OWN_WEIGHTS:
        assert all(key.startswith("method.") for key in model.trainable())
        assert model.trainable_count() == sum(p.numel() for p in model.method.parameters())
        assert path.stat().st_size < 4 * model.trainable_count() + 20_000
    again = load(make_backbone(), path).eval()
    assert (again.name, again.options) == (model.name, model.options)
    assert torch.equal(embed(again, images, tokens), after)


@pytest.mark.parametrize("shape", SHAPES)
@each_layout(LAYOUTS)
def test_a_methods_life(name, options, shape, tmp_path):
    check_life(name, options, lambda: shaped_backbone(shape), tmp_path / "adapter.safetensors")


@each_layout(ADAPTERS)
def test_a_methods_life_on_a_bfloat16_backbone(name, options, tmp_path):
    def make_backbone():
        return shaped_backbone(dtype=torch.bfloat16)

    check_life(name, options, make_backbone, tmp_path / "adapter.safetensors", batches=False)


@pytest.mark.parametrize("name", ["zero_shot", "linear_probe", "clip_adapter", "vpt", "focus"])
def test_methods_that_leave_the_text_blocks_alone_work_with_a_hugging_face_tower(name, tokens, tmp_path):
    model = attach(hugging_face_backbone(), name, train_logit_scale=True).train()
    images = images_for(model.backbone)
    assert not model.clip.training, "dropout of the frozen encoder would be on"
    start = embed(model, images, tokens)
    if name in ("zero_shot", "focus"):
        with torch.no_grad():
            frozen = torch.cat([model.clip.encode_image(images), model.clip.encode_text(tokens)])
        assert torch.equal(start, frozen)
    check_training(model)
    after = embed(model.eval(), images, tokens)
    assert torch.equal(after, start) == (name == "zero_shot")
    again = load(hugging_face_backbone(), model.save(tmp_path / "adapter.safetensors")).eval()
    assert torch.equal(embed(again, images, tokens), after)


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_linear_probe_starts_at_zero_shot_similarities(shape, dtype):
    frozen, model = (attach(shaped_backbone(shape, dtype), name) for name in ("zero_shot", "linear_probe"))
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9, 7, 30, 3))
    before, after = (normalize(embed(each, images, tokens), dim=-1) for each in (frozen, model))
    assert after.shape[1] == 2 * before.shape[1]
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["linear_probe", "coop", "vpt", "vl_prompt", "clip_adapter", "lora"])
def test_a_bfloat16_backbone_gives_nearly_the_same_embeddings(name):
    exact, model = (moved(attach(shaped_backbone(dtype=d), name)) for d in (torch.float32, torch.bfloat16))
    model.load_state_dict(exact.trainable(), strict=False)
    images, tokens = images_for(model.backbone), trim(captions(5, 12, 9, 7, 30, 3))
    assert torch.cosine_similarity(embed(model, images, tokens), embed(exact, images, tokens)).min() > 0.999


@pytest.mark.parametrize("name", [name for name in METHODS if name != "zero_shot"])
def test_logit_scale_is_frozen_unless_asked_never_counted_and_saved(name, tmp_path):
    model, learning = attach(shaped_backbone(), name), attach(shaped_backbone(), name, train_logit_scale=True)
    assert not model.clip.logit_scale.requires_grad
    assert learning.trainable().keys() - model.trainable().keys() == {"clip.logit_scale"}
    assert learning.trainable_count() == model.trainable_count()
    again = load(shaped_backbone(), moved(learning).save(tmp_path / "adapter.safetensors"))
    assert again.clip.logit_scale.requires_grad and torch.equal(again.clip.logit_scale, learning.clip.logit_scale)


def test_side_methods_are_known_by_their_class():
    assert {name for name, method in METHODS.items() if issubclass(method, SideMethod)} == SIDE_METHODS


@pytest.mark.parametrize("name", METHODS)
def test_second_views_drop_tokens_inside_the_towers_and_taps_of_side_methods(name, images, tokens):
    model = attach(tiny_backbone(), name).eval()
    plain = embed(model, images, tokens)
    first = []
    block = model.clip.visual.transformer.resblocks[0]
    handle = block.register_forward_pre_hook(lambda _, args: first.append(args[0]), prepend=True)
    with second_view(model, 0.5):
        view = embed(model, images, tokens)
    handle.remove()
    assert (torch.cosine_similarity(view, plain) < 0.9999).all()
    assert torch.equal(embed(model, images, tokens), plain)
    dropped = (first[0] == 0).float().mean().item()
    assert dropped == 0 if name in SIDE_METHODS else 0.4 < dropped < 0.6


def test_second_views_carry_gradient(backbone, images, tokens):
    model = attach(backbone, "mrs").eval()
    with second_view(model, 0.2):
        model.encode_image(images).sum().backward()
    assert model.method.adapters[0].up["visual"].weight.grad.any()


@each_layout([*((name, {}) for name in METHODS), *NOT_SHARED])
def test_vit_l_14_runs(name, options):
    """Twice as deep a visual tower as text tower, other widths, a grid of 16 x 16."""
    model = meta_model("ViT-L-14-quickgelu", name, **options).eval()
    with torch.no_grad():
        v = model.encode_image(torch.empty(2, 3, 224, 224, device="meta"))
        t = model.encode_text(torch.zeros(2, 77, dtype=torch.long, device="meta"))
    assert v.shape == t.shape == (2, 1536 if name == "linear_probe" else 768)


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


# How many parameters a method trains. Counts are by hand, so that no class and its test move together.

BACKBONE = 151_277_313  # parameters of ViT-B/32


def L(inputs: int, outputs: int) -> int:
    """A linear layer with bias."""
    return inputs * outputs + outputs


CONVPASS = L(768, 64) + 64 * 64 * 9 + 64 + L(64, 768)
HOULSBY = L(768, 64) + L(64, 768) + L(512, 64) + L(64, 512)
CROSS_MODAL = L(768, 64) + L(64, 736) + L(512, 64) + L(64, 480) + L(64, 32)
UNIADAPTER = L(768, 268) + L(268, 768) + L(268, 512) + 2 * (768 + 512)
MRS = L(768, 64) + L(64, 704) + L(512, 64) + L(64, 448) + L(64, 64)


def lst_side(d: int, r: int, layers: int, embedding: int) -> int:
    block = 4 * L(r, r) + L(r, 4 * r) + L(4 * r, r) + 4 * r
    return layers * (block + 1) + (layers + 1) * L(d, r) + 2 * r + L(r, embedding)


def focus_branch(d: int, embedding: int) -> int:
    r = d // 8
    return 6 * (L(d, r) + 3 * r * r + L(r, 2 * r) + L(2 * r, r) + 1) + L(r, embedding)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("zero_shot", {}, 0),
        ("linear_probe", {}, 1_050_624),
        ("full", {}, BACKBONE - 1),  # without logit_scale, which our counts leave out
        ("coop", {}, 8_192),
        ("coop", {"deep": True}, 98_304),
        ("vpt", {}, 460_800),
        ("vpt", {"deep": False}, 50 * 768),
        ("vl_prompt", {}, 468_992),
        ("vl_prompt", {"text_deep": True}, 460_800 + 98_304),
        ("adapter", {}, 165_248),
        ("adapter", {"shared": False}, 24 * HOULSBY),
        ("clip_adapter", {}, 524_288),
        ("convpass", {}, 136_064),
        ("convpass", {"shared": False}, 24 * CONVPASS),
        ("adaptformer", {}, 165_248),
        ("adaptformer", {"shared": False}, 12 * HOULSBY),
        ("adaptformer", {"towers": "image"}, L(768, 64) + L(64, 768)),
        ("cross_modal", {}, 163_168),
        ("cross_modal", {"share": 64}, 161_088),
        ("cross_modal", {"shared": False}, 24 * CROSS_MODAL),
        ("uniadapter", {}, 552_972),
        ("uniadapter", {"shared": False}, 12 * UNIADAPTER),
        ("mrs", {}, 161_088),
        ("mrs", {"shared": False}, 12 * MRS),
        ("mrs", {"share": 0}, HOULSBY),
        ("mrs", {"towers": "text"}, L(512, 64) + L(64, 512)),
        ("lora", {}, 245_760),
        ("lora", {"rank": 8, "alpha": 1.0}, 2 * 245_760),
        ("bitfit", {}, 171_008),
        ("lst", {}, 3_411_704),
        ("lst", {"reduction": 4}, lst_side(768, 192, 12, 512) + lst_side(512, 128, 12, 512)),
        ("focus", {}, 1_284_876),
        ("focus", {"attention": "unsuppressed"}, 1_284_876),
        ("focus", {"attention": "uniform"}, 1_284_876 - 6 * 2 * 96 * 96),
        ("focus", {"attention": "none"}, 1_284_876 - 6 * 3 * 96 * 96),
    ],
)
def test_counts_on_vit_b_32(name, options, expected):
    assert meta_model("ViT-B-32-quickgelu", name, **options).trainable_count() == expected
    if not options:
        assert METHODS[name].parameter_count == expected


@pytest.mark.parametrize(
    ("counted", "arithmetic"),
    [
        (165_248, HOULSBY),
        (136_064, CONVPASS),
        (163_168, CROSS_MODAL),
        (552_972, UNIADAPTER),
        (161_088, MRS),
        (3_411_704, lst_side(768, 96, 12, 512) + lst_side(512, 64, 12, 512)),
        (1_284_876, focus_branch(768, 512) + focus_branch(512, 512)),
    ],
)
def test_counts_are_their_arithmetic(counted, arithmetic):
    assert counted == arithmetic


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear_probe", 2 * L(768, 1536)),
        ("vl_prompt", 24 * 50 * 1024 + 16 * 768),
        ("clip_adapter", 4 * 768 * 384),
        ("lora", 16 * (24 * 1024 + 12 * 768)),
        ("bitfit", 24 * 11 * 1024 + 2 * 1024 + 12 * 11 * 768 + 768),
        ("focus", focus_branch(1024, 768) + focus_branch(768, 768)),
    ],
)
def test_counts_on_vit_l_14(name, expected):
    assert meta_model("ViT-L-14-quickgelu", name).trainable_count() == expected


def test_the_backbone_is_as_large_as_published_and_titles_differ():
    model = meta_model("ViT-B-32-quickgelu", "full", train_logit_scale=True)
    assert sum(p.numel() for p in model.clip.parameters()) == BACKBONE == model.trainable_count() + 1
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
