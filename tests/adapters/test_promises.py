"""What prompts, heads, LoRA and BitFit all promise: counts, options, gradients, saving, precision, padding, copies."""

import copy

import open_clip
import pytest
import torch
import transformers
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CustomTextCLIP
from small_clips import CONTEXT, SHAPES, VOCABULARY, captions, changed, embed, images_for, step, tiny

from petl_core import backbone
from petl_core.adapters import attach, load
from petl_core.backbone import token_dropout, trim
from petl_core.validation import ConfigError

METHODS = ("linear_probe", "coop", "vpt", "vl_prompt", "clip_adapter", "lora", "bitfit")


@pytest.fixture(params=SHAPES)
def clip(request):
    return tiny(request.param)


def with_hugging_face_text() -> CustomTextCLIP:
    clip = tiny()
    config = transformers.BertConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    clip.text = HFTextEncoder("", clip.text.output_dim, config, pooler_type="mean_pooler", proj_type="linear")
    return clip


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
