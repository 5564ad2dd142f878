"""Prompts, heads, LoRA and BitFit: counts, starting points, gradients and what each computes."""

import copy

import open_clip
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CustomTextCLIP
from torch.nn.functional import cross_entropy, normalize, relu

from petl_core import backbone
from petl_core.adapters import attach, load
from petl_core.adapters.prompts import make_room
from petl_core.backbone import token_dropout, trim
from petl_core.parameters import ConfigError

CONTEXT, VOCABULARY = 77, 300
SOS, EOT = VOCABULARY - 2, VOCABULARY - 1
METHODS = ("linear_probe", "coop", "vpt", "vl_prompt", "clip_adapter", "lora", "bitfit")
SHAPES = {
    "wide image": ((64, 8, 128, 3), (64, 2), 64),
    "wide text": ((32, 16, 64, 2), (128, 3), 48),
}


@pytest.fixture(params=SHAPES)
def clip(request):
    return tiny(request.param)


def tiny(shape: str = "wide image", dtype: torch.dtype = torch.float32) -> CustomTextCLIP:
    """A small random CLIP, the same at every call."""
    (image_size, patch_size, width, layers), (text_width, text_layers), embedding = SHAPES[shape]
    torch.manual_seed(0)
    clip = CustomTextCLIP(
        embedding,
        dict(image_size=image_size, patch_size=patch_size, width=width, layers=layers, head_width=32),
        dict(context_length=CONTEXT, vocab_size=VOCABULARY, width=text_width, heads=2, layers=text_layers),
        quick_gelu=True,
    )
    for name, parameter in clip.named_parameters():  # zero biases would hide mistakes
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return clip.to(dtype)


def with_hugging_face_text() -> CustomTextCLIP:
    transformers = pytest.importorskip("transformers")
    clip = tiny()
    config = transformers.BertConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    clip.text = HFTextEncoder("", clip.text.output_dim, config, pooler_type="mean_pooler", proj_type="linear")
    return clip


def images_for(clip, count: int = 6) -> torch.Tensor:
    size = clip.visual.image_size
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


