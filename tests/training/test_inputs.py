"""Inputs from the cache: made once, shared by seeds, and as good as images to train on."""

import shutil

import drawn_scenes
import numpy as np
import open_clip
import pytest
import torch
from petl_core.training.state import TrainState
from small_clips import backbone_of, gelu_and_quick_gelu, tiny_backbone, tiny_clip
from small_worlds import small_world

from petl_core import adapters, data
from petl_core.backbone import Backbone
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.runs import experiment
from petl_core.training import encoding, epoch, inputs

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


def moved(model):
    """What training would leave: nothing at its start."""
    with torch.no_grad():
        for weight in model.trainable().values():
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    return model


def load(dataset, frozen, root, method="focus", split="train", **options):
    model = moved(adapters.attach(frozen, method, **options))
    return model, inputs.cached_taps(getattr(dataset, split), model, root)


def caches(root):
    """How many arrays a cache holds."""
    return len(list(root.glob("*/about.json")))


@pytest.mark.parametrize("method", SIDE_METHODS)
def test_embeddings_equal_those_of_images(method, dataset, frozen, tmp_path):
    model, cached = load(dataset, frozen, tmp_path, method)
    train, validation = data.split_validation(dataset.train, 0.3, seed=1)
    for part in (train, validation, dataset.train):
        expected = encoding.embed(model, encoding.prepare(part, frozen))
        for found, wanted in zip(encoding.embed(model, cached.part(part)), expected, strict=True):
            assert (np.sum(found * wanted, axis=1) > 1 - 1e-5).all()
            np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_pixels_from_the_cache_are_those_of_the_images(dataset, frozen, tmp_path, monkeypatch):
    live = encoding.prepare(dataset.train, frozen)
    inputs.cached_pixels(dataset.train, frozen, tmp_path)
    monkeypatch.setattr(Backbone, "pixels", lambda *_: pytest.fail("an image was decoded"))
    cached = inputs.cached_pixels(dataset.train, frozen, tmp_path).part(dataset.train)
    assert np.array_equal(cached.inputs.pixels[cached.image_rows], live.inputs.pixels[live.image_rows])
    assert torch.equal(cached.inputs.tokens[cached.caption_rows], live.inputs.tokens[live.caption_rows])


def test_labelled_captions_are_kept_with_plain_ones(dataset, frozen, tmp_path):
    template = "{scene}: {caption}"
    part = dataset.train.subset([1, 4])
    prepared = inputs.cached_pixels(dataset.train, frozen, tmp_path, scene_template=template).part(part, template)
    labelled = [f"{part.scenes[image]}: {text}" for image, text in zip(part.image_of, part.captions, strict=True)]
    assert torch.equal(prepared.inputs.tokens[prepared.labelled_rows], frozen.tokens(labelled))
    assert torch.equal(prepared.inputs.tokens[prepared.caption_rows], frozen.tokens(part.captions))


@pytest.mark.parametrize("method", SIDE_METHODS)
def test_training_from_cache_has_the_losses_of_training_from_images(method, dataset, tmp_path):
    """Twenty steps with second views, whose dropout drops the same elements; half precision costs below 1e-3."""
    config = RunConfig(method=method, batch_size=8, learning_rate=1e-3, epochs=10, pairs="images")
    losses = {}
    for source in ("images", "cache"):
        frozen = tiny_backbone()
        torch.manual_seed(0)
        model = adapters.attach(frozen, method)
        if source == "cache":
            prepared = inputs.cached_taps(dataset.train, model, tmp_path).part(dataset.train)
        else:
            prepared = encoding.prepare(dataset.train, frozen)
        state = TrainState.start(config, model, 32)
        steps = losses[source] = []

        def recorded(*arguments, steps=steps):
            terms = BATCH_LOSS(*arguments)
            steps.append(terms["total"].item())
            return terms

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(epoch, "batch_loss", recorded)
            state.history.append({"epoch": 0})
            for number in range(1, 8):
                epoch.train_epoch(state, prepared)
                state.history.append({"epoch": number})
    assert len(losses["images"]) == 21 and losses["images"][0] != losses["images"][-1]
    np.testing.assert_allclose(losses["cache"], losses["images"], rtol=1e-3)


BATCH_LOSS = epoch.batch_loss


