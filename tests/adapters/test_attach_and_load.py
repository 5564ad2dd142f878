import copy
from types import SimpleNamespace

import open_clip
import pytest
import torch
from conftest import tiny_clip
from safetensors.torch import load_file
from torch import nn

from petl_core import adapters, backbone
from petl_core.adapters import METHODS, Method, attach, load
from petl_core.adapters.mrs import MRSBottleneck, MRSOptions
from petl_core.validation import ConfigError


@pytest.fixture(scope="module")
def vit_b_32():
    return open_clip.create_model("ViT-B-32-quickgelu", pretrained=None, force_custom_text=True)


def test_mrs_has_161088_parameters_on_vit_b_32(vit_b_32):
    assert attach(copy.deepcopy(vit_b_32), "mrs").trainable_count() == 161_088
    visual, text, share, r = 768, 512, 64, 64
    one = sum(d * r + r + r * (d - share) + d - share for d in (visual, text)) + r * share + share
    assert one == 161_088
    assert attach(copy.deepcopy(vit_b_32), "mrs", shared=False).trainable_count() == 12 * one


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
            adapter(golden[f"x_{modality}"], modality), golden[f"y_{modality}"], atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["zero_shot", "mrs"])
def test_start_is_zero_shot_bit_for_bit(name, precision, images, tokens):
    frozen = tiny_clip().to(backbone.DTYPES[precision])
    model = attach(copy.deepcopy(frozen), name).eval()
    expected = frozen.encode_image(images.to(backbone.input_dtype(frozen))).float()
    assert torch.equal(model.encode_image(images), expected)
    assert torch.equal(model.encode_text(tokens), frozen.encode_text(tokens).float())


def test_trimmed_captions_have_the_same_embeddings(clip, tokens):
    model = attach(clip, "mrs")
    short = backbone.trim(tokens)
    assert short.shape[1] < tokens.shape[1]
    torch.testing.assert_close(model.encode_text(short), model.encode_text(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("change", [{"pool_type": "last"}, {"attn_mask": None}, {"cls_emb": torch.zeros(1)}])
def test_captions_of_towers_that_read_their_padding_are_not_trimmed(clip, tokens, change):
    text = copy.deepcopy(clip.text)
    for name, value in change.items():
        delattr(text, name)
        object.__setattr__(text, name, value)
    assert backbone.trim(tokens, clip) is not tokens
    assert backbone.trim(tokens, SimpleNamespace(text=text)) is tokens


def step(model, images, tokens):
    model.train()
    optimizer = torch.optim.Adam(model.trainable().values(), 1e-2)
    for _ in range(2):  # zero-initialised projections pass gradient on from the second step
        optimizer.zero_grad()
        v, t = model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True)
        (-(v @ t.T).log_softmax(-1).diag().sum()).backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["full", "mrs"])
def test_gradient_reaches_all_that_is_trained_and_nothing_else(name, clip, images, tokens):
    model = attach(clip, name)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    step(model, images, tokens)
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name
        else:
            assert parameter.grad is None and torch.equal(parameter, before[parameter_name]), parameter_name


def test_logit_scale_is_frozen_unless_asked_and_never_counted(clip):
    model = attach(copy.deepcopy(clip), "mrs")
    assert not model.clip.logit_scale.requires_grad
    learning = attach(clip, "mrs", train_logit_scale=True)
    assert learning.clip.logit_scale.requires_grad
    assert learning.trainable_count() == model.trainable_count()


def test_adapter_alone_is_saved_and_loaded(tmp_path, clip, images, tokens, vit_b_32):
    model = attach(clip, "mrs", bottleneck=16, share=8)
    step(model, images, tokens)
    path = model.eval().save(tmp_path / "adapter.safetensors")
    again = load(tiny_clip(), path).eval()
    assert torch.equal(again.encode_image(images), model.encode_image(images))
    assert torch.equal(again.encode_text(tokens), model.encode_text(tokens))
    assert again.options.bottleneck == 16
    assert attach(copy.deepcopy(vit_b_32), "mrs").save(tmp_path / "b32.safetensors").stat().st_size < 2**20


def test_adapter_of_another_backbone_is_refused(tmp_path, clip):
    path = attach(clip, "mrs").save(tmp_path / "adapter.safetensors")
    with pytest.raises(ConfigError, match=r"trained on backbone .* not on this one"):
        load(tiny_clip(seed=1), path)
    with pytest.raises(ConfigError, match="trained on backbone"):
        load(tiny_clip(width=128), path)
    load(tiny_clip().bfloat16(), path)  # the same weights in another precision


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_broken_adapter_file_is_named(tmp_path, clip, content):
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"adapter\.safetensors: not a readable"):
        load(clip, path)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("msr", {}, "unknown method 'msr'; known: .*mrs"),
        ("mrs", {"bottelneck": 64}, "unknown bottelneck; known: bottleneck"),
        ("mrs", {"bottleneck": "64"}, "bottleneck = '64' is str"),
        ("mrs", {"dropout": 1.5}, "dropout in"),
        ("mrs", {"share": 80}, "narrowest tower"),
    ],
)
def test_bad_methods_and_options_are_refused(method, options, message, clip):
    with pytest.raises(ValueError, match=message):
        attach(clip, method, **options)


def test_full_fine_tuning_refuses_a_low_precision_backbone(clip):
    with pytest.raises(ConfigError, match="precision fp32"):
        attach(clip.bfloat16(), "full")


def test_a_new_method_is_one_class_and_one_line(monkeypatch, clip, images, tmp_path):
    class Scale(Method):
        """Scale the frozen image embedding."""

        def __init__(self, clip, options):
            super().__init__(clip, options)
            self.scale = nn.Parameter(torch.ones(clip.visual.output_dim))

        def encode_image(self, clip, images):
            return self.scale * clip.encode_image(images)

    monkeypatch.setitem(METHODS, "scale", Scale)
    model = adapters.attach(clip, "scale")
    assert model.trainable_count() == 32
    again = load(tiny_clip(), model.save(tmp_path / "scale.safetensors"))
    assert torch.equal(again.encode_image(images), tiny_clip().encode_image(images))


def test_second_views_differ_and_carry_gradient(clip, images, tokens):
    model = attach(clip, "mrs").eval()
    torch.manual_seed(0)
    with backbone.token_dropout(model.clip, 0.2):
        view, text_view = model.encode_image(images), model.encode_text(tokens)
    assert not torch.equal(view, model.encode_image(images))
    assert not torch.equal(text_view, model.encode_text(tokens))
    view.sum().backward()
    assert model.method.adapters[0].up["visual"].weight.grad.abs().sum() > 0
    assert torch.equal(model.encode_image(images), model.encode_image(images))
