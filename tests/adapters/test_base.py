"""Attaching, options and saved files: what works, and what is refused with a remedy."""

import importlib.util
import json
import sys
import textwrap

import pytest
import torch
from layouts import NOT_SHARED
from safetensors.torch import load_file, save_file
from small_clips import (
    CONTEXT,
    backbone_of,
    embed,
    gelu_and_quick_gelu,
    hugging_face_backbone,
    images_for,
    shaped_backbone,
    tiny_backbone,
    train_step,
)
from torch import nn

from petl_core.adapters import METHODS, SideMethod, attach, check_method, load
from petl_core.errors import ConfigError

IN_BLOCKS = sorted({name for name, method in METHODS.items() if not issubclass(method, SideMethod)} - {"full"})
IN_TEXT_BLOCKS = sorted(set(IN_BLOCKS) - {"vpt", "convpass"} | {"lst"})

SCALE = '''
    """Scale the frozen image embedding."""

    import torch
    from pydantic.dataclasses import dataclass
    from torch import nn

    from petl_core.adapters.base import STRICT, Method


    @dataclass(frozen=True, config=STRICT)
    class ScaleOptions:
        start: float = 1.0


    class Scale(Method):
        """One factor for each dimension of an image's embedding; 512 parameters on ViT-B/32."""

        title = "Scaled CLIP"
        parameter_count = 512
        Options = ScaleOptions

        def __init__(self, clip, options):
            super().__init__(clip, options)
            self.scale = nn.Parameter(torch.full((clip.visual.output_dim,), options.start))

        def encode_image(self, clip, images):
            return self.scale * clip.encode_image(images)
'''


def test_a_new_method_is_a_file_and_one_line(monkeypatch, backbone, tokens, tmp_path):
    # its file
    path = tmp_path / "scale.py"
    path.write_text(textwrap.dedent(SCALE))
    spec = importlib.util.spec_from_file_location("scale", path)
    scale = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "scale", scale)  # as an imported module would be
    spec.loader.exec_module(scale)

    # its line
    monkeypatch.setitem(METHODS, "scale", scale.Scale)

    # it is attached, with options of its class
    assert check_method("scale", {"start": 2}).start == 2.0
    model = attach(backbone, "scale", start=2)
    assert model.trainable_count() == backbone.clip.visual.output_dim

    # it trains
    images = images_for(backbone)
    before = embed(model, images, tokens)
    train_step(model.train(), torch.optim.Adam(model.trainable().values(), 0.1), images, tokens)
    after = embed(model.eval(), images, tokens)
    assert not torch.equal(after[:6], before[:6]) and torch.equal(after[6:], before[6:])

    # it is saved and loaded
    again = load(tiny_backbone(), model.save(tmp_path / "scale.safetensors")).eval()
    assert (again.name, again.options.start) == ("scale", 2.0)
    assert torch.equal(embed(again, images, tokens), after)