def test_copies_are_held_once(dataset, frozen, tmp_path):
    _, cached = load(dataset, frozen, tmp_path)
    prepared = cached.part(dataset.train)
    assert len(cached.image_taps) == 19 and len(set(prepared.image_rows.tolist())) == 19
    assert prepared.image_rows[3] == prepared.image_rows[7]
    assert prepared.caption_rows[11] == prepared.caption_rows[50]
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
    model, again = load(dataset, tiny_backbone(), tmp_path)
    assert np.array_equal(first.image_taps, again.image_taps)
    assert np.array_equal(first.text_taps, again.text_taps)
    v, t = encoding.embed(model, again.part(dataset.train))
    assert (len(v), len(t)) == (20, 100)


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({"method": "linear_probe"}, 2),
        ({"taps": 1}, 2),
        ({"text": False}, 1),
        ({"reduction": 4}, 0),
        ({"split": "test"}, 4),  # other pixels and tokens, too
    ],
)
def test_whatever_changes_the_taps_has_its_own_cache(dataset, frozen, tmp_path, changes, made):
    load(dataset, tiny_backbone(), tmp_path)
    load(dataset, frozen, tmp_path, **changes)
    assert caches(tmp_path) == 4 + made  # pixels, tokens, and the taps of both towers


def test_another_backbone_precision_or_preprocessing_has_its_own_cache(dataset, tmp_path):
    other = tiny_backbone()
    blurred = open_clip.image_transform(32, is_train=False, interpolation="bilinear")
    variants = (
        tiny_backbone(),
        tiny_backbone(seed=1),
        backbone_of(tiny_clip().bfloat16()),
        Backbone(other.clip, blurred, other.tokenizer),
        backbone_of(gelu_and_quick_gelu()[1]),
    )
    for variant in variants:
        load(dataset, variant, tmp_path)
    assert caches(tmp_path) == 12  # the one that blurs differs in pixels and image taps alone, the last in taps


def test_a_changed_pixel_or_word_is_noticed(dataset, frozen, tmp_path):
    shutil.copytree(dataset.root, tmp_path / "scenes-x_precomp")
    load(dataset, tiny_backbone(), tmp_path / "cache")
    copy = data.load("scenes-x", tmp_path)
    shutil.copy(copy.train.images[0], copy.train.images[1])
    load(copy, frozen, tmp_path / "cache")
    assert caches(tmp_path / "cache") == 6
    captions = tmp_path / "scenes-x_precomp" / "train_caps.txt"
    captions.write_text(captions.read_text().replace("a pond", "a lake"))
    load(data.load("scenes-x", tmp_path), tiny_backbone(), tmp_path / "cache")
    assert caches(tmp_path / "cache") == 8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch, layers=2)


RUN = RunConfig(dataset="scenes-mini", backbone="mini", method="focus", epochs=2, batch_size=8)


def test_values_beyond_half_precision_are_refused(dataset, frozen, tmp_path, monkeypatch):
    monkeypatch.setattr(adapters.AdaptedCLIP, "tap_image", lambda *_: torch.full((1, 2), 7e4))
    with pytest.raises(ConfigError, match=r"reach 7e\+04, too large for half precision"):
        load(dataset, frozen, tmp_path)
    assert caches(tmp_path) == 2  # the pixels and tokens


def test_a_run_from_cache_is_the_run_from_images(world, monkeypatch):
    live = experiment.run(RUN, **world)
    cached = experiment.run(RUN.replace(cache_features=True), **world)
    assert cached.folder != live.folder
    for one, other in zip(cached.metrics["history"][1:], live.metrics["history"][1:], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    assert cached.metrics["images"] == live.metrics["images"]
    assert caches(world["runs_root"] / "cache") == 8  # pixels, tokens and two towers of two splits
    # Another validation split, the same cache: only the prompts of the scene classes pass through a tower.
    tap_text, prompts = adapters.AdaptedCLIP.tap_text, []
    forbid_towers(monkeypatch)
    monkeypatch.setattr(
        adapters.AdaptedCLIP, "tap_text", lambda model, tokens: prompts.append(len(tokens)) or tap_text(model, tokens)
    )
    again = experiment.run(RUN.replace(cache_features=True, seed=3), **world)
    assert prompts == [len(again.metrics["scene_test"]["classes"])]


@pytest.mark.parametrize("method", ["mrs", "full", "bitfit"])
def test_only_side_methods_have_a_cache(world, monkeypatch, method):
    monkeypatch.setattr(experiment.backbone, "load", lambda *_: pytest.fail("loaded a backbone"))
    with pytest.raises(ConfigError, match=f"cache_features: {method} works inside the towers.*linear_probe.*focus"):
        experiment.run(RUN.replace(method=method, cache_features=True), **world)
