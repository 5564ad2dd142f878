"""What a model reads: made once, never used when broken, shared by runs, and as good as images to train on."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import drawn_scenes
import numpy as np
import open_clip
import pytest
import torch
from small_clips import backbone_of, gelu_and_quick_gelu, moved, tiny_backbone, tiny_clip

from petl_core import adapters, data, inputs, training
from petl_core.backbone import Backbone
from petl_core.config import RunConfig
from petl_core.data import scene_labels
from petl_core.errors import ConfigError
from petl_core.inputs import _load_or_make as load_or_make
from petl_core.inputs import embed, embed_captions, prepare
from petl_core.training import TrainState

SIDE_METHODS = ("linear_probe", "clip_adapter", "lst", "focus")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Captions of many lengths; one image and one caption occur twice."""
    root = tmp_path_factory.mktemp("data")
    folder = drawn_scenes.write(root, "scenes-x", train=20, test=6, size=40, progress=False)
    names = (folder / "train_filename.txt").read_text().split()
    shutil.copy(folder / "scenes-x_images" / names[3], folder / "scenes-x_images" / names[7])
    captions = (folder / "train_caps.txt").read_text().splitlines()
    captions[11], captions[12] = captions[50], "a pond"
    (folder / "train_caps.txt").write_text("\n".join(captions) + "\n")
    return data.load("scenes-x", root)


@pytest.fixture
def frozen():
    return tiny_backbone()


def load(dataset, frozen, root, method="focus", split="train", taps=True, **options):
    model = moved(adapters.attach(frozen, method, **options))
    return model, prepare(getattr(dataset, split), model, root, taps=taps)


def caches(root):
    """How many arrays a cache holds."""
    return len(list(root.glob("*/about.json")))


def forbid_towers(monkeypatch):
    for tap in ("tap_image", "tap_text"):
        monkeypatch.setattr(adapters.AdaptedCLIP, tap, lambda *_: pytest.fail("a tower ran"))
    monkeypatch.setattr(Backbone, "pixels", lambda *_: pytest.fail("an image was decoded"))


# Pixels, tokens and taps of a split.


@pytest.mark.parametrize("method", SIDE_METHODS)
def test_embeddings_from_taps_equal_those_of_images(method, dataset, frozen, tmp_path):
    model, cached = load(dataset, frozen, tmp_path, method)
    live = prepare(dataset.train, model, tmp_path)
    train, validation = data.split_validation(dataset.train, 0.3, seed=1)
    for part in (train, validation, dataset.train):
        for found, wanted in zip(embed(model, cached.part(part)), embed(model, live.part(part)), strict=True):
            assert (np.sum(found * wanted, axis=1) > 1 - 1e-5).all()
            np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_pixels_and_tokens_are_those_of_the_split_and_decoded_once(dataset, frozen, tmp_path, monkeypatch):
    _, prepared = load(dataset, frozen, tmp_path, "mrs", taps=False)
    part = prepared.part(dataset.train)
    assert np.array_equal(prepared.pixels[part.image_rows], frozen.pixels(dataset.train.images, False).numpy())
    assert torch.equal(prepared.tokens[part.caption_rows], frozen.tokens(dataset.train.captions))
    monkeypatch.setattr(Backbone, "pixels", lambda *_: pytest.fail("an image was decoded"))
    _, again = load(dataset, tiny_backbone(), tmp_path, "lora", taps=False)
    assert np.array_equal(again.pixels, prepared.pixels)


def test_copies_are_held_once(dataset, frozen, tmp_path):
    _, cached = load(dataset, frozen, tmp_path)
    prepared = cached.part(dataset.train)
    assert len(cached.image_taps) == 19 and len(set(prepared.image_rows.tolist())) == 19
    assert prepared.image_rows[3] == prepared.image_rows[7]
    assert prepared.caption_rows[11] == prepared.caption_rows[50]
    assert len(cached.text_taps) == len(cached.tokens) == len(set(map(data.caption_key, dataset.train.captions)))
    assert cached.tokens.shape[1] == int((cached.tokens != 0).sum(1).max()) < 77
    assert cached.image_taps.dtype == np.float16


def test_labelled_captions_are_kept_with_plain_ones(dataset, frozen, tmp_path):
    part = dataset.train.subset([1, 4])
    model = adapters.attach(frozen, "zero_shot")
    prepared = prepare(dataset.train, model, tmp_path, labelled=True).part(part, labelled=True)
    tokens = prepared.inputs.tokens
    assert torch.equal(tokens[prepared.labelled_rows], frozen.tokens(scene_labels.labelled_captions(part)))
    assert torch.equal(tokens[prepared.caption_rows], frozen.tokens(part.captions))
    assert not torch.equal(prepared.labelled_rows, prepared.caption_rows)


