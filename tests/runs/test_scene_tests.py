"""Tests with scene classes: choices are made on validation, and nothing is known but what they declare."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from petl_core.runs.scene_tests import ClassifiedSplit, Rankings
from small_worlds import SIZES, elsewhere, killed_in_epoch, small_world

from petl_core import retrieval
from petl_core.config import RunConfig
from petl_core.data.scene_labels import UNKNOWN
from petl_core.errors import ConfigError
from petl_core.evaluation.names import ASSUMED_KNOWN, QUERY_MODES
from petl_core.runs import experiment, scene_tests

CLASSES = ["farm", "pond", "river", "road"]
GALLERY_MODES = {"gallery_hard", "gallery_soft", "gallery_known", "gallery_oracle"}
FAIR = ("gallery_hard", "gallery_soft")


def drawn_split(seed: int, unlabelled: int = 3, n: int = 40) -> ClassifiedSplit:
    """Images, whose class is hard to see, and two captions each, whose class is easy to tell, around its axis."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, len(CLASSES), n)
    image_of = np.arange(n).repeat(2)
    own = 0.2 * rng.standard_normal((n, 8))
    images = np.eye(8)[classes] + own + 0.6 * rng.standard_normal((n, 8))
    texts = np.eye(8)[classes[image_of]] + own[image_of] + 0.3 * rng.standard_normal((2 * n, 8))
    known = classes.copy()
    known[:unlabelled] = UNKNOWN
    unit = [(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in (images, texts)]
    return ClassifiedSplit(*unit, image_of, known)


PROMPTS = np.eye(8)[: len(CLASSES)]


@pytest.fixture(scope="module")
def choice():
    return scene_tests.choose(CLASSES, PROMPTS, 0.07, drawn_split(0, n=200), drawn_split(1, n=80))


def hits(rankings: Rankings, split: ClassifiedSplit) -> tuple[np.ndarray, np.ndarray]:
    """Of images and of captions as queries."""
    relevant = retrieval.relevance(split.image_of, len(split.images))
    i2t, t2i = retrieval.rank(rankings.i2t, relevant), retrieval.rank(rankings.t2i.T, relevant.T)
    return tuple(np.column_stack([ranking.hits(k) for k in (1, 5, 10)]) for ranking in (i2t, t2i))


def test_a_hard_filter_puts_the_predicted_class_first(choice):
    split = drawn_split(2)
    rankings = scene_tests.gallery_rankings(choice, split)["gallery_hard"]
    predicted, seen = choice.of_text.classes(split.texts), choice.of_image.classes(split.images)
    for text, scores in enumerate(rankings.t2i.T):
        inside = np.isin(split.classes, [predicted[text], UNKNOWN])
        assert inside.all() or scores[inside].min() > scores[~inside].max()
    for image, scores in enumerate(rankings.i2t):
        inside = predicted == seen[image]
        assert inside.all() or not inside.any() or scores[inside].min() > scores[~inside].max()


def test_without_weight_the_soft_prior_is_the_plain_test(choice):
    split = drawn_split(2)
    weightless = {mode: dict.fromkeys(weights, 0.0) for mode, weights in choice.prior_weights.items()}
    found = scene_tests.gallery_rankings(dataclasses.replace(choice, prior_weights=weightless), split)
    plain = retrieval.similarity(split.images, split.texts)
    for mode in ("gallery_soft", "gallery_known"):
        for ours, theirs in zip(hits(found[mode], split), hits(Rankings(plain, plain), split), strict=True):
            assert np.array_equal(ours, theirs)


def test_what_captions_belong_to_changes_no_ranking_but_the_oracles(choice):
    split = drawn_split(2)
    shuffled = dataclasses.replace(split, image_of=np.random.default_rng(0).permutation(split.image_of))
    before, after = (scene_tests.gallery_rankings(choice, one) for one in (split, shuffled))
    for mode in GALLERY_MODES - {"gallery_oracle"}:
        assert all(np.array_equal(a, b) for a, b in zip(before[mode], after[mode], strict=True))
    assert not np.array_equal(before["gallery_oracle"].t2i, after["gallery_oracle"].t2i)


def test_an_image_as_a_query_gives_its_label_to_no_fair_test(choice):
    split = drawn_split(2)
    relabelled = dataclasses.replace(split, classes=np.random.default_rng(0).permutation(split.classes))
    before, after = (scene_tests.gallery_rankings(choice, one) for one in (split, relabelled))
    for mode in FAIR:
        assert np.array_equal(before[mode].i2t, after[mode].i2t)
        assert not np.array_equal(before[mode].t2i, after[mode].t2i), "the gallery's labels are known"
    assert not np.array_equal(before["gallery_known"].i2t, after["gallery_known"].i2t)


def test_where_no_test_image_has_a_label_the_gallery_changes_nothing(choice):
    split = drawn_split(2, unlabelled=40)
    plain = retrieval.similarity(split.images, split.texts)
    found = scene_tests.gallery_rankings(choice, split)
    for mode in GALLERY_MODES:
        assert np.array_equal(hits(found[mode], split)[1], hits(Rankings(plain, plain), split)[1])
    assert scene_tests.facts(choice, split)["accuracy"]["text"] is None


def test_a_prior_has_weight_where_classes_help_and_none_where_they_mislead():
    train, validation = drawn_split(0, n=200), drawn_split(1, n=80)
    helped = scene_tests.choose(CLASSES, PROMPTS, 0.07, train, validation)
    assert helped.prior_weights["gallery_known"]["i2t"] > 0 and helped.prior_weights["gallery_soft"]["t2i"] > 0
    wrong = dataclasses.replace(validation, classes=np.where(validation.classes < 0, -1, 3 - validation.classes))
    misled = scene_tests.choose(CLASSES, PROMPTS, 0.07, train, wrong)
    assert misled.prior_weights["gallery_known"]["t2i"] == 0


def test_each_direction_is_scored_by_its_own_ranking(choice):
    split = drawn_split(2)
    rankings = scene_tests.gallery_rankings(choice, split)["gallery_hard"]
    captions = [f"caption {i}" for i in range(len(split.texts))]
    with_captions = type("Split", (), {"image_of": split.image_of, "captions": captions})()
    scores, table = scene_tests.evaluate(rankings, with_captions), scene_tests.per_image_hits(rankings, with_captions)
    recalls = retrieval.metrics(table)
    assert {name: scores["strict"][name] for name in recalls} == pytest.approx(recalls)
    by_hits = [100 * found.mean(axis=0) for found in hits(rankings, split)]
    assert list(recalls.values())[:-1] == pytest.approx(np.concatenate(by_hits))


def test_every_mode_has_its_words():
    assert ASSUMED_KNOWN.keys() == QUERY_MODES.keys() >= GALLERY_MODES | {"none", "predicted", "oracle"}
    leaks = {mode for mode in QUERY_MODES if "oracle" in mode}
    for words in (QUERY_MODES, ASSUMED_KNOWN):
        assert {mode for mode, said in words.items() if "LEAK" in said} == leaks


# Runs.


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch)


