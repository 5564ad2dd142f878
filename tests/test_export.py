"""What is exported gives the run's model and embeddings back, wherever it is read."""

import copy
import dataclasses
import json
import shutil

import huggingface_hub
import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
import transformers
from clip_benchmark.metrics import zeroshot_retrieval
from safetensors.torch import load_file, save_file
from small_clips import embed, images_for, moved
from small_worlds import small_run, small_world

from petl_core import backbone, export, retrieval
from petl_core.__main__ import main
from petl_core.adapters import METHODS, attach
from petl_core.data import Split, default_data, read_image
from petl_core.errors import ConfigError
from petl_core.inputs import embed as embed_split
from petl_core.inputs import prepare
from petl_core.retrieval import METRICS
from petl_core.runs.run import load_model, run, splits_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch)


@pytest.fixture(scope="module")
def places(world):
    return {"data_root": world["data_root"], "runs_root": world["runs_root"], "device": "cpu"}


@pytest.fixture(scope="module")
def lora(world):
    return run(small_run(world, method="lora", learning_rate=0.02), **world)


@pytest.fixture(scope="module")
def mrs(world):
    return run(small_run(world, method="mrs", method_options={"share": 16}, epochs=1), **world)


@pytest.fixture(scope="module")
def folder(lora, tmp_path_factory):
    return export.export_hub(lora, tmp_path_factory.mktemp("hub") / "out")


# The command.