def test_embeddings_are_in_the_order_of_the_split(dataset, frozen, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "BATCH", 3)  # so that captions are spread over batches by their length
    model, prepared = load(dataset, frozen, tmp_path, "mrs", taps=False)
    split = dataset.train.subset([9, 2, 7, 3])
    images, texts = embed(model, prepared.part(split))
    assert (images[2] == images[3]).all()
    for row, caption in zip(texts, split.captions, strict=True):
        np.testing.assert_allclose(row, embed_captions(model, [caption])[0], atol=1e-5)
    for row, path in zip(images, split.images, strict=True):
        pixels = frozen.normalise(frozen.pixels([path], False))
        torch.testing.assert_close(
            torch.from_numpy(row), model.encode_image(pixels, normalize=True)[0], atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("method", SIDE_METHODS)
def test_training_from_taps_has_the_losses_of_training_from_images(method, dataset, tmp_path):
    """Steps with second views, whose dropout drops the same elements; half precision costs below 1e-3."""
    config = RunConfig(method=method, batch_size=8, learning_rate=1e-3, epochs=10, w_image=1.0, w_text=1.0)
    losses = []
    for taps in (False, True):
        torch.manual_seed(0)
        model = adapters.attach(tiny_backbone(), method)
        prepared = prepare(dataset.train, model, tmp_path, taps).part(dataset.train)
        state = TrainState.start(config, model, 32)
        losses.append([training.train_epoch(state, prepared, epoch)["total"] for epoch in range(1, 6)])
    assert losses[0][0] != losses[0][-1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_half_precision_keeps_1_part_in_2048(dataset, frozen, tmp_path):
    model, cached = load(dataset, frozen, tmp_path)
    exact = model.tap_text(cached.tokens).numpy()
    np.testing.assert_allclose(np.asarray(cached.text_taps, dtype=np.float32), exact, rtol=2**-11, atol=3e-8)


def test_values_beyond_half_precision_are_refused(dataset, frozen, tmp_path, monkeypatch):
    monkeypatch.setattr(adapters.AdaptedCLIP, "tap_image", lambda *_: torch.full((1, 2), 7e4))
    with pytest.raises(ConfigError, match=r"reach 7e\+04, too large for half precision: set cache_features off"):
        load(dataset, frozen, tmp_path)
    assert caches(tmp_path) == 1  # the pixels


# What a cache is named by.


def test_towers_run_once(dataset, frozen, tmp_path, monkeypatch):
    _, first = load(dataset, frozen, tmp_path)
    assert caches(tmp_path) == 3  # pixels, and the taps of both towers
    forbid_towers(monkeypatch)
    model, again = load(dataset, tiny_backbone(), tmp_path)
    assert np.array_equal(first.image_taps, again.image_taps) and np.array_equal(first.text_taps, again.text_taps)
    v, t = embed(model, again.part(dataset.train))
    assert (len(v), len(t)) == (20, 100)


@pytest.mark.parametrize(
    ("changes", "made"),
    [({"method": "linear_probe"}, 2), ({"taps": 1}, 2), ({"reduction": 4}, 0), ({"split": "test"}, 3)],
)
def test_whatever_changes_the_taps_has_its_own_cache(dataset, tmp_path, changes, made):
    load(dataset, tiny_backbone(), tmp_path)
    options = {name: value for name, value in changes.items() if name in ("taps", "reduction")}
    model = adapters.attach(tiny_backbone(), changes.get("method", "focus"), **options)
    prepare(getattr(dataset, changes.get("split", "train")), model, tmp_path, taps=True)
    assert caches(tmp_path) == 3 + made


def test_another_backbone_precision_or_preprocessing_has_its_own_cache(dataset, tmp_path):
    blurred = open_clip.image_transform(32, is_train=False, interpolation="bilinear")
    other = tiny_backbone()
    variants = {
        "itself": (tiny_backbone(), 0),
        "other weights": (tiny_backbone(seed=1), 2),
        "half precision": (backbone_of(tiny_clip().bfloat16()), 0),  # its taps are as exact as the cache
        "other pixels": (Backbone(other.clip, blurred, other.tokenizer), 2),
        "other activations": (backbone_of(gelu_and_quick_gelu()[1]), 2),
    }
    load(dataset, tiny_backbone(), tmp_path)
    for name, (variant, made) in variants.items():
        before = caches(tmp_path)
        load(dataset, variant, tmp_path)
        assert caches(tmp_path) - before == made, name


def test_a_changed_pixel_or_word_is_noticed(dataset, frozen, tmp_path):
    shutil.copytree(dataset.root, tmp_path / "scenes-x_precomp")
    load(dataset, tiny_backbone(), tmp_path / "cache")
    copy = data.load("scenes-x", tmp_path)
    shutil.copy(copy.train.images[0], copy.train.images[1])
    load(copy, frozen, tmp_path / "cache")
    assert caches(tmp_path / "cache") == 5
    captions = tmp_path / "scenes-x_precomp" / "train_caps.txt"
    captions.write_text(captions.read_text().replace("a pond", "a lake"))
    load(data.load("scenes-x", tmp_path), tiny_backbone(), tmp_path / "cache")
    assert caches(tmp_path / "cache") == 6


# Arrays on disk.

SOURCE = {"tapped": "squares"}
EXPECTED = np.arange(300.0, dtype=np.float16)[:, None] * np.ones(2, dtype=np.float16)


def squares(made: list | None = None):
    def make():
        if made is not None:
            made.append(1)
        return np.arange(300), iter(np.split(EXPECTED, [128, 256]))

    return make


def flip(folder):
    content = bytearray((folder / "rows.npy").read_bytes())
    content[277] ^= 1
    (folder / "rows.npy").write_bytes(content)


def change_checksum(folder):
    about = json.loads((folder / "about.json").read_text())
    about["sha256"]["rows.npy"] = "0" * 64
    (folder / "about.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        change_checksum,
        lambda folder: os.truncate(folder / "rows.npy", 100),
        lambda folder: np.save(folder / "row_of.npy", np.zeros(300, dtype=np.int64)),
        lambda folder: (folder / "about.json").unlink(),
        lambda folder: (folder / "about.json").write_text("{"),
        lambda folder: (folder / "about.json").write_text("[1]"),
        lambda folder: (folder / "rows.npy").unlink(),
    ],
)
def test_a_broken_cache_is_made_again_with_a_warning(damage, tmp_path, caplog):
    load_or_make(tmp_path, SOURCE, squares())
    (folder,) = tmp_path.glob("[!.]*")
    damage(folder)
    made = []
    rows, row_of = load_or_make(tmp_path, SOURCE, squares(made))
    assert made and np.array_equal(rows, EXPECTED) and np.array_equal(row_of, np.arange(300))
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert str(folder) in warning and "made again" in warning
    load_or_make(tmp_path, SOURCE, lambda: pytest.fail("made a third time"))


SCRIPT = """
import json, multiprocessing, os, signal, sys
from pathlib import Path
import numpy as np
from petl_core.inputs import _load_or_make

root, fork = Path(sys.argv[1]), multiprocessing.get_context("fork")

def ask(dies):
    def chunks():
        for part in np.split(np.arange(300, dtype=np.float16), [128, 256]):
            if dies and part[0] > 0:
                os.kill(os.getpid(), signal.SIGKILL)
            yield part[:, None] * np.ones(2, dtype=np.float16)

    def make():
        print("made", file=sys.stderr, flush=True)
        return np.arange(300), chunks()

    _load_or_make(root, {"tapped": "squares"}, make)

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
    rows, _ = load_or_make(tmp_path, SOURCE, lambda: pytest.fail("made a third time"))
    assert np.array_equal(rows, EXPECTED)


def test_an_exception_in_the_middle_leaves_nothing(tmp_path):
    def chunks():
        yield np.ones((1, 2))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_or_make(tmp_path, SOURCE, lambda: (np.arange(300), chunks()))
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_the_size_is_announced_and_a_disk_too_small_is_refused(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="petl_core")
    wide = lambda: (np.arange(3 * 2**19), iter([np.zeros((128, 1024), dtype=np.float16)]))  # noqa: E731
    monkeypatch.setattr(inputs.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(
        OSError, match=rf"cannot write cache {tmp_path}.*: 3\.000 GiB are needed, but 1\.000 GiB are free"
    ):
        load_or_make(tmp_path, SOURCE, wide)
    assert not list(tmp_path.glob("[!.]*"))
    monkeypatch.undo()
    load_or_make(tmp_path, SOURCE, squares())
    assert f"GiB to {tmp_path}" in caplog.text