def captions(*lengths: int) -> torch.Tensor:
    """(B, 77): SOS, random words, EOT, zeros; ``lengths`` counts SOS and EOT."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.zeros(len(lengths), CONTEXT, dtype=torch.long)
    for row, length in zip(tokens, lengths, strict=True):
        row[:length] = torch.randint(1, SOS, (length,), generator=generator)
        row[0], row[length - 1] = SOS, EOT
    return tokens


def embed(model, images, tokens) -> torch.Tensor:
    """(images + captions, d)."""
    with torch.no_grad():
        return torch.cat([model.encode_image(images), model.encode_text(tokens)])


def step(model, optimizer, images, tokens) -> None:
    v, t = model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True)
    optimizer.zero_grad()
    cross_entropy(10 * v @ t.T, torch.arange(len(v))).backward()
    optimizer.step()


def changed(model):
    """Every trained parameter moved a little, as training would."""
    with torch.no_grad():
        for parameter in model.trainable().values():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    return model.eval()


def count(architecture: str, method: str, monkeypatch, **options) -> int:
    monkeypatch.setattr(backbone, "fingerprint", lambda clip: "")
    with torch.device("meta"):
        clip = open_clip.create_model(architecture, pretrained=None, force_custom_text=True, device="meta")
        return attach(clip, method, **options).trainable_count()


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("linear_probe", {}, 1_050_624),
        ("linear_probe", {"width": 512}, 2 * (512 * 512 + 512)),
        ("coop", {}, 8_192),
        ("coop", {"deep": True}, 98_304),
        ("vpt", {}, 460_800),
        ("vpt", {"deep": False}, 50 * 768),
        ("vl_prompt", {}, 468_992),
        ("vl_prompt", {"text_deep": True}, 460_800 + 98_304),
        ("clip_adapter", {}, 524_288),
        ("lora", {}, 245_760),
        ("lora", {"rank": 8, "alpha": 1.0}, 2 * 245_760),
        ("bitfit", {}, 171_008),
    ],
)
def test_count_on_vit_b_32(method, options, expected, monkeypatch):
    assert count("ViT-B-32-quickgelu", method, monkeypatch, **options) == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("linear_probe", 2 * (768 * 1536 + 1536)),
        ("vl_prompt", 24 * 50 * 1024 + 16 * 768),
        ("clip_adapter", 4 * 768 * 384),
        ("lora", 16 * (24 * 1024 + 12 * 768)),
        ("bitfit", 24 * 11 * 1024 + 2 * 1024 + 12 * 11 * 768 + 768),
    ],
)
def test_count_on_vit_l_14(method, expected, monkeypatch):
    assert count("ViT-L-14-quickgelu", method, monkeypatch) == expected


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("linear_probe", {"width": -1}),
        ("coop", {"tokens": 0}),
        ("coop", {"tokens": CONTEXT - 2}),
        ("coop", {"deep": 1}),
        ("vpt", {"tokens": 0}),
        ("vl_prompt", {"image_tokens": 0}),
        ("vl_prompt", {"text_tokens": 0}),
        ("clip_adapter", {"reduction": 0}),
        ("clip_adapter", {"ratio": 0.0}),
        ("lora", {"rank": 0}),
        ("lora", {"alpha": -1.0}),
        ("lora", {"alpha": float("inf")}),
        ("bitfit", {"tokens": 1}),
    ],
)
def test_bad_options_are_refused(method, options):
    with pytest.raises(ConfigError):
        attach(tiny(), method, **options)


@pytest.mark.parametrize(
    ("method", "dtype"), [("lora", torch.float32), ("lora", torch.bfloat16), ("bitfit", torch.float32)]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_starts_at_zero_shot_bit_for_bit(method, dtype, shape):
    zero_shot, model = attach(tiny(shape, dtype), "zero_shot"), attach(tiny(shape, dtype), method)
    images, tokens = images_for(model.clip), trim(captions(5, 12, 9, 7, 30, 3))
    assert torch.equal(embed(model, images, tokens), embed(zero_shot, images, tokens))


def test_linear_probe_starts_at_zero_shot_similarities(clip):
    zero_shot, model = attach(copy.deepcopy(clip), "zero_shot"), attach(clip, "linear_probe")
    images, tokens = images_for(clip), trim(captions(5, 12, 9, 7, 30, 3))
    before, after = (normalize(embed(m, images, tokens), dim=-1) for m in (zero_shot, model))
    assert after.shape[1] == 2 * before.shape[1]
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"train_logit_scale": True}], ids=["", "logit scale"])
@pytest.mark.parametrize("method", METHODS)
def test_training_reaches_what_is_trained_and_nothing_else(method, options, clip):
    model = attach(clip, method, **options).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.trainable().values(), lr=1e-2)
    images, tokens = images_for(clip), trim(captions(5, 12, 9, 7, 30, 3))
    reached = set()
    for _ in range(2):
        step(model, optimizer, images, tokens)
        reached |= {name for name, p in model.trainable().items() if p.grad is not None and p.grad.any()}
    assert reached == model.trainable().keys() - {"clip.logit_scale"}
    for name, parameter in model.named_parameters():
        if name not in model.trainable():
            assert parameter.grad is None
            assert torch.equal(parameter, before[name])


def test_linear_probe_trains_every_joint_dimension(clip):
    model = attach(clip, "linear_probe")
    optimizer = torch.optim.SGD(model.trainable().values())
    step(model, optimizer, images_for(clip), trim(captions(5, 12, 9, 7, 30, 3)))
    assert all((p.grad != 0).float().mean() > 0.99 for p in model.trainable().values())


@pytest.mark.parametrize(
    ("method", "options"),
    [*((method, {}) for method in METHODS), ("coop", {"tokens": 3, "deep": True}), ("vpt", {"deep": False}),
     ("lora", {"rank": 2, "alpha": 8}), ("clip_adapter", {"ratio": 0.5}), ("linear_probe", {"width": 80})],
)  # fmt: skip
def test_saved_and_loaded_embeddings_are_identical(method, options, clip, tmp_path):
    model = changed(attach(copy.deepcopy(clip), method, **options))
    path = model.save(tmp_path / "adapter.safetensors")
    assert path.stat().st_size < 4 * model.trainable_count() + 20_000
    images, tokens = images_for(clip), trim(captions(5, 12, 9))
    assert torch.equal(embed(load(clip, path).eval(), images, tokens), embed(model, images, tokens))


@pytest.mark.parametrize("method", METHODS[:-1])
def test_bfloat16_backbone_trains_float32(method):
    exact, model = changed(attach(tiny(), method)), changed(attach(tiny(dtype=torch.bfloat16), method))
    model.load_state_dict(exact.trainable(), strict=False)
    images, tokens = images_for(model.clip), trim(captions(5, 12, 9, 7, 30, 3))
    embeddings = embed(model, images, tokens)
    assert embeddings.dtype == torch.float32
    cosine = torch.cosine_similarity(embeddings, embed(exact, images, tokens))
    assert cosine.min() > 0.999
    step(model.train(), torch.optim.Adam(model.trainable().values()), images, tokens)
    assert all(p.dtype == torch.float32 and p.grad.dtype == torch.float32 for p in model.trainable().values())


def test_bitfit_refuses_bfloat16():
    with pytest.raises(ConfigError, match="fp32"):
        attach(tiny(dtype=torch.bfloat16), "bitfit")


@pytest.mark.parametrize("method", METHODS)
def test_batch_and_padding_change_no_embedding(method, clip):
    model = changed(attach(clip, method))
    images, tokens = images_for(clip), captions(5, 12, 70, 7, 77, 3)
    pairs = [embed(model, image[None], trim(row[None])) for image, row in zip(images, tokens, strict=True)]
    alone = torch.stack(pairs, dim=1).flatten(0, 1)  # images, then captions
    torch.testing.assert_close(embed(model, images, tokens), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_second_views_differ(method, clip):
    model = attach(clip, method)
    images, tokens = images_for(clip), trim(captions(5, 12, 9))
    with token_dropout(clip, 0.2):
        view = embed(model, images, tokens)
    plain = embed(model, images, tokens)
    assert (torch.cosine_similarity(view, plain) < 0.9999).all()
    assert torch.equal(embed(model, images, tokens), plain)


@pytest.mark.parametrize("deep", [False, True])
def test_second_views_do_not_drop_prompts(deep, clip):
    options = {"image_tokens": 5, "image_deep": deep, "text_tokens": 4, "text_deep": deep}
    model = attach(clip, "vl_prompt", **options)
    images, tokens = images_for(clip), trim(captions(5, 12, 9))
    seen = {"visual": [], "text": []}
    for name, tower in (("visual", clip.visual), ("text", clip.text)):
        for block in tower.transformer.resblocks:
            block.register_forward_pre_hook(lambda _, inputs, name=name: seen[name].append(inputs[0]))
    with token_dropout(clip, 0.5):
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
def test_coop_runs_the_tower_on_context_and_caption(deep, clip):
    model, text = attach(clip, "coop", deep=deep), clip.text
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
def test_vpt_runs_the_tower_on_prompts_and_patches(deep, clip):
    model, visual = attach(clip, "vpt", tokens=7, deep=deep), clip.visual
    images = images_for(clip)
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


def test_a_long_caption_keeps_its_end():
    room = make_room(captions(77, 62, 61, 60), 16, CONTEXT)
    assert room.shape == (4, CONTEXT)
    assert room.argmax(dim=1).tolist() == [76, 76, 76, 75]
    assert (room == EOT).sum(dim=1).tolist() == [1, 1, 1, 1]


def test_starting_scale_of_prompts():
    context = attach(tiny(), "coop", tokens=64).method.context
    assert context.std().item() == pytest.approx(0.02, rel=0.05)
    prompts = attach(tiny(), "vpt").method.prompts
    assert prompts.abs().max().item() == pytest.approx((6 / (3 * 8 * 8 + 128)) ** 0.5, rel=0.01)


def test_clip_adapter_formula(clip):
    zero_shot, model = attach(copy.deepcopy(clip), "zero_shot"), attach(clip, "clip_adapter")
    images, tokens = images_for(clip), trim(captions(5, 12, 9))
    x, y = embed(zero_shot, images, tokens), embed(model, images, tokens)
    adapters = [model.method.image] * len(images) + [model.method.text] * len(tokens)
    for before, after, adapter in zip(x, y, adapters, strict=True):
        down, up = adapter[0].weight, adapter[2].weight
        torch.testing.assert_close(after, 0.2 * relu(up @ relu(down @ before)) + 0.8 * before)


def test_lora_changes_query_and_value(clip):
    frozen = clip.visual.transformer.resblocks[1].attn.in_proj_weight.detach().clone()
    model = changed(attach(clip, "lora", rank=3, alpha=6))
    layer, width = model.method.layers["visual"][1], frozen.shape[1]
    with torch.no_grad():
        change = clip.visual.transformer.resblocks[1].attn.in_proj_weight - frozen
        torch.testing.assert_close(change[:width], 2 * layer.b["q"] @ layer.a["q"], rtol=0, atol=1e-6)
        torch.testing.assert_close(change[-width:], 2 * layer.b["v"] @ layer.a["v"], rtol=0, atol=1e-6)
    assert not change[width:-width].any()
    assert not any(name.startswith("clip.") for name in model.trainable())


def test_bitfit_trains_exactly_the_biases(clip):
    model = attach(clip, "bitfit")
    towers = ("clip.visual.", "clip.text.")
    biases = {n for n, p in model.named_parameters() if n.endswith("bias") and n.startswith(towers)}
    assert model.trainable().keys() == biases
    assert all(p.dim() == 1 for p in model.trainable().values())


@pytest.mark.parametrize("method", ["coop", "vl_prompt", "lora", "bitfit"])
def test_a_tower_without_open_clip_blocks_is_refused(method):
    with pytest.raises(ConfigError, match="HFTextEncoder"):
        attach(with_hugging_face_text(), method)


@pytest.mark.parametrize("method", ["linear_probe", "clip_adapter", "vpt"])
def test_hugging_face_text_tower(method):
    model = attach(with_hugging_face_text(), method).train()
    images, tokens = images_for(model.clip), trim(captions(5, 12, 9, 7, 30, 3))
    step(model, torch.optim.Adam(model.trainable().values()), images, tokens)
    assert all(p.grad.any() for p in model.trainable().values())


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_is_independent(method):
    model = attach(tiny(), method)
    images, tokens = images_for(model.clip), trim(captions(5, 12, 9))
    before = embed(model, images, tokens)
    twin = changed(copy.deepcopy(model))
    assert torch.equal(embed(model, images, tokens), before)
    differs = (embed(twin, images, tokens) != before).any(dim=1)
    assert (differs[: len(images)] == (method != "coop")).all()
    assert (differs[len(images) :] == (method != "vpt")).all()
