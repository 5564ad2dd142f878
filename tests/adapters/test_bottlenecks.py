"""What bottleneck adapters and ladder side-tuning all promise: counts, start, gradients, saving, padding, copies."""

import copy

import open_clip
import pytest
import torch
from open_clip.model import CustomTextCLIP
from small_clips import randomise
from torch import nn

from petl_core import adapters
from petl_core.adapters.adaptformer import AdaptFormer
from petl_core.adapters.convpass import Convpass
from petl_core.adapters.cross_modal import CrossModalAdapter
from petl_core.adapters.houlsby import HoulsbyAdapter
from petl_core.adapters.lst import LST
from petl_core.adapters.uniadapter import UniAdapter
from petl_core.backbone import trim
from petl_core.validation import ConfigError

NEW = {
    "adapter": HoulsbyAdapter,
    "adaptformer": AdaptFormer,
    "convpass": Convpass,
    "cross_modal": CrossModalAdapter,
    "uniadapter": UniAdapter,
    "lst": LST,
}
NOT_SHARED = [(name, {"shared": False}) for name in NEW if name != "lst"]
EVERY_LAYOUT = [(name, {}) for name in NEW] + NOT_SHARED


def L(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def deep_clip(vision_layers: int, text_layers: int) -> nn.Module:
    """Towers of these depths, and a grid of 8 x 6 patches."""
    return CustomTextCLIP(
        embed_dim=32,
        vision_cfg={"image_size": (64, 48), "patch_size": 8, "width": 128, "layers": vision_layers},
        text_cfg={"width": 64, "heads": 2, "layers": text_layers, "vocab_size": 100},
    )


@pytest.fixture(scope="module")
def meta_clips():
    """Full-size models without memory."""
    names = ("ViT-B-32-quickgelu", "ViT-L-14-quickgelu")
    return {name: open_clip.create_model(name, device="meta", force_custom_text=True) for name in names}


def embeddings(model: nn.Module, images: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        return model.encode_image(images), model.encode_text(tokens)


def on_meta(clip: nn.Module, name: str, options: dict):
    """A method on a copy of a meta model, and that copy."""
    clip = copy.deepcopy(clip)
    with torch.device("meta"):
        return NEW[name](clip, NEW[name].Options(**options)), clip


CONV = 64 * 64 * 9 + 64
HOULSBY = L(768, 64) + L(64, 768) + L(512, 64) + L(64, 512)
CROSS_32 = L(768, 64) + L(64, 736) + L(512, 64) + L(64, 480) + L(64, 32)
UNI = L(768, 268) + L(268, 768) + L(268, 512)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("adapter", {}, 165_248),
        ("adapter", {"shared": False}, 24 * HOULSBY),
        ("adaptformer", {}, 165_248),
        ("adaptformer", {"shared": False}, 12 * HOULSBY),
        ("convpass", {}, 136_064),
        ("convpass", {"shared": False}, 24 * (L(768, 64) + CONV + L(64, 768))),
        ("cross_modal", {}, 163_168),
        ("cross_modal", {"share": 64}, 161_088),
        ("cross_modal", {"shared": False}, 24 * CROSS_32),
        ("uniadapter", {}, 550_412),
        ("uniadapter", {"shared": False}, 12 * UNI),
        ("lst", {}, 3_411_704),
    ],
)
def test_trainable_parameters_on_vit_b_32(meta_clips, name, options, count):
    method, _ = on_meta(meta_clips["ViT-B-32-quickgelu"], name, options)
    assert sum(p.numel() for p in method.parameters()) == count


def test_lst_count_is_its_arithmetic(meta_clips):
    def side(d, r, layers):
        block = 4 * L(r, r) + L(r, 4 * r) + L(4 * r, r) + 4 * r
        return layers * (block + 1) + (layers + 1) * L(d, r) + 2 * r + L(r, 512)

    method, _ = on_meta(meta_clips["ViT-B-32-quickgelu"], "lst", {"reduction": 4})
    assert sum(p.numel() for p in method.parameters()) == side(768, 192, 12) + side(512, 128, 12)
    assert side(768, 96, 12) + side(512, 64, 12) == 3_411_704


@pytest.mark.parametrize(("name", "options"), EVERY_LAYOUT)
def test_vit_l_14_runs(meta_clips, name, options):
    """Twice as deep a visual tower as text tower, other widths, a grid of 16 x 16."""
    method, clip = on_meta(meta_clips["ViT-L-14-quickgelu"], name, options)
    with torch.no_grad():
        v = method.encode_image(clip, torch.empty(2, 3, 224, 224, device="meta"))
        t = method.encode_text(clip, torch.zeros(2, 77, dtype=torch.long, device="meta"))
    assert v.shape == t.shape == (2, 768)


