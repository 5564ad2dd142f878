"""Importing the package leaves out what few models use, and all of it works as usual once it is used."""

import json
import os
import subprocess
import sys

import open_clip
import pytest
import torch
from small_clips import backbone_of, captions, embed, images_for, shaped_clip
from torch import nn
from transformers import BertConfig
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling

from petl_core.adapters import attach
from petl_core.files import ROOT
from petl_core.lazy_imports import LAZY_MODULES, LazyAttribute, LazyFinder, install, placeholders


def python(code: str) -> None:
    """Run code in a new interpreter, in which nothing is imported yet."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_is_imported_without_the_lazy_modules():
    python("""
import sys
import petl_core.adapters, petl_core.backbone

for name in ("torch._dynamo", "sympy", "transformers", "timm"):
    assert not [module for module in sys.modules if module == name or module.startswith(name + ".")], name
""")


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_do_not_spin_unless_asked_to_and_nothing_heavy_is_imported(before, after):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    code = """
import json, os, sys
import petl_core
heavy = [name for name in ("torch", "pandas", "matplotlib", "open_clip") if name in sys.modules]
print(json.dumps([heavy, os.environ["OMP_WAIT_POLICY"]]))
"""
    environment |= {"OMP_WAIT_POLICY": before} if before else {}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == [[], after]


def test_every_lazy_attribute_is_found_and_the_compiler_works():
    """Those that open_clip and torchvision import; ``BeamSearchScorer`` has left transformers."""
    python("""
import sys
import petl_core.backbone
from petl_core.lazy_imports import LazyAttribute, Placeholder

lazy = {
    (name, value._target): value
    for module_name, module in list(sys.modules.items()) if module_name.startswith(("open_clip", "torchvision"))
    for name, value in vars(module).items() if isinstance(value, LazyAttribute)
}
found = {name for name, _ in lazy}
assert {"AutoModel", "AutoConfig", "PretrainedConfig", "Mlp", "RotAttentionPool2d", "is_compile_supported"} <= found
for (name, _), value in lazy.items():
    assert name == "BeamSearchScorer" or callable(value._real()), name

import torch
import torchvision
assert type(sys.modules["transformers"]) is not Placeholder and type(sys.modules["timm"]) is not Placeholder
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist() == [2, 2]
torch.use_deterministic_algorithms(True)
box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
assert torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), [box], 2).tolist() == [[[[1, 1], [1, 1]]]]
""")


@pytest.mark.parametrize("pooler", ["mean_pooler", "cls_pooler"])
def test_a_hugging_face_tower_is_built_from_a_folder(pooler, tmp_path, tokens):
    config = BertConfig(
        vocab_size=50_000, hidden_size=48, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64
    )
    config.save_pretrained(tmp_path / "bert")
    clip = open_clip.CustomTextCLIP(
        embed_dim=32,
        vision_cfg={"image_size": 32, "patch_size": 8, "width": 96, "layers": 2, "head_width": 32},
        text_cfg={
            "hf_model_name": str(tmp_path / "bert"),
            "hf_model_pretrained": False,
            "hf_pooler_type": pooler,
            "hf_proj_type": "linear",
        },
    )
    model = attach(backbone_of(clip), "focus").eval()
    assert model.method.taps["text"].layers == (0, 1, 2)
    expected = torch.cat([clip.encode_image(torch.ones(1, 3, 32, 32)), clip.encode_text(tokens)])
    assert torch.equal(embed(model, torch.ones(1, 3, 32, 32), tokens), expected)


def test_a_tower_of_timm_is_built():
    clip = shaped_clip()
    clip.visual = open_clip.timm_model.TimmModel("test_vit", clip.text.output_dim, image_size=32)
    model = attach(backbone_of(clip), "linear_probe")
    assert embed(model, images_for(model.backbone), captions(5, 12)).shape == (8, 2 * 64)


def test_a_lazy_attribute_is_called_asked_and_checked_against():
    ordered, other = LazyAttribute("collections", "OrderedDict"), LazyAttribute("collections", "OrderedDict")
    assert ordered(a=1) == {"a": 1}
    assert other.fromkeys("ab") == {"a": None, "b": None}
    assert isinstance(ordered(), other) and isinstance(ordered(), (int, other))
    assert not isinstance({}, other)
    assert not hasattr(other, "__wrapped__")
    with pytest.raises(AttributeError):
        LazyAttribute("collections", "Nothing")()


def test_poolers_tell_the_outputs_of_transformers_apart():
    pooler = open_clip.hf_model.ClsPooler()
    states, pooled = torch.zeros(1, 2, 3), torch.ones(1, 3)
    assert torch.equal(pooler(BaseModelOutputWithPooling(states, pooled), None), pooled)
    assert torch.equal(pooler(BaseModelOutput(states), None), states[:, 0])


def test_modules_that_are_imported_or_not_installed_are_left_alone():
    with placeholders(["torch.nn", "no_such_package.part", "wave"]):
        assert sys.modules["torch.nn"] is nn
        assert "no_such_package.part" not in sys.modules
        import wave

        assert isinstance(wave.open, LazyAttribute)
    import wave

    assert not isinstance(wave.open, LazyAttribute)


def test_it_is_installed_once_and_finds_nothing_else():
    install()
    (finder,) = [finder for finder in sys.meta_path if isinstance(finder, LazyFinder)]
    assert finder.find_spec("json") is None
    assert LAZY_MODULES.keys() == {"torchvision", "open_clip"}
