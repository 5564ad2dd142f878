"""Tests with scene classes: choices are made on validation, and nothing is known but what they declare."""

import dataclasses

import numpy as np
import pytest

from petl_core import retrieval, scene_tests
from petl_core.data import Split
from petl_core.scene_tests import MODES

CLASSES = ["farm", "pond", "river", "road"]
PROMPTS = np.eye(8)[: len(CLASSES)]


def drawn(seed: int, unlabelled: int = 3, n: int = 40) -> tuple[Split, tuple[np.ndarray, np.ndarray]]:
    """Images, whose class is hard to see, and two captions each, whose class is easy to tell, around its axis."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, len(CLASSES), n)
    image_of = np.arange(n).repeat(2)
    own = 0.2 * rng.standard_normal((n, 8))
    images = np.eye(8)[classes] + own + 0.6 * rng.standard_normal((n, 8))
    texts = np.eye(8)[classes[image_of]] + own[image_of] + 0.3 * rng.standard_normal((2 * n, 8))
    scenes = tuple(CLASSES[label] if i >= unlabelled else None for i, label in enumerate(classes))
    split = Split(tuple(range(n)), tuple(f"caption {i}" for i in range(2 * n)), image_of, scenes)
    return split, tuple(
        (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in (images, texts)
    )


TRAIN, VALIDATION, TEST = drawn(0, n=200), drawn(1, n=80), drawn(2)


@pytest.fixture(scope="module")
def choice():
    return scene_tests.choose(CLASSES, PROMPTS, 0.07, TRAIN, VALIDATION)


def relabelled(split: Split) -> Split:
    order = np.random.default_rng(0).permutation(len(split.scenes))
    return dataclasses.replace(split, scenes=tuple(split.scenes[i] for i in order))


def hits(by_image: np.ndarray, by_text: np.ndarray, split: Split) -> list[np.ndarray]:
    """Of images and of captions as queries."""
    relevant = retrieval.relevance(split.image_of, len(split.images))
    both = retrieval.rank(by_image, relevant), retrieval.rank(by_text.T, relevant.T)
    return [np.column_stack([ranking.hits(k) for k in retrieval.KS]) for ranking in both]


def check_filter(scores, inside):
    assert inside.all() or not inside.any() or scores[inside].min() > scores[~inside].max()


def test_a_hard_filter_puts_the_predicted_class_first(choice):
    split, (images, texts) = TEST
    by_image, by_text = scene_tests.rankings(choice, *TEST)["gallery_hard"]
    predicted, seen = choice.of_text.classes(texts), choice.of_image.classes(images)
    known = np.array([CLASSES.index(scene) if scene else -1 for scene in split.scenes])
    for text, scores in enumerate(by_text.T):
        check_filter(scores, np.isin(known, [predicted[text], -1]))
    for image, scores in enumerate(by_image):
        check_filter(scores, predicted == seen[image])


def test_the_oracle_filters_by_the_true_class(choice):
    split, _ = TEST
    by_image, by_text = scene_tests.rankings(choice, *TEST)["oracle"]
    assert by_image is by_text
    of_text = np.array(split.scenes, dtype=object)[split.image_of]
    for image, scores in enumerate(by_image):
        same = np.array([split.scenes[image] is None or text in (None, split.scenes[image]) for text in of_text])
        check_filter(scores, same)


def test_without_weight_the_soft_prior_is_the_plain_test(choice):
    weightless = dataclasses.replace(choice, weights=dict.fromkeys(choice.weights, 0.0))
    plain = retrieval.similarity(*TEST[1])
    soft = scene_tests.rankings(weightless, *TEST)["gallery_soft"]
    for ours, theirs in zip(hits(*soft, TEST[0]), hits(plain, plain, TEST[0]), strict=True):
        assert np.array_equal(ours, theirs)


def test_what_captions_belong_to_changes_no_ranking_but_the_oracles(choice):
    split, embedded = TEST
    shuffled = dataclasses.replace(split, image_of=np.random.default_rng(0).permutation(split.image_of))
    before, after = (scene_tests.rankings(choice, one, embedded) for one in (split, shuffled))
    for mode in MODES:
        same = all(np.array_equal(one, other) for one, other in zip(before[mode], after[mode], strict=True))
        assert same == (mode != "oracle")


def test_an_image_as_a_query_gives_its_label_to_no_fair_test(choice):
    split, embedded = TEST
    before, after = (scene_tests.rankings(choice, one, embedded) for one in (split, relabelled(split)))
    for mode in ("gallery_hard", "gallery_soft"):
        assert np.array_equal(before[mode][0], after[mode][0])
        assert not np.array_equal(before[mode][1], after[mode][1]), "the gallery's labels are known"
    assert not np.array_equal(before["oracle"][0], after["oracle"][0])


def test_where_no_test_image_has_a_label_the_gallery_changes_nothing(choice):
    split, embedded = drawn(2, unlabelled=40)
    plain = retrieval.similarity(*embedded)
    for by_image, by_text in scene_tests.rankings(choice, split, embedded).values():
        assert np.array_equal(hits(by_image, by_text, split)[1], hits(plain, plain, split)[1])
    _, _, facts = scene_tests.evaluate(choice, split, embedded)
    assert facts["accuracy"] == {"text": None, "image": None}


def test_a_prior_has_weight_where_classes_help_and_none_where_they_mislead(choice):
    assert choice.weights["t2i"] > 0
    split, embedded = VALIDATION
    opposite = dict(zip(CLASSES, reversed(CLASSES), strict=True))
    wrong = dataclasses.replace(split, scenes=tuple(opposite.get(scene) for scene in split.scenes))
    assert scene_tests.choose(CLASSES, PROMPTS, 0.07, TRAIN, (wrong, embedded)).weights["t2i"] == 0


def test_each_direction_is_scored_by_its_own_ranking(choice):
    scores, tables, facts = scene_tests.evaluate(choice, *TEST)
    assert scores.keys() == tables.keys() == set(MODES)
    for mode, ranked in scene_tests.rankings(choice, *TEST).items():
        recalls = retrieval.metrics(tables[mode])
        assert {name: scores[mode]["strict"][name] for name in recalls} == pytest.approx(recalls)
        by_hits = np.concatenate([100 * found.mean(axis=0) for found in hits(*ranked, TEST[0])])
        assert list(recalls.values()) == pytest.approx([*by_hits, by_hits.mean()])
    assert scores["oracle"]["strict"]["mr"] > scores["gallery_hard"]["strict"]["mr"]
    assert facts["predictor"]["text"] in facts["validation_accuracy"]["text"] and facts["weights"] == choice.weights
    assert scene_tests.evaluate(None, *TEST) == ({}, {}, {})


def test_classes_are_those_seen_in_training():
    assert scene_tests.has_classes(("road", None), CLASSES)
    assert not scene_tests.has_classes(("harbour", None), CLASSES)
