"""Bottleneck adapters and ladder side-tuning: counts, formulas, and what every method promises."""

import copy

import open_clip
import pytest
import torch
from open_clip.model import CustomTextCLIP
from torch import nn
from torch.nn.functional import gelu, linear

from petl_core import adapters
from petl_core.adapters.adaptformer import AdaptFormer
from petl_core.adapters.blocks import AdaptedBlock
from petl_core.adapters.convpass import ConvolutionalBypass, Convpass, ConvpassOptions
from petl_core.adapters.cross_modal import CrossModalAdapter
from petl_core.adapters.houlsby import HoulsbyAdapter
from petl_core.adapters.lst import LST
from petl_core.adapters.uniadapter import UniAdapter
from petl_core.backbone import token_dropout, trim
from petl_core.parameters import ConfigError

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


def randomise(model: nn.Module) -> nn.Module:
    """Leave the start, where an adapter changes nothing."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.trainable().values():
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    return model.eval()


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


def block_by_hand(block: nn.Module, x: torch.Tensor, after_attention, after_mlp, beside_attention, beside_mlp):
    """A pre-LN block with what may stand after or beside its two halves; ``beside`` sees (normed, stream)."""
    normed = block.ln_1(x)
    attended = block.attn(normed, normed, normed, need_weights=False)[0]
    x = x + after_attention(attended) + beside_attention(normed, x)
    normed = block.ln_2(x)
    return x + after_mlp(block.mlp(normed)) + beside_mlp(normed, x)


def same(h):
    return h


def nothing(normed, x):
    return 0


def bottleneck_by_hand(weights, x, activation):
    h = activation(linear(x, weights["down.weight"], weights["down.bias"]))
    return linear(h, weights["up.weight"], weights["up.bias"])


def by_hand(name: str, method: nn.Module, x: torch.Tensor, block: nn.Module, modality: str) -> torch.Tensor:
    """Layer 1 of a method with an instance a layer, written from its paper's formula."""
    if name in ("adapter", "adaptformer"):
        weights = [dict(a.named_parameters()) for a in method.adapters[modality]]
    else:
        weights = [dict(a.named_parameters()) for a in method.adapters]
    if name == "adapter":
        serial = [lambda h, w=w: h + bottleneck_by_hand(w, h, gelu) for w in weights[2:4]]
        return block_by_hand(block, x, *serial, nothing, nothing)
    if name == "adaptformer":
        return block_by_hand(
            block, x, same, same, nothing, lambda _, x: 0.1 * bottleneck_by_hand(weights[1], x, torch.relu)
        )
    if name == "cross_modal":

        def serial_of(w):
            def serial(h):
                z = gelu(linear(h, w[f"down.{modality}.weight"], w[f"down.{modality}.bias"]))
                own = linear(z, w[f"up.{modality}.weight"], w[f"up.{modality}.bias"])
                return h + torch.cat([own, linear(z, w["up_shared.weight"], w["up_shared.bias"])], dim=-1)

            return serial

        return block_by_hand(block, x, serial_of(weights[2]), serial_of(weights[3]), nothing, nothing)

    assert name == "uniadapter"

    def beside(_, x):
        w = weights[1]
        padded = nn.functional.pad(x, (0, w["down.weight"].shape[1] - x.shape[-1]))
        z = torch.relu(linear(padded, w["down.weight"], w["down.bias"]))
        return 0.1 * linear(z, w[f"up.{modality}.weight"], w[f"up.{modality}.bias"])

    return block_by_hand(block, x, same, same, nothing, beside)


@pytest.mark.parametrize("modality", ["visual", "text"])
@pytest.mark.parametrize("name", ["adapter", "adaptformer", "cross_modal", "uniadapter"])
@torch.no_grad()
def test_block_follows_the_formula(clip, name, modality):
    model = randomise(adapters.attach(clip, name, shared=False))
    block = getattr(model.clip, modality).transformer.resblocks[1]
    assert isinstance(block, AdaptedBlock)
    x = torch.randn(2, 9, getattr(model.clip, modality).transformer.width)
    expected = by_hand(name, model.method, x, block.block, modality)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_convpass_stands_beside_attention_and_mlp(clip):
    model = randomise(adapters.attach(clip, "convpass", shared=False, scale=0.5))
    block = model.clip.visual.transformer.resblocks[1]
    x = torch.randn(2, 17, 96)
    bypasses = [lambda normed, _, a=a: a(normed) for a in model.method.adapters[2:4]]
    expected = block_by_hand(block.block, x, same, same, *bypasses)
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)
    assert all(a.scale == 0.5 for a in model.method.adapters)


@pytest.fixture
def bypass():
    torch.manual_seed(4)
    module = ConvolutionalBypass(128, (8, 6), ConvpassOptions(bottleneck=16)).eval()
    nn.init.normal_(module.up.weight)
    return module.requires_grad_(False)


def test_convpass_starts_as_a_plain_bottleneck(bypass):
    x = torch.randn(2, 49, 128)
    act = bypass.activation
    torch.testing.assert_close(bypass(x), bypass.up(act(act(bypass.down(x)))))


