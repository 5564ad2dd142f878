"""Features on disk: made once, never used when broken, and as good as images to train on."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from conftest import tiny_clip
from drawn_scenes import write

from petl_core import adapters, data, recycling
from petl_core.backbone import Backbone
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.runs import experiment
from petl_core.training import default_backbones, features
from petl_core.training import encoding as training
from petl_core.training.pretraining import PretrainConfig
from petl_core.validation import ConfigError

CPU = torch.device("cpu")
SIDE_METHODS = ("linear_probe", "clip_adapter", "lst", "focus")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Captions of many lengths; one image and one caption stand twice."""
    root = tmp_path_factory.mktemp("data")
    folder = write(root, "scenes-x", train=20, test=6, size=40, progress=False)
    names = (folder / "train_filename.txt").read_text().split()
    shutil.copy(folder / "scenes-x_images" / names[3], folder / "scenes-x_images" / names[7])
    captions = (folder / "train_caps.txt").read_text().splitlines()
    captions[11], captions[12] = captions[50], "a pond"
    (folder / "train_caps.txt").write_text("\n".join(captions) + "\n")
    return data.load("scenes-x", root)


@pytest.fixture
def frozen():
    return backbone_of(tiny_clip())


def backbone_of(clip):
    return Backbone(
        clip.requires_grad_(False),
        open_clip.image_transform(32, is_train=False),
        open_clip.get_tokenizer("ViT-B-32"),
    )


def moved(model):
    """What training would leave: nothing at its start."""
    with torch.no_grad():
        for weight in model.trainable().values():
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    return model


def load(dataset, frozen, root, method="focus", split="train", **options):
    model = moved(adapters.attach(frozen.clip, method, **options))
    return model, features.load(getattr(dataset, split), model, frozen, root, CPU)


@pytest.mark.parametrize("method", SIDE_METHODS)
def test_embeddings_equal_those_of_images(method, dataset, frozen, tmp_path):
    model, cached = load(dataset, frozen, tmp_path, method)
    train, validation = data.split_validation(dataset.train, 0.3, seed=1)
    for part in (train, validation, dataset.train):
        expected = training.embed(model, frozen, training.prepare(part, frozen), CPU)
        for found, wanted in zip(training.embed(model, frozen, cached.prepared(part), CPU), expected, strict=True):
            assert (np.sum(found * wanted, axis=1) > 1 - 1e-5).all()
            np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.mark.parametrize("method", SIDE_METHODS)
def test_training_from_cache_has_the_losses_of_training_from_images(method, dataset, tmp_path):
    """Twenty steps with second views, whose dropout strikes the same elements; half precision costs below 1e-3."""
    config = RunConfig(method=method, batch_size=8, learning_rate=1e-3, epochs=10, pairs="images")
    losses = {}
    for source in ("images", "cache"):
        frozen = backbone_of(tiny_clip())
        torch.manual_seed(0)
        model = adapters.attach(frozen.clip, method)
        if source == "cache":
            prepared = features.load(dataset.train, model, frozen, tmp_path, CPU).prepared(dataset.train)
        else:
            prepared = training.prepare(dataset.train, frozen)
        optimizer = torch.optim.AdamW(model.trainable().values(), config.learning_rate)
        steps = losses[source] = []

        def recorded(*arguments, steps=steps, **named):
            terms = BATCH_LOSS(*arguments, **named)
            steps.append(terms["total"].item())
            return terms

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "batch_loss", recorded)
            for epoch in range(1, 8):
                training.train_epoch(model, frozen, prepared, config, optimizer, epoch, CPU, recycling.Queue(0, 32))
    assert len(losses["images"]) == 21 and losses["images"][0] != losses["images"][-1]
    np.testing.assert_allclose(losses["cache"], losses["images"], rtol=1e-3)


BATCH_LOSS = training.batch_loss


def test_copies_are_held_once(dataset, frozen, tmp_path):
    _, cached = load(dataset, frozen, tmp_path)
    prepared = cached.prepared(dataset.train)
    assert len(cached.image_taps) == 19 and len(set(prepared.pixels_of.tolist())) == 19
    assert prepared.pixels_of[3] == prepared.pixels_of[7]
    assert prepared.tokens_of[11] == prepared.tokens_of[50]
    assert len(cached.text_taps) == len(cached.tokens) == len(set(map(data.caption_key, dataset.train.captions)))
    assert cached.tokens.shape[1] == int((cached.tokens != 0).sum(1).max()) < 77
    assert cached.image_taps.dtype == np.float16