def test_each_kind_is_written(lora, places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # OUT is where the shell is
    common = ["--data-root", str(places["data_root"]), "--runs-root", str(places["runs_root"]), "--device", "cpu"]
    assert main(["export", lora.hash, "embeddings", "val.parquet", "--split", "validation", *common]) == 0
    assert main(["export", str(lora.adapter.parent), "open_clip", "folded", *common]) == 0
    assert main(["export", lora.hash, "hub", "hub/", *common]) == 0
    assert pd.read_parquet("val.parquet").attrs == {"run": lora.hash, "split": "validation"}
    assert (tmp_path / "folded" / "open_clip_config.json").is_file()
    assert export.load(tmp_path / "hub", "cpu").name == "lora"


@pytest.mark.parametrize(
    ("kind", "out", "message"),
    [
        ("open_clip", "out", "does not fold"),
        ("embeddings", "out.txt", "embeddings go to a file that ends in .parquet"),
        ("embeddings --split val", "out.parquet", "split 'val' must be one of train, validation, test"),
    ],
)
def test_what_cannot_be_written_is_one_line(mrs, places, tmp_path, capsys, kind, out, message):
    kind, *more = kind.split()
    arguments = ["export", str(mrs.adapter.parent), kind, str(tmp_path / out), *more]
    assert main([*arguments, "--data-root", str(places["data_root"]), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


# Folded into open_clip.


SMALL = {
    "embed_dim": 32,
    "quick_gelu": True,  # which a folder that forgot it would not give back
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {"width": 80, "heads": 2, "layers": 2},
}


def by_open_clip(folder):
    """The model, its preprocessing and tokenizer as anybody loads them."""
    clip, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return clip.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{folder}")


@pytest.mark.parametrize("method", ["zero_shot", "lora", "bitfit", "full"])
def test_open_clip_alone_gives_the_same_embeddings(method, tmp_path):
    preprocessing = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}  # not CLIP's
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": SMALL, "preprocess_cfg": preprocessing}))
    save_file(open_clip.CustomTextCLIP(**SMALL).state_dict(), tmp_path / "open_clip_model.safetensors")
    frozen = backbone.load(str(tmp_path))
    model = moved(attach(frozen, method, train_logit_scale=True))
    images, tokens = images_for(frozen), frozen.tokens(["a river", "two white planes next to a terminal"])
    before = embed(model, images, tokens)
    clip, preprocess, tokenizer = by_open_clip(export.export_open_clip(model, tmp_path / "out"))
    assert type(clip) is open_clip.CustomTextCLIP and torch.equal(clip.logit_scale, model.clip.logit_scale)
    assert (embed(clip, images, tokens) - before).abs().max() <= 1e-5
    assert str(preprocess) == str(frozen.preprocess)
    assert torch.equal(tokenizer(["a river"]), frozen.tokens(["a river"]))
    assert torch.equal(embed(model, images, tokens), before), "the model itself is as it was"


def test_a_tokenizer_of_hugging_face_goes_with_its_model(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "river"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    transformers.BertConfig(
        vocab_size=len(words), hidden_size=48, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    ).save_pretrained(tmp_path / "bert")
    bert = str(tmp_path / "bert")
    text = {"hf_model_name": bert, "hf_tokenizer_name": bert, "hf_model_pretrained": False, "hf_proj_type": "linear"}
    config = {**SMALL, "text_cfg": text}
    tokenizer = open_clip.tokenizer.HFTokenizer(bert)
    clip = open_clip.CustomTextCLIP(**config)
    open_clip.model.set_model_preprocess_cfg(clip, vars(open_clip.transform.PreprocessCfg()))
    model = moved(attach(backbone.Backbone(clip, None, tokenizer, config), "full"))
    again, _, its_tokenizer = by_open_clip(export.export_open_clip(model, tmp_path / "out"))
    tokens = its_tokenizer(["a river"])
    assert torch.equal(tokens, tokenizer(["a river"])) and (tokens > 2).any()
    images = images_for(model.backbone)
    assert (embed(again, images, tokens) - embed(model, images, tokens)).abs().max() <= 1e-5


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"zero_shot", "lora", "bitfit", "full"}))
def test_other_methods_say_that_they_do_not_fold(method, world, tmp_path):
    model = attach(backbone.load(str(world["data_root"].parent / "clip")), method)
    with pytest.raises(ConfigError, match="does not fold into them; export the adapter alone"):
        export.export_open_clip(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# For the hub.


def rewritten(folder, tmp_path, **changes):
    """A copy of the folder with another config.json."""
    shutil.copytree(folder, tmp_path / "copy")
    about = json.loads((folder / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps({**about, **changes}))
    return tmp_path / "copy"


@pytest.mark.parametrize("method", ["lora", "mrs"])
def test_the_model_comes_back_from_another_place(method, tmp_path, request):
    finished = request.getfixturevalue(method)
    export.export_hub(finished, tmp_path / "out").rename(tmp_path / "moved")
    model, expected = export.load(tmp_path / "moved", "cpu"), load_model(finished, "cpu")
    images, tokens = images_for(expected.backbone), expected.backbone.tokens(["a pond", "two ships at a pier"])
    assert not model.training and model.name == method and model.options == expected.options
    assert torch.equal(embed(model, images, tokens), embed(expected, images, tokens))


def test_a_folder_names_everything_but_places_and_pickles_nothing(folder, lora):
    text = (folder / "config.json").read_text()
    about = json.loads(text)
    assert about["method"] == "lora" and about["options"] == {"rank": 4, "alpha": 4.0}
    assert about["backbone"]["name"] == "clip" and about["backbone"]["carried"] is True
    frozen = backbone.load(str(folder / "backbone"))
    assert about["backbone"]["fingerprint"] == backbone.fingerprint(frozen.clip)
    assert str(lora.adapter.parents[2]) not in text + (folder / "README.md").read_text()
    assert load_file(folder / "adapter.safetensors").keys() == load_file(lora.adapter).keys()
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    carried = {f"backbone/open_clip_{name}" for name in ("config.json", "model.safetensors")}
    assert files == {"config.json", "adapter.safetensors", "README.md", *carried}


def test_a_public_backbone_is_loaded_by_its_name(folder, tmp_path, monkeypatch):
    about = json.loads((folder / "config.json").read_text())
    public = {**about["backbone"], "name": "ViT-B-32-quickgelu", "pretrained": "openai", "carried": False}
    asked, load = [], backbone.load

    def from_the_network(name, pretrained, device):
        asked.append((name, pretrained))
        return load(str(folder / "backbone"), "", device=device)

    monkeypatch.setattr(backbone, "load", from_the_network)
    assert export.load(rewritten(folder, tmp_path, backbone=public), "cpu").name == "lora"
    assert asked == [("ViT-B-32-quickgelu", "openai")]


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"preprocessing": {}, "backbone": {"name": "x"}}'])
def test_a_broken_configuration_is_named(folder, tmp_path, content):
    copied = rewritten(folder, tmp_path)
    (copied / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json does not describe an exported adapter"):
        export.load(copied)


def test_another_backbone_or_preprocessing_is_refused(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"preprocessed as \{'size': 7\}, but backbone .* now says"):
        export.load(rewritten(folder, tmp_path / "a", preprocessing={"size": 7}), "cpu")
    copied = rewritten(folder, tmp_path / "b")
    weights = load_file(copied / "backbone" / "open_clip_model.safetensors")
    weights["visual.proj"] += 1
    export._write_clip(backbone.load(str(folder / "backbone")), weights, copied / "backbone")
    with pytest.raises(ConfigError, match="was trained on backbone"):
        export.load(copied, "cpu")


def test_a_repository_of_the_hub_is_fetched_without_what_is_not_needed(folder, monkeypatch):
    asked = []

    def download(name, allow_patterns):
        asked.append(name)
        assert {pattern.rpartition(".")[2] for pattern in allow_patterns} == {"json", "safetensors", "txt"}
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert export.load("somebody/remote-lora", "cpu").name == "lora"
    assert asked == ["somebody/remote-lora"]
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *_, **__: (_ for _ in ()).throw(OSError("offline"))
    )
    with pytest.raises(ConfigError, match=r"'somebody/else' cannot be fetched \(offline\)"):
        export.load("somebody/else")
    with pytest.raises(ConfigError, match="not a repository's name"):
        export.load("no/such/folder")


def test_the_card_says_what_the_metrics_say(lora):
    metrics = copy.deepcopy(lora.metrics)
    metrics["scores"]["strict"]["mr"], metrics["intervals"]["strict"]["mr"] = 12.375, [10.0, 15.5]
    metrics["images"]["train"] = 7_000
    config = lora.config.replace(dataset="/somewhere/rsicd", backbone="x", pretrained="/w/RemoteCLIP-ViT-B-32.pt")
    card = export.model_card(dataclasses.replace(lora, config=config, metrics=metrics), "0123", carried=True)
    assert "12.38 [10.00, 15.50]" in card and "7,000 images to train on" in card
    assert card.count(" [") >= 2 * len(METRICS) and "3 of 3, the last" in card
    assert "fingerprint 0123; it is in this folder, too" in card and metrics["environment"]["revision"] in card
    assert "/somewhere" not in card and "* Beware: RemoteCLIP was trained on RSICD" in card


# Embeddings.


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_parquet_has_a_row_for_each_image_and_caption(lora, places, tmp_path, split):
    frame = pd.read_parquet(export.export_embeddings(lora, tmp_path / "out.parquet", split, **places))
    expected = splits_of(lora.config, default_data.load_or_draw("scenes-mini", places["data_root"]))[split]
    assert list(frame.columns) == ["kind", "image", "path", "caption", "scene", "embedding"]
    images, captions = frame[frame["kind"] == "image"], frame[frame["kind"] == "caption"]
    assert images["image"].tolist() == list(range(len(expected.images))) and images["caption"].isna().all()
    root = places["data_root"]
    assert [(root / path).resolve() for path in images["path"]] == [path.resolve() for path in expected.images]
    assert images["scene"].tolist() == list(expected.scenes)
    assert captions["caption"].tolist() == list(expected.captions)
    assert captions["image"].tolist() == expected.image_of.tolist()
    assert captions["path"].tolist() == [images["path"].tolist()[i] for i in expected.image_of]
    assert np.linalg.norm(np.stack(frame["embedding"]), axis=1) == pytest.approx(np.ones(len(frame)), abs=1e-5)
    assert frame["embedding"][0].dtype == np.float32


def test_the_recalls_of_exported_embeddings_are_those_of_the_run(lora, mrs, places, tmp_path):
    for finished in (lora, mrs):
        frame = pd.read_parquet(export.export_embeddings(finished, tmp_path / "out.parquet", **places))
        captions = frame[frame["kind"] == "caption"]
        images, texts = (np.stack(frame[frame["kind"] == kind]["embedding"]) for kind in ("image", "caption"))
        scores = retrieval.similarity(images, texts)
        found = retrieval.evaluate(scores, captions["image"].to_numpy(), captions["caption"].tolist())
        for kind in ("strict", "equivalent"):
            assert found[kind] == pytest.approx(finished.metrics["scores"][kind])


def test_data_that_changed_since_the_run_are_refused(lora, places, tmp_path):
    inputs = {**lora.metrics["inputs"], "data": "another"}
    other = dataclasses.replace(lora, metrics={**lora.metrics, "inputs": inputs})
    with pytest.raises(ConfigError, match="has changed since run"):
        export.export_embeddings(other, tmp_path / "out.parquet", **places)


# LAION's clip_benchmark evaluates an adapted model unchanged.


@pytest.mark.parametrize("method", ["lora", "mrs"])
def test_clip_benchmark_finds_our_recalls(method, places, request):
    model = load_model(request.getfixturevalue(method), "cpu")
    split = default_data.load_or_draw("scenes-mini", places["data_root"]).test
    first = np.sort(np.unique(split.captions, return_index=True)[1])  # no duplicate captions, since copies tie
    kept = Split(split.images, tuple(split.captions[j] for j in first), split.image_of[first], split.scenes)
    kept = kept.subset(np.unique(kept.image_of))
    captions_of_each = [[] for _ in kept.images]
    for caption, image in zip(kept.captions, kept.image_of, strict=True):
        captions_of_each[image].append(caption)
    pixels = torch.stack([model.backbone.preprocess(read_image(path)) for path in kept.images])
    batches = [(pixels[i : i + 4], captions_of_each[i : i + 4]) for i in range(0, len(pixels), 4)]
    theirs = zeroshot_retrieval.evaluate(
        model, batches, model.backbone.tokenizer, "cpu", amp=False, recall_k_list=[1, 5, 10]
    )

    prepared = prepare(kept, model, places["runs_root"] / "cache").part(kept)
    ours = retrieval.evaluate(retrieval.similarity(*embed_split(model, prepared)), kept.image_of)["strict"]
    names = {"i2t": "text_retrieval", "t2i": "image_retrieval"}
    found = {f"{our}_r{k}": 100 * theirs[f"{name}_recall@{k}"] for our, name in names.items() for k in (1, 5, 10)}
    assert found == pytest.approx({name: ours[name] for name in found}, abs=1e-4)
    assert len(set(found.values())) > 3  # no model that finds all or nothing
