"""A published folder gives the run's model back, wherever it is."""

import json
import shutil

import huggingface_hub
import pytest
import torch
from petl_core.runs.experiment import load_model
from safetensors.torch import load_file
from small_clips import embed, images_for

from petl_core import backbone, export
from petl_core.adapters import METHODS
from petl_core.errors import ConfigError
from petl_core.export import hub


@pytest.fixture(scope="module")
def folder(lora, world, tmp_path_factory):
    return export.export_hub(lora, tmp_path_factory.mktemp("hub") / "out", world["data_root"])


def rewritten(folder, tmp_path, **changes):
    """A copy of the folder with another config.json."""
    shutil.copytree(folder, tmp_path / "copy")
    about = json.loads((folder / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps({**about, **changes}))
    return tmp_path / "copy"


@pytest.mark.parametrize("method", ["lora", "mrs"])
def test_the_model_comes_back_from_another_place(method, data_root, tmp_path, request):
    run = request.getfixturevalue(method)
    out = export.export_hub(run, tmp_path / "out", data_root)
    out.rename(tmp_path / "moved")
    model, expected = export.load(tmp_path / "moved", "cpu"), load_model(run, data_root, "cpu")
    images, tokens = images_for(expected.backbone), expected.backbone.tokens(["a pond", "two ships at a pier"])
    assert not model.training and model.name == method and model.options == expected.options
    assert torch.equal(embed(model, images, tokens), embed(expected, images, tokens))
    assert str(model.backbone.preprocess) == str(expected.backbone.preprocess)


def test_its_configuration_names_everything_but_places(folder, lora):
    text = (folder / "config.json").read_text()
    about = json.loads(text)
    assert about["method"] == "lora" and about["options"] == {"rank": 4, "alpha": 4.0}
    assert about["backbone"]["name"] == "mini" and about["backbone"]["carried"] is True
    frozen = backbone.load(str(folder / "backbone"))
    assert about["backbone"]["fingerprint"] == backbone.fingerprint(frozen.clip)
    assert about["preprocessing"]["size"] == [32, 32]
    assert str(lora.folder.parent) not in text + (folder / "README.md").read_text()
    assert load_file(folder / "adapter.safetensors").keys() == load_file(lora.folder / "adapter.safetensors").keys()


def test_nothing_in_it_is_pickled(folder):
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "config.json",
        "adapter.safetensors",
        "README.md",
        "backbone/open_clip_config.json",
        "backbone/open_clip_model.safetensors",
    }


@pytest.mark.parametrize(
    ("name", "pretrained", "public"),
    [
        ("ViT-B-32-quickgelu", "openai", True),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "", True),
        ("ViT-B-32-quickgelu", "weights/RemoteCLIP-ViT-B-32.pt", False),
        ("data/my-clip", "", False),
        ("embedded", "", False),
    ],
)
def test_a_backbone_is_carried_where_its_name_is_of_no_use_elsewhere(lora, name, pretrained, public):
    assert hub._is_public(lora.config.replace(backbone=name, pretrained=pretrained)) is public


def test_a_public_backbone_is_loaded_by_its_name(folder, tmp_path, monkeypatch):
    about = json.loads((folder / "config.json").read_text())
    public = {**about["backbone"], "name": "ViT-B-32-quickgelu", "pretrained": "openai", "carried": False}
    asked, load = [], backbone.load

    def from_the_network(name, pretrained, precision, device):
        asked.append((name, pretrained, precision))
        return load(str(folder / "backbone"), "", precision, device)

    monkeypatch.setattr(backbone, "load", from_the_network)
    assert export.load(rewritten(folder, tmp_path, backbone=public), "cpu").name == "lora"
    assert asked == [("ViT-B-32-quickgelu", "openai", "fp32")]


def test_another_preprocessing_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"preprocessed as \{'size': 7\}, but backbone .* now says"):
        export.load(rewritten(folder, tmp_path, preprocessing={"size": 7}), "cpu")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"preprocessing": {}, "backbone": {"name": "x"}}'])
def test_a_broken_configuration_is_named(folder, tmp_path, content):
    copy = rewritten(folder, tmp_path)
    (copy / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json does not describe an exported adapter"):
        export.load(copy)


def test_another_backbone_in_its_place_is_refused(folder, tmp_path):
    copy = rewritten(folder, tmp_path)
    weights = load_file(copy / "backbone" / "open_clip_model.safetensors")
    weights["visual.proj"] += 1
    hub.write_clip(backbone.load(str(folder / "backbone")), weights, copy / "backbone")
    with pytest.raises(ConfigError, match="was trained on backbone"):
        export.load(copy, "cpu")


def test_a_repository_of_the_hub_is_fetched_without_what_is_not_needed(folder, monkeypatch):
    asked = []

    def download(name, allow_patterns):
        asked.append(name)
        assert {pattern.rpartition(".")[2] for pattern in allow_patterns} == {"json", "safetensors", "txt"}
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert export.load("somebody/remote-lora", "cpu").name in METHODS
    assert asked == ["somebody/remote-lora"]


def test_a_place_with_nothing_is_named(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"is not a folder, and .* is not a repository's name"):
        export.load(tmp_path / "nowhere")

    def no_network(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", no_network)
    with pytest.raises(ConfigError, match=r"'somebody/nothing' cannot be fetched from the hub \(no network\)"):
        export.load("somebody/nothing")