def test_half_precision_keeps_1_part_in_2048(dataset, frozen, tmp_path):
    model, cached = load(dataset, frozen, tmp_path)
    exact = model.tap_text(cached.tokens).numpy()
    np.testing.assert_allclose(np.asarray(cached.text_taps, dtype=np.float32), exact, rtol=2**-11, atol=3e-8)


def forbid_towers(monkeypatch):
    for tap in ("tap_image", "tap_text"):
        monkeypatch.setattr(adapters.AdaptedCLIP, tap, lambda *_: pytest.fail("a tower ran"))
    monkeypatch.setattr(Backbone, "pixels", lambda *_: pytest.fail("an image was decoded"))


def test_towers_run_once(dataset, frozen, tmp_path, monkeypatch):
    _, first = load(dataset, frozen, tmp_path)
    forbid_towers(monkeypatch)
    model, again = load(dataset, backbone_of(tiny_clip()), tmp_path)
    assert np.array_equal(first.image_taps, again.image_taps)
    assert np.array_equal(first.text_taps, again.text_taps)
    v, t = training.embed(model, frozen, again.prepared(dataset.train), CPU)
    assert (len(v), len(t)) == (20, 100)


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({"method": "linear_probe"}, 2),
        ({"taps": 1}, 2),
        ({"text": False}, 1),
        ({"reduction": 4}, 0),
        ({"split": "test"}, 2),
    ],
)
def test_whatever_changes_the_taps_has_a_cache_of_its_own(dataset, frozen, tmp_path, changes, made):
    load(dataset, backbone_of(tiny_clip()), tmp_path)
    load(dataset, frozen, tmp_path, **changes)
    assert len(list(tmp_path.glob("*/features.json"))) == 2 + made


def test_another_backbone_precision_or_preprocessing_has_a_cache_of_its_own(dataset, tmp_path):
    other = backbone_of(tiny_clip())
    blurred = open_clip.image_transform(32, is_train=False, interpolation="bilinear")
    variants = (
        backbone_of(tiny_clip()),
        backbone_of(tiny_clip(seed=1)),
        backbone_of(tiny_clip().bfloat16()),
        Backbone(other.clip, blurred, other.tokenizer),
    )
    for variant in variants:
        load(dataset, variant, tmp_path)
    assert len(list(tmp_path.glob("*/features.json"))) == 7  # the last one differs in images alone


def test_a_changed_pixel_or_word_is_noticed(dataset, frozen, tmp_path):
    shutil.copytree(dataset.root, tmp_path / "scenes-x_precomp")
    load(dataset, backbone_of(tiny_clip()), tmp_path / "features")
    copy = data.load("scenes-x", tmp_path)
    shutil.copy(copy.train.images[0], copy.train.images[1])
    load(copy, frozen, tmp_path / "features")
    assert len(list(tmp_path.glob("features/*/features.json"))) == 3
    captions = tmp_path / "scenes-x_precomp" / "train_caps.txt"
    captions.write_text(captions.read_text().replace("a pond", "a lake"))
    load(data.load("scenes-x", tmp_path), backbone_of(tiny_clip()), tmp_path / "features")
    assert len(list(tmp_path.glob("features/*/features.json"))) == 4


INPUTS = {"tapped": "squares"}
EXPECTED = np.arange(300.0, dtype=np.float16)[:, None] * np.ones(2, dtype=np.float16)


def squares(made: list | None = None):
    def make():
        if made is not None:
            made.append(1)
        return torch.arange(300), lambda rows: rows[:, None].expand(-1, 2).float()

    return make


def truncate(folder):
    os.truncate(folder / "taps.bin", 100)


def flip(folder):
    content = bytearray((folder / "taps.bin").read_bytes())
    content[77] ^= 1
    (folder / "taps.bin").write_bytes(content)


def change_checksum(folder):
    about = json.loads((folder / "features.json").read_text())
    about["sha256"]["taps.bin"] = "0" * 64
    (folder / "features.json").write_text(json.dumps(about))


def change_rows(folder):
    np.save(folder / "rows.npy", np.zeros(300, dtype=np.int64))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip,
        change_checksum,
        change_rows,
        lambda folder: (folder / "features.json").unlink(),
        lambda folder: (folder / "features.json").write_text("{"),
        lambda folder: (folder / "features.json").write_text("[1]"),
        lambda folder: (folder / "taps.bin").unlink(),
    ],
)
def test_a_broken_cache_is_made_again_with_a_warning(damage, tmp_path, caplog):
    features.entry(tmp_path, INPUTS, squares())
    (folder,) = tmp_path.glob("[!.]*")
    damage(folder)
    made = []
    taps, rows = features.entry(tmp_path, INPUTS, squares(made))
    assert made and np.array_equal(taps, EXPECTED) and torch.equal(rows, torch.arange(300))
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert str(folder) in warning and "made again" in warning
    features.entry(tmp_path, INPUTS, lambda: pytest.fail("made a third time"))


