"""A model carries its backbone; what cannot be attached is refused with the remedy."""

import copy
from types import SimpleNamespace

import pytest
import torch
from layouts import NOT_SHARED
from small_clips import CONTEXT, hugging_face_backbone, shaped_backbone
from torch import nn

from petl_core.adapters import METHODS, SideMethod, attach, check_method
from petl_core.backbone import trim
from petl_core.errors import ConfigError

IN_BLOCKS = sorted({name for name, method in METHODS.items() if not issubclass(method, SideMethod)} - {"full"})
IN_TEXT_BLOCKS = sorted(set(IN_BLOCKS) - {"vpt", "convpass"} | {"lst"})


def test_a_model_carries_its_backbone(backbone, images, tokens):
    model = attach(backbone, "mrs", bottleneck=16, share=8)
    assert model.backbone is backbone and model.clip is backbone.clip
    assert model.device == torch.device("cpu")
    assert model.name == "mrs" and isinstance(model.method, METHODS["mrs"])
    assert (model.options.bottleneck, model.options.share, model.options.dropout) == (16, 8, 0.5)
    assert not any(p.requires_grad for p in model.clip.parameters())
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"clip", "method"}


def test_trimmed_captions_have_the_same_embeddings(backbone, tokens):
    model = attach(backbone, "mrs")
    short = trim(tokens)
    assert short.shape[1] < tokens.shape[1]
    torch.testing.assert_close(model.encode_text(short), model.encode_text(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("change", [{"pool_type": "last"}, {"attn_mask": None}, {"cls_emb": torch.zeros(1)}])
def test_captions_of_towers_that_read_their_padding_are_not_trimmed(clip, tokens, change):
    text = copy.deepcopy(clip.text)
    for name, value in change.items():
        delattr(text, name)
        object.__setattr__(text, name, value)
    assert trim(tokens, clip) is not tokens
    assert trim(tokens, SimpleNamespace(text=text)) is tokens


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("msr", {}, "unknown method 'msr'; known: .*mrs"),
        ("mrs", {"bottelneck": 64}, "unknown bottelneck; known: bottleneck"),
        ("mrs", {"bottleneck": "64"}, "bottleneck = '64' is str"),
        ("mrs", {"dropout": 1.5}, "options of mrs: .*dropout in"),
        ("zero_shot", {"tokens": 1}, "unknown tokens; known: none"),
    ],
)
def test_bad_methods_and_options_are_refused_before_anything_is_attached(name, options, message, backbone):
    with pytest.raises(ConfigError, match=message):
        check_method(name, options)
    with pytest.raises(ConfigError, match=message):
        attach(backbone, name, **options)


def test_options_are_filled_with_defaults():
    assert check_method("mrs", {"dropout": 0}).dropout == 0.0
    assert check_method("mrs", {}).bottleneck == 64


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {"bottleneck": 0}) for name, _ in NOT_SHARED]
    + [(name, {"scale": 0.0}) for name in ("adaptformer", "convpass", "uniadapter")]
    + [(name, {"dropout": 1.0}) for name in ("adaptformer", "convpass", "mrs")]
    + [
        ("linear_probe", {"width": -1}),
        ("coop", {"tokens": 0}),
        ("coop", {"tokens": CONTEXT - 2}),
        ("coop", {"deep": 1}),
        ("vpt", {"tokens": 0}),
        ("vl_prompt", {"image_tokens": 0}),
        ("vl_prompt", {"text_tokens": 0}),
        ("clip_adapter", {"reduction": 0}),
        ("clip_adapter", {"ratio": 0.0}),
        ("cross_modal", {"share": 0}),
        ("cross_modal", {"share": 80}),
        ("mrs", {"share": 80}),
        ("lora", {"rank": 0}),
        ("lora", {"alpha": -1.0}),
        ("lora", {"alpha": float("inf")}),
        ("bitfit", {"tokens": 1}),
        ("lst", {"reduction": 0}),
        ("lst", {"reduction": 7}),
        ("lst", {"reduction": 100}),
        ("lst", {"shared": True}),
        ("focus", {"taps": 0}),
        ("focus", {"reduction": 0}),
        ("focus", {"reduction": 129}),
        ("focus", {"text": 1}),
        ("focus", {"attention": "mean"}),
        ("focus", {"scale": 2}),
    ],
)
def test_options_out_of_range_are_refused_and_the_method_is_named(name, options):
    with pytest.raises(ConfigError, match=rf"^(options of|method) {name}: "):
        attach(shaped_backbone(), name, **options)


@pytest.mark.parametrize("name", ["full", "bitfit"])
def test_training_a_low_precision_backbones_own_weights_is_refused(name):
    with pytest.raises(ConfigError, match=rf"^method {name}: .*needs precision fp32"):
        attach(shaped_backbone(dtype=torch.bfloat16), name)


@pytest.mark.parametrize("name", [name for name in [*IN_BLOCKS, "lst", "focus"] if name != "coop"])
def test_an_image_tower_of_other_blocks_is_refused(name, backbone):
    backbone.clip.visual = nn.Identity()
    with pytest.raises(ConfigError, match=rf"^method {name}: .*Identity"):
        attach(backbone, name)


@pytest.mark.parametrize("name", IN_TEXT_BLOCKS)
def test_a_text_tower_without_open_clips_blocks_is_refused(name):
    with pytest.raises(ConfigError, match=rf"^method {name}: .*HFTextEncoder"):
        attach(hugging_face_backbone(), name)
