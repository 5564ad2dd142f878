"""Weights files as people have them, of small models and of ViT-B/32's shape: they are loaded, or refused."""

import warnings

import open_clip
import pytest
import torch
from open_clip import factory
from safetensors.torch import save_file
from torch import nn

from petl_core import backbone, weights_files
from petl_core.errors import ConfigError

SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {"width": 80, "heads": 2, "layers": 1},
}
LARGE_IMAGES = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], "image_size": 64}}


@pytest.fixture(autouse=True)
def small_models(monkeypatch):
    """Models that open_clip knows by name, as it knows its own."""
    monkeypatch.setitem(factory._MODEL_CONFIGS, "small", SMALL)
    monkeypatch.setitem(factory._MODEL_CONFIGS, "small-quickgelu", {**SMALL, "quick_gelu": True})
    monkeypatch.setitem(factory._MODEL_CONFIGS, "small-64", LARGE_IMAGES)


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return open_clip.CLIP(**SMALL).state_dict()


def save_state_dict(weights, path):
    torch.save(weights, path)


def save_old_format(weights, path):
    torch.save(weights, path, _use_new_zipfile_serialization=False)


def save_with_text_tower(weights, path):
    torch.save(open_clip.model.convert_to_custom_text_state_dict(weights), path)


def save_training_checkpoint(weights, path):
    named = {f"module.{name}": weight for name, weight in weights.items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": named, "optimizer": {"state": {}}}, path)


def save_archive(weights, path):
    """As OpenAI does: TorchScript, weights in half precision, three sizes among them."""
    root = nn.Module()
    sizes = {name: torch.tensor(0) for name in weights_files.OF_OPENAI}
    for name, weight in {**weights, **sizes}.items():
        *modules, leaf = name.split(".")
        holder = root
        for module in modules:
            if module not in holder._modules:
                holder.add_module(module, nn.Module())
            holder = holder._modules[module]
        holder.register_buffer(leaf, weight.half() if weight.is_floating_point() else weight)
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
        torch.jit.script(root).save(str(path))


FILES = {
    "RemoteCLIP-ViT-B-32.pt": save_state_dict,
    "RS5M_ViT-B-32.pt": save_old_format,
    "open_clip_pytorch_model.bin": save_with_text_tower,
    "open_clip_model.safetensors": save_file,
    "epoch_3.pt": save_training_checkpoint,
}


def expected(weights, quick_gelu):
    clip = open_clip.CLIP(**SMALL, quick_gelu=quick_gelu).eval()
    clip.load_state_dict(weights)
    return clip


def embed(clip):
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    tokens = open_clip.get_tokenizer("ViT-B-32")(["a river", "two planes"])
    with torch.no_grad():
        return torch.cat([clip.encode_image(images), clip.encode_text(tokens)])


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_the_model_it_was_made_of(name, weights, tmp_path):
    FILES[name](weights, tmp_path / name)
    loaded = backbone.load("small", str(tmp_path / name)).clip
    assert torch.allclose(embed(loaded), embed(expected(weights, quick_gelu=False)), atol=1e-6)


def test_openais_archive_gives_the_model_with_its_own_activation_in_float32(weights, tmp_path):
    save_archive(weights, tmp_path / "ViT-B-32.pt")
    loaded = backbone.load("small-quickgelu", str(tmp_path / "ViT-B-32.pt")).clip
    rounded = {name: weight.half().float() for name, weight in weights.items()}
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.allclose(embed(loaded), embed(expected(rounded, quick_gelu=True)), atol=1e-6)
    assert not torch.allclose(embed(loaded), embed(expected(rounded, quick_gelu=False)), atol=1e-3)


def test_openais_archive_of_a_vit_b_32(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "ViT-B-32.pt"
    weights = open_clip.create_model("ViT-B-32-quickgelu").state_dict()
    save_archive(weights, path)
    with pytest.raises(ConfigError, match=r"ViT-B-32\.pt: OpenAI's archive, .* use backbone 'ViT-B-32-quickgelu'"):
        backbone.load("ViT-B-32", str(path))
    loaded = backbone.load("ViT-B-32-quickgelu", str(path)).clip
    assert torch.equal(loaded.visual.proj, weights["visual.proj"].half().float())
    assert torch.equal(loaded.text.text_projection, weights["text_projection"].half().float())
    with pytest.raises(ConfigError, match=r"patch_size 32 instead of 14.* use backbone 'ViT-B-32-quickgelu'$"):
        backbone.load("ViT-L-14", str(path))


@pytest.mark.parametrize("save", [*FILES.values(), save_archive])
def test_another_size_is_refused_rather_than_fitted(save, weights, tmp_path):
    path = tmp_path / "weights.safetensors" if save is save_file else tmp_path / "weights.pt"
    save(weights, path)
    with pytest.raises(
        ConfigError, match=r"than small-64 \(patches_per_side 4 instead of 8\); use backbone .*'small-quickgelu'"
    ):
        backbone.load("small-64", str(path))
    with pytest.raises(ConfigError, match=r"than RN50 \(it has a ViT and open_clip's text tower\)"):
        backbone.load("RN50", str(path))


class RunsCode:
    """A pickled object that runs code where it is loaded."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\nsize 605\n", "cut short, or a Git LFS pointer; fetch it again"),
        (b"", "cut short"),
        ({"model": {"a": torch.ones(1)}}, "a dict with model, not a state dict; save the state_dict"),
        ([torch.ones(1)], "a list, not a state dict"),
        ({"layer1.weight": torch.ones(2)}, r"1 tensors \(layer1.weight, ...\) that are not a CLIP with a ViT"),
        ({"text_model.a": torch.ones(2)}, "save an open_clip model's state_dict"),
        (nn.Linear(2, 2), r"Python objects besides weights, .*save the model's state_dict\(\)"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_a_file_that_is_not_a_clip_is_named_with_what_it_is(content, message, suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ConfigError, match=rf"weights .*weights\{suffix}: .*{message}"):
        backbone.load("small", str(path))


def test_no_code_of_a_file_is_run(weights, tmp_path):
    torch.save({**weights, "more": RunsCode(tmp_path / "marker")}, tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match="Python objects besides weights"):
        backbone.load("small", str(tmp_path / "weights.pt"))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("save", [save_state_dict, save_file, save_archive])
def test_a_file_cut_short_is_refused(save, weights, tmp_path):
    path = tmp_path / "weights.safetensors" if save is save_file else tmp_path / "weights.pt"
    save(weights, path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ConfigError, match="cut short"):
        backbone.load("small", str(path))


def test_a_missing_weight_is_one_short_error(weights, tmp_path):
    del weights["visual.ln_post.weight"]
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(ConfigError, match=r'weights.pt.*"visual.ln_post.weight"') as caught:
        backbone.load("small", str(tmp_path / "weights.pt"))
    assert len(str(caught.value)) < 1000 and "\n" not in str(caught.value)