SCRIPT = """
import json, multiprocessing, os, signal, sys, torch
from petl_core.training import features

root, fork = sys.argv[1], multiprocessing.get_context("fork")

def ask(dies):
    def tap(rows):
        if dies and rows[0] > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows[:, None].expand(-1, 2).float()

    def make():
        print("made", file=sys.stderr, flush=True)
        return torch.arange(300), tap

    features.entry(root, {"tapped": "squares"}, make)

def run(*deaths):
    processes = [fork.Process(target=ask, args=(dies,)) for dies in deaths]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes], sorted(os.listdir(root))

print(json.dumps([run(True), run(False, False)]))
"""


def test_killed_in_the_middle_it_leaves_nothing_usable_and_two_processes_then_make_it_once(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    (killed, left), (finished, made) = json.loads(done.stdout)
    assert killed == [-signal.SIGKILL] and sorted(name.count("-") for name in left) == [0, 1]  # the lock and a draft
    assert finished == [0, 0] and len(made) == 2  # the lock and the folder
    assert done.stderr.split() == ["made"] * 2
    taps, _ = features.entry(tmp_path, INPUTS, lambda: pytest.fail("made a third time"))
    assert np.array_equal(taps, EXPECTED)


def test_an_exception_in_the_middle_leaves_nothing(tmp_path):
    def tap(rows):
        if len(rows) > 1:
            raise KeyboardInterrupt
        return torch.ones(1, 2)

    with pytest.raises(KeyboardInterrupt):
        features.entry(tmp_path, INPUTS, lambda: (torch.arange(300), tap))
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_the_size_is_announced_and_a_disk_too_small_is_refused(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="petl_core")
    wide = (torch.arange(3 * 2**19), lambda rows: torch.zeros(len(rows), 1024))
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(OSError, match=r"cannot write features .*: 3\.000 GiB are needed, but 1\.000 GiB are free") as e:
        features.entry(tmp_path, INPUTS, lambda: wide)
    assert str(tmp_path) in str(e.value)
    assert "writing 3.000 GiB to" in caplog.text
    assert not list(tmp_path.glob("[!.]*"))


def test_values_beyond_half_precision_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"reach 7e\+04, too large for half precision"):
        features.entry(tmp_path, INPUTS, lambda: (torch.arange(1), lambda rows: torch.full((1, 2), 7e4)))
    assert not list(tmp_path.glob("[!.]*"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A data root and a runs root with the smallest data set and backbone that train."""
    root = tmp_path_factory.mktemp("world")
    sizes = {"train": 24, "test": 10, "size": 32}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(default_data.DRAWN, "scenes-mini", {"domain": "aerial", **sizes})
        patch.setitem(default_data.DRAWN, "natural-mini", {"domain": "natural", **sizes})
        recipe = PretrainConfig("natural-mini", image_size=32, width=64, visual_layers=2, text_layers=2, epochs=1)
        patch.setitem(default_backbones.BACKBONES, "mini", recipe)
        yield {"data_root": root / "data", "runs_root": root / "runs", "progress": False}


RUN = RunConfig(dataset="scenes-mini", backbone="mini", method="focus", epochs=2, batch_size=8)


def test_a_run_from_cache_is_the_run_from_images(world, monkeypatch):
    live = experiment.run(RUN, **world)
    cached = experiment.run(RUN.replace(cache_features=True), **world)
    assert cached.folder != live.folder
    for one, other in zip(cached.metrics["history"][1:], live.metrics["history"][1:], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    assert cached.metrics["images"] == live.metrics["images"]
    assert len(list((world["runs_root"] / "features").glob("*/features.json"))) == 4  # two splits, two towers
    forbid_towers(monkeypatch)
    experiment.run(RUN.replace(cache_features=True, seed=3), **world)  # another validation split, the same cache


@pytest.mark.parametrize("method", ["mrs", "full", "bitfit"])
def test_only_side_methods_have_a_cache(world, monkeypatch, method):
    monkeypatch.setattr(experiment.backbone, "load", lambda *_: pytest.fail("loaded a backbone"))
    with pytest.raises(ConfigError, match=f"cache_features: {method} works inside the towers.*linear_probe.*focus"):
        experiment.run(RUN.replace(method=method, cache_features=True), **world)