def test_a_model_carries_its_backbone(backbone):
    model = attach(backbone, "mrs", bottleneck=16, share=8)
    assert model.backbone is backbone and model.clip is backbone.clip
    assert model.device == torch.device("cpu")
    assert model.name == "mrs" and isinstance(model.method, METHODS["mrs"])
    assert (model.options.bottleneck, model.options.share, model.options.shared) == (16, 8, True)
    assert not any(p.requires_grad for p in model.clip.parameters())
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"clip", "method"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("msr", {}, "unknown method 'msr'; known: .*mrs"),
        ("mrs", {"bottelneck": 64}, "options of mrs: unknown bottelneck; known: bottleneck"),
        ("mrs", {"bottleneck": "64"}, "options of mrs: bottleneck = '64': .*integer"),
        ("mrs", {"bottleneck": 6.5, "share": -1}, "bottleneck = 6.5: .*; share = -1: .*greater than or equal to 0"),
        ("mrs", {"towers": "visual"}, "towers = 'visual': .*'both', 'image' or 'text'"),
        ("zero_shot", {"tokens": 1}, "unknown tokens; known: none"),
    ],
)
def test_bad_methods_and_options_are_refused_before_anything_is_attached(name, options, message, backbone):
    with pytest.raises(ConfigError, match=message):
        check_method(name, options)
    with pytest.raises(ConfigError, match=message):
        attach(backbone, name, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {"bottleneck": 0}) for name, _ in NOT_SHARED]
    + [(name, {"scale": 0.0}) for name in ("adaptformer", "convpass", "uniadapter")]
    + [
        ("coop", {"tokens": 0}),
        ("coop", {"tokens": CONTEXT - 2}),
        ("coop", {"deep": 1}),
        ("vpt", {"tokens": 0}),
        ("vl_prompt", {"image_tokens": 0}),
        ("vl_prompt", {"text_tokens": 0}),
        ("clip_adapter", {"reduction": 0}),
        ("clip_adapter", {"ratio": 0.0}),
        ("clip_adapter", {"ratio": 1.1}),
        ("cross_modal", {"share": -1}),
        ("cross_modal", {"share": 80}),
        ("mrs", {"share": 80}),
        ("lora", {"rank": 0}),
        ("lora", {"alpha": -1.0}),
        ("lora", {"alpha": float("inf")}),
        ("bitfit", {"tokens": 1}),
        ("lst", {"reduction": 0}),
        ("lst", {"reduction": 7}),
        ("lst", {"reduction": 100}),
        ("focus", {"taps": 0}),
        ("focus", {"reduction": 0}),
        ("focus", {"reduction": 129}),
        ("focus", {"attention": "mean"}),
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


def test_an_adapter_of_another_backbone_is_refused(tmp_path, backbone):
    path = attach(backbone, "mrs").save(tmp_path / "adapter.safetensors")
    plain, quick = gelu_and_quick_gelu()
    for other in (tiny_backbone(seed=1), tiny_backbone(width=128), backbone_of(quick)):
        with pytest.raises(ConfigError, match=r"trained on backbone .* not on this one .*same open_clip model"):
            load(other, path)
    load(backbone_of(plain.bfloat16()), path)  # the same weights in another precision


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"method": "msr"}, "unknown method 'msr'"),
        ({"options": {"bottelneck": 64}}, "options of mrs: unknown bottelneck; known: bottleneck"),
        ({"options": 64}, "not a readable adapter file .*train or copy it again"),
        ({"backbone": None}, "trained on backbone None"),
        (None, "not a readable adapter file .*'adapter'"),
    ],
)
def test_broken_metadata_are_named_with_their_file(tmp_path, backbone, change, problem):
    model = attach(backbone, "mrs")
    about = {"method": "mrs", "options": {}, "train_logit_scale": False, "backbone": model.backbone_fingerprint}
    metadata = None if change is None else {"adapter": json.dumps({**about, **change})}
    path = tmp_path / "adapter.safetensors"
    save_file({name: p.detach() for name, p in model.trainable().items()}, path, metadata)
    with pytest.raises(ConfigError, match=rf"adapter\.safetensors:? .*{problem}"):
        load(tiny_backbone(), path)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all"])
def test_a_missing_or_broken_file_is_named(tmp_path, backbone, content):
    path = tmp_path / "adapter.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"adapter\.safetensors: not a readable"):
        load(backbone, path)


def test_weights_of_another_layout_are_named(tmp_path, backbone):
    path = attach(backbone, "mrs").save(tmp_path / "adapter.safetensors")
    weights = load_file(path)
    weights["method.adapters.1.up_shared.bias"] = weights.pop("method.adapters.0.up_shared.bias")
    about = {"method": "mrs", "options": {}, "train_logit_scale": False}
    about["backbone"] = attach(tiny_backbone(), "zero_shot").backbone_fingerprint
    save_file(weights, path, {"adapter": json.dumps(about)})
    with pytest.raises(ConfigError, match=r"adapters\.0\.up_shared\.bias and 1 more do not match mrs"):
        load(tiny_backbone(), path)
