"""An adapter alone is saved; loading it gives the model back, or one clear error."""

import json

import pytest
import torch
from layouts import ADAPTERS, LAYOUTS, OWN_WEIGHTS, each_layout
from safetensors.torch import load_file, save_file
from small_clips import (
    SHAPES,
    backbone_of,
    captions,
    embed,
    gelu_and_quick_gelu,
    images_for,
    moved,
    shaped_backbone,
    tiny_backbone,
)

from petl_core.adapters import attach, load
from petl_core.backbone import trim
from petl_core.errors import ConfigError


def check_saving(model, twin, path):
    """A model with trained weights, and the untouched backbone it was attached to."""
    moved(model).save(path)
    images, tokens = images_for(twin), trim(captions(5, 12, 9))
    again = load(twin, path).eval()
    assert again.name == model.name and again.options == model.options
    assert again.trainable().keys() == model.trainable().keys()
    assert torch.equal(embed(again, images, tokens), embed(model, images, tokens))


@pytest.mark.parametrize("shape", SHAPES)
@each_layout(LAYOUTS)
def test_saved_and_loaded_embeddings_are_identical(name, options, shape, tmp_path):
    model = attach(shaped_backbone(shape), name, **options)
    check_saving(model, shaped_backbone(shape), tmp_path / "adapter.safetensors")


@each_layout(ADAPTERS)
def test_a_bfloat16_backbone_too(name, options, tmp_path):
    model = attach(shaped_backbone(dtype=torch.bfloat16), name, **options)
    check_saving(model, shaped_backbone(dtype=torch.bfloat16), tmp_path / "adapter.safetensors")


@each_layout([(name, options) for name, options in LAYOUTS if name not in OWN_WEIGHTS])
def test_nothing_but_the_adapter_is_saved(name, options, tmp_path):
    model = attach(shaped_backbone(), name, **options)
    path = model.save(tmp_path / "adapter.safetensors")
    assert path.stat().st_size < 4 * model.trainable_count() + 20_000
    assert load_file(path).keys() == model.trainable().keys()
    assert all(key.startswith("method.") for key in model.trainable())


def test_a_trained_logit_scale_is_saved_and_loaded(tmp_path):
    model = moved(attach(shaped_backbone(), "mrs", train_logit_scale=True))
    again = load(shaped_backbone(), model.save(tmp_path / "adapter.safetensors"))
    assert again.clip.logit_scale.requires_grad
    assert torch.equal(again.clip.logit_scale, model.clip.logit_scale)


def test_an_adapter_of_another_backbone_is_refused(tmp_path, backbone):
    path = attach(backbone, "mrs").save(tmp_path / "adapter.safetensors")
    with pytest.raises(ConfigError, match=r"trained on backbone .* not on this one"):
        load(tiny_backbone(seed=1), path)
    with pytest.raises(ConfigError, match="trained on backbone"):
        load(tiny_backbone(width=128), path)
    half = tiny_backbone()
    half.clip.bfloat16()
    load(half, path)  # the same weights in another precision


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_a_broken_file_is_named(tmp_path, backbone, content):
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"adapter\.safetensors: not a readable"):
        load(backbone, path)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("options", '{"bottleneck": 64', "options in its metadata is not JSON .*train or copy it again"),
        ("options", "", "options in its metadata is not JSON"),
        ("options", "[64]", r"options in its metadata is \[64\], but must be dict; train or copy it again"),
        ("train_logit_scale", "True", "train_logit_scale in its metadata is not JSON"),
        ("train_logit_scale", "1", "train_logit_scale in its metadata is 1, but must be bool"),
        ("options", '{"bottelneck": 64}', "options of mrs: unknown bottelneck; known: bottleneck"),
        ("method", "msr", "unknown method 'msr'"),
        ("method", None, "no adapter metadata"),
        ("options", None, "no adapter metadata"),
        ("train_logit_scale", None, "no adapter metadata"),
        ("backbone", None, "no adapter metadata"),
    ],
)
def test_broken_metadata_are_named_with_their_file(tmp_path, backbone, key, value, problem):
    model = attach(backbone, "mrs")
    metadata = {
        "method": "mrs",
        "options": json.dumps({"bottleneck": 64}),
        "train_logit_scale": "false",
        "backbone": model.backbone_fingerprint,
    }
    metadata[key] = value
    path = tmp_path / "adapter.safetensors"
    save_file(
        {name: p.detach() for name, p in model.trainable().items()},
        path,
        {k: v for k, v in metadata.items() if v is not None},
    )
    with pytest.raises(ConfigError, match=rf"adapter\.safetensors: {problem}"):
        load(tiny_backbone(), path)


def test_an_adapter_is_refused_by_a_model_with_the_same_weights_and_other_activations(tmp_path):
    plain, quick = gelu_and_quick_gelu()
    path = attach(backbone_of(plain), "mrs").save(tmp_path / "adapter.safetensors")
    with pytest.raises(ConfigError, match="other activations, heads or pooling"):
        load(backbone_of(quick), path)


def test_weights_of_another_layout_are_named(tmp_path, backbone):
    model = attach(backbone, "mrs")
    path = model.save(tmp_path / "adapter.safetensors")
    weights = load_file(path)
    weights["method.adapters.1.up_shared.bias"] = weights.pop("method.adapters.0.up_shared.bias")
    metadata = {
        "method": "mrs",
        "options": "{}",
        "train_logit_scale": "false",
        "backbone": model.backbone_fingerprint,
    }
    save_file(weights, path, metadata)
    with pytest.raises(ConfigError, match=r"adapters\.0\.up_shared\.bias and 1 more do not match mrs"):
        load(tiny_backbone(), path)