@pytest.mark.parametrize(("name", "options"), EVERY_LAYOUT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_starts_at_zero_shot_bit_for_bit(clip, images, tokens, name, options, dtype):
    clip.to(dtype)
    frozen = copy.deepcopy(clip)
    with torch.no_grad():
        expected = frozen.encode_image(images.to(dtype)).float(), frozen.encode_text(tokens).float()
    model = adapters.attach(clip, name, **options).eval()
    for found, wanted in zip(embeddings(model, images, tokens), expected, strict=True):
        assert found.dtype == torch.float32
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(("name", "options"), EVERY_LAYOUT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_reaches_all_that_is_trained_and_nothing_else(clip, images, tokens, name, options, dtype):
    model = adapters.attach(clip.to(dtype), name, **options).train()
    before = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.SGD(model.trainable().values(), lr=0.1)
    assert model.trainable_count() == sum(p.numel() for p in model.method.parameters())
    for _ in range(2):
        loss = model.encode_image(images).square().sum() + model.encode_text(tokens).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for n, p in model.named_parameters():
        if p.requires_grad:
            assert p.dtype == torch.float32
            assert p.grad is not None and p.grad.isfinite().all() and p.grad.any(), n
        else:
            assert p.grad is None and torch.equal(p, before[n]), n


@pytest.mark.parametrize(("vision_layers", "text_layers"), [(1, 3), (3, 1)])
@pytest.mark.parametrize(("name", "options"), NOT_SHARED)
def test_no_instance_without_a_use_where_one_tower_is_deeper(name, options, vision_layers, text_layers):
    model = randomise(adapters.attach(deep_clip(vision_layers, text_layers), name, **options))
    images, tokens = torch.randn(2, 3, 64, 48), torch.randint(100, (2, 77))
    (model.encode_image(images).sum() + model.encode_text(tokens).sum()).backward()
    assert all(p.grad is not None for p in model.trainable().values())


@pytest.mark.parametrize(("name", "options"), [*EVERY_LAYOUT, ("lst", {"reduction": 4}), ("cross_modal", {"share": 8})])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_save_and_load(clip, images, tokens, tmp_path, name, options, dtype):
    clip.to(dtype)
    fresh = copy.deepcopy(clip)
    model = randomise(adapters.attach(clip, name, **options))
    path = model.save(tmp_path / "adapter.safetensors")
    loaded = adapters.load(fresh, path).eval()
    found, wanted = embeddings(loaded, images, tokens), embeddings(model, images, tokens)
    assert torch.equal(found[0], wanted[0]) and torch.equal(found[1], wanted[1])


@pytest.mark.parametrize(("name", "options"), EVERY_LAYOUT)
def test_trained_weights_change_the_embeddings(clip, images, tokens, name, options):
    frozen = embeddings(copy.deepcopy(clip), images, tokens)
    found = embeddings(randomise(adapters.attach(clip, name, **options)), images, tokens)
    assert not torch.allclose(found[0], frozen[0], atol=1e-3)
    assert torch.equal(found[1], frozen[1]) == (name == "convpass")


@pytest.mark.parametrize(("name", "options"), EVERY_LAYOUT)
def test_padding_changes_no_text_embedding(clip, tokens, name, options):
    model = randomise(adapters.attach(clip, name, **options))
    trimmed = trim(tokens)
    assert trimmed.shape[1] < tokens.shape[1]
    with torch.no_grad():
        together, full = model.encode_text(trimmed), model.encode_text(tokens)
        alone = torch.cat([model.encode_text(trim(caption[None])) for caption in tokens])
    torch.testing.assert_close(full, together, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NEW)
def test_a_copy_of_the_model_has_adapters_of_its_own(clip, images, tokens, name):
    model = randomise(adapters.attach(clip, name))
    twin = copy.deepcopy(model)
    before = embeddings(model, images, tokens)[0]
    randomise(twin)
    assert torch.equal(embeddings(model, images, tokens)[0], before)
    assert not torch.equal(embeddings(twin, images, tokens)[0], before)


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {"bottleneck": 0}) for name in NEW if name != "lst"]
    + [(name, {"scale": 0.0}) for name in ("adaptformer", "convpass", "uniadapter")]
    + [(name, {"dropout": 1.0}) for name in ("adaptformer", "convpass")]
    + [("cross_modal", {"share": 0}), ("cross_modal", {"share": 80}), ("lst", {"reduction": 0})]
    + [("lst", {"reduction": 7}), ("lst", {"reduction": 100}), ("lst", {"shared": True})],
)
def test_options_out_of_range(clip, name, options):
    with pytest.raises(ConfigError):
        adapters.attach(clip, name, **options)


@pytest.mark.parametrize("name", NEW)
def test_a_tower_of_other_blocks_is_refused(clip, name):
    clip.visual = nn.Identity()
    with pytest.raises(ConfigError, match="Identity"):
        adapters.attach(clip, name)
