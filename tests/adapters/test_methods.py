"""What every registered method keeps to; the families' own files test what each computes."""

import copy

import open_clip
import pytest
import torch
from conftest import tiny_clip
from torch.nn.functional import cross_entropy

from petl_core import backbone
from petl_core.adapters import METHODS, attach, load
from petl_core.plots.figures import METHODS as LABELS
from petl_core.validation import ConfigError

COUNTS = {  # trained parameters on ViT-B/32
    ("zero_shot", ()): 0,
    ("linear_probe", ()): 1_050_624,
    ("full", ()): 151_277_312,  # and logit_scale, which no count holds: 151,277,313 as published
    ("coop", ()): 8_192,
    ("coop", (("deep", True),)): 98_304,
    ("vpt", ()): 460_800,
    ("vl_prompt", ()): 468_992,
    ("adapter", ()): 165_248,
    ("clip_adapter", ()): 524_288,
    ("convpass", ()): 136_064,
    ("adaptformer", ()): 165_248,
    ("cross_modal", ()): 163_168,
    ("cross_modal", (("share", 64),)): 161_088,
    ("uniadapter", ()): 550_412,
    ("mrs", ()): 161_088,
    ("lora", ()): 245_760,
    ("bitfit", ()): 171_008,
    ("lst", ()): 3_411_704,
    ("focus", ()): 1_284_876,
}
TRAINED = [name for name in METHODS if name != "zero_shot"]
STARTS_ELSEWHERE = {"coop", "vpt", "vl_prompt", "clip_adapter"}  # their first step is already off zero-shot CLIP
OWN_WEIGHTS = {"full", "bitfit"}  # they train the backbone itself, so it must be float32


@pytest.fixture(scope="module")
def vit_b_32():
    return open_clip.create_model("ViT-B-32-quickgelu", device="meta", force_custom_text=True)


def test_every_method_is_counted_and_has_a_label():
    assert {name for name, _ in COUNTS} == METHODS.keys() == LABELS.keys()


@pytest.mark.parametrize(("name", "options"), COUNTS)
def test_trained_parameters_on_vit_b_32(vit_b_32, monkeypatch, name, options):
    monkeypatch.setattr(backbone, "fingerprint", lambda clip: "meta")  # no values to hash
    assert attach(copy.deepcopy(vit_b_32), name, **dict(options)).trainable_count() == COUNTS[name, options]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", METHODS.keys() - STARTS_ELSEWHERE)
def test_training_starts_at_zero_shot(name, precision, images, tokens):
    frozen = tiny_clip().to(backbone.DTYPES[precision])
    if precision == "bf16" and name in OWN_WEIGHTS:
        with pytest.raises(ConfigError, match="use precision fp32"):
            attach(frozen, name)
        return
    expected = attach(copy.deepcopy(frozen), "zero_shot")
    model = attach(frozen, name).eval()
    with torch.no_grad():
        pairs = [
            (each.encode_image(images, normalize=True) @ each.encode_text(tokens, normalize=True).T)
            for each in (model, expected)
        ]
    torch.testing.assert_close(*pairs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", TRAINED)
def test_two_steps_move_all_that_is_trained_and_nothing_else(name, images, tokens):
    model = attach(tiny_clip(), name).train()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.trainable().values(), 1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        logits = model.encode_image(images, normalize=True) @ model.encode_text(tokens, normalize=True).T
        cross_entropy(10 * logits, torch.arange(len(logits))).backward()
        optimizer.step()
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name
        else:
            assert parameter.grad is None and torch.equal(parameter, before[parameter_name]), parameter_name


@pytest.mark.parametrize("name", TRAINED)
def test_a_saved_method_is_loaded_as_it_was(name, tmp_path, images, tokens):
    model = attach(tiny_clip(), name).eval()
    with torch.no_grad():
        for parameter in model.trainable().values():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7))
    again = load(tiny_clip(), model.save(tmp_path / "adapter.safetensors")).eval()
    with torch.no_grad():
        assert torch.equal(again.encode_image(images), model.encode_image(images))
        assert torch.equal(again.encode_text(tokens), model.encode_text(tokens))