@pytest.mark.parametrize("patch", [(0, 0), (3, 2), (7, 5), (0, 4)])
def test_convpass_is_local(bypass, patch):
    nn.init.normal_(bypass.conv.weight)
    x = torch.randn(1, 49, 128)
    changed = x.clone()
    changed[0, 1 + 6 * patch[0] + patch[1]] += 1
    moved = (bypass(changed) != bypass(x)).any(dim=-1)[0]
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(6), indexing="ij")
    near = ((rows - patch[0]).abs() <= 1) & ((columns - patch[1]).abs() <= 1)
    assert not moved[0]
    assert torch.equal(moved[1:].view(8, 6), near)


def test_convpass_convolves_cls_alone(bypass):
    nn.init.normal_(bypass.conv.weight)
    x = torch.randn(1, 49, 128)
    changed = x.clone()
    changed[0, 0] += 1
    moved = (bypass(changed) != bypass(x)).any(dim=-1)[0]
    assert moved[0] and not moved[1:].any()
    act = bypass.activation
    centre = linear(act(bypass.down(x[:, 0])), bypass.conv.weight[:, :, 1, 1], bypass.conv.bias)
    torch.testing.assert_close(bypass(x)[:, 0], bypass.up(act(centre)), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_cross_modal_writes_the_shared_dimensions_alike(clip):
    (adapter,) = randomise(adapters.attach(clip, "cross_modal", share=8)).method.adapters
    h = torch.randn(64)
    for down in adapter.down.values():  # the same h, whatever the input
        down.weight.zero_()
        down.bias.copy_(h)
    written = {m: adapter(torch.zeros(1, 1, d), m)[0, 0] for m, d in (("visual", 96), ("text", 80))}
    assert torch.equal(written["visual"][-8:], written["text"][-8:])
    torch.testing.assert_close(written["text"][-8:], adapter.up_shared(gelu(h)))
    assert not torch.isclose(written["visual"][-16:-8], written["text"][-16:-8]).any()


@pytest.mark.parametrize("name", ["cross_modal", "uniadapter"])
def test_training_on_images_moves_text_through_the_shared_weights(clip, images, tokens, name):
    """But not through what a modality has for itself."""
    model = randomise(adapters.attach(clip, name))
    model.encode_image(images).sum().backward()
    moved = {n.removeprefix("method.adapters.0.") for n, p in model.trainable().items() if p.grad is not None}
    both = {"up_shared.weight", "up_shared.bias"} if name == "cross_modal" else {"down.weight", "down.bias"}
    assert both < moved
    assert not any("text" in n for n in moved)


def test_lst_gates_start_half_open(clip):
    model = adapters.attach(clip, "lst")
    assert all(not side.alphas.any() for side in model.method.sides.values())


@torch.no_grad()
def test_lst_follows_the_formula(clip, images, tokens):
    frozen = copy.deepcopy(clip)
    model = randomise(adapters.attach(clip, "lst"))
    side, tower = model.method.sides["visual"], frozen.visual
    h = tower._embeds(images)
    s = side.down_input(h)
    for i, block in enumerate(tower.transformer.resblocks):
        h = block(h)
        mu = torch.sigmoid(side.alphas[i] / 0.1)
        s = block_by_hand(side.blocks[i], mu * s + (1 - mu) * side.downs[i](h), same, same, nothing, nothing)
    expected = frozen.encode_image(images) + side.up(side.ln(s))[:, 0]
    torch.testing.assert_close(model.encode_image(images), expected, rtol=1e-4, atol=1e-5)


def test_lst_text_side_is_causal(clip, tokens):
    side = randomise(adapters.attach(clip, "lst")).method.sides["text"]
    h = [torch.randn(1, 9, 80) for _ in range(3)]
    changed = [torch.cat([x[:, :5], torch.randn(1, 4, 80)], dim=1) for x in h]
    with torch.no_grad():
        before, after = side(h[0], h[1:]), side(changed[0], changed[1:])
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.isclose(before[:, 5:], after[:, 5:]).all(dim=-1).any()


@pytest.mark.parametrize("modality", ["visual", "text"])
def test_lst_keeps_nothing_of_the_backbone_but_its_taps(clip, images, tokens, modality):
    model = randomise(adapters.attach(clip, "lst")).train()
    saved: list[torch.Tensor] = []

    def keep(tensor):
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, same):
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


def test_lst_runs_no_frozen_block_with_a_graph(clip, images, tokens):
    model = adapters.attach(clip, "lst").train()
    graphs = []
    for tower in (model.clip.visual, model.clip.text):
        for block in tower.transformer.resblocks:
            block.register_forward_hook(lambda _, __, output: graphs.append(output.requires_grad))
    loss = model.encode_image(images).sum() + model.encode_text(tokens).sum()
    assert graphs == [False] * 5
    assert loss.requires_grad


def test_lst_sees_the_token_dropout_of_a_second_view(clip, images, tokens):
    model = randomise(adapters.attach(clip, "lst"))
    seen = []
    model.method.sides["visual"].down_input.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    with torch.no_grad(), token_dropout(model.clip, 0.5):
        model.encode_image(images)
    assert 0.4 < (seen[0] == 0).float().mean() < 0.6
    assert len(model.clip.visual.transformer.resblocks[0]._forward_pre_hooks) == 0