CONFIG = RunConfig(dataset="scenes-mini", backbone="mini", method="focus", epochs=2, batch_size=8)


def check_modes(run, modes):
    assert run.metrics["scene_scores"].keys() == modes
    assert {path.name for path in run.folder.glob("test_hits_*")} == {f"test_hits_{mode}.npy" for mode in modes}
    for mode in modes:
        stored = run.metrics["scene_scores"][mode]["strict"]["mr"]
        assert retrieval.metrics(np.load(run.folder / f"test_hits_{mode}.npy"))["mr"] == pytest.approx(stored)


def test_every_run_on_labelled_images_has_the_gallery_tests(world):
    zero_shot, plain = (experiment.run(config, **world) for config in (CONFIG.zero_shot(), CONFIG))
    for run in (zero_shot, plain):
        check_modes(run, GALLERY_MODES)
        scene_test = run.metrics["scene_test"]
        assert scene_test.keys() == {"classes", "predictor", "validation_accuracy", "accuracy", "prior_weights"}
        assert scene_test["predictor"]["text"] in scene_test["validation_accuracy"]["text"]
        assert json.loads((run.folder / "metrics.json").read_text()) == run.metrics


def test_runs_trained_with_labelled_captions_have_labelled_queries_too(world):
    run = experiment.run(CONFIG.replace(scene_probability=0.5), **world)
    check_modes(run, GALLERY_MODES | {"predicted", "oracle"})


def test_the_test_split_is_not_prepared_before_everything_is_chosen(world, tmp_path, monkeypatch):
    events = []
    original_choice, original_read = experiment.choose_scene_tests, experiment.inputs.cached_pixels

    def read(split, *rest):
        events.append("test" if len(split.images) == SIZES["test"] else "train")
        return original_read(split, *rest)

    monkeypatch.setattr(experiment, "choose_scene_tests", lambda *a: events.append("choice") or original_choice(*a))
    monkeypatch.setattr(experiment.inputs, "cached_pixels", read)
    experiment.run(CONFIG, **elsewhere(world, tmp_path))
    assert events == ["train", "choice", "test"]


def test_data_without_scenes_has_no_such_tests_and_trains_with_none(world):
    root = world["data_root"]
    experiment.run(CONFIG.zero_shot(), **world)
    copy = shutil.copytree(root / "scenes-mini_precomp", root / "views-mini_precomp")
    (copy / "scenes-mini_images").rename(copy / "images")
    (copy / "scene_classes.txt").unlink()
    unlabelled = CONFIG.replace(dataset="views-mini")
    run = experiment.run(unlabelled, **world)
    check_modes(run, set())
    assert run.metrics["scene_test"] == {}
    for use in ({"scene_probability": 0.5}, {"scene_weight": 0.5}, {"scene_balance": True}):
        with pytest.raises(ConfigError, match=f"{next(iter(use))}: no training image has a scene label"):
            experiment.run(unlabelled.replace(**use), **world)


@pytest.mark.parametrize(
    "changes", [{}, {"cache_features": True}, {"method": "mrs", "method_options": {"share": 16}}], ids=str
)
def test_a_scene_cross_entropy_is_trained_with_the_contrast(world, changes):
    run = experiment.run(CONFIG.replace(scene_weight=0.5, scene_balance=True, **changes), **world)
    for entry in run.metrics["history"][1:]:
        terms = entry["loss"]
        assert terms["total"] == pytest.approx(terms["cross"] + 0.5 * terms["scene"], rel=1e-5)
        assert terms["scene"] > 0


def test_a_run_with_scene_terms_resumes_to_the_same_result(world, tmp_path):
    config = CONFIG.replace(scene_weight=0.5, scene_balance=True)
    whole = experiment.run(config, **world)
    places = elsewhere(world, tmp_path)
    with killed_in_epoch(2):
        experiment.run(config, **places)
    resumed = experiment.run(config, **places)
    for name in ("scores", "scene_scores", "scene_test"):
        assert resumed.metrics[name] == whole.metrics[name]
