"""Similarities tie exactly, ranks and recalls are those of their definitions, scene classes weigh as told."""

import json
from fractions import Fraction
from itertools import permutations
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.retrieval import retrieval_hit_rate

from petl_core.data.scene_labels import UNKNOWN
from petl_core.retrieval import (
    KS,
    METRICS,
    choose_predictor,
    equivalent,
    evaluate,
    from_examples,
    from_prompts,
    inside_first,
    log_prior,
    metrics,
    per_image_hits,
    rank,
    relevance,
    same_class,
    similarity,
)

RECALLS = METRICS[:6]


def ragged_owners(rng, n_images, n_captions):
    return rng.permutation(np.concatenate([np.arange(n_images), rng.integers(n_images, size=n_captions - n_images)]))


# Similarity and relevance.


@pytest.mark.parametrize(("n", "m", "d"), [(1, 2, 1), (3, 7, 5), (17, 33, 31), (65, 129, 67), (130, 515, 257)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_identical_rows_give_bit_identical_scores(n, m, d, dtype):
    rng = np.random.default_rng(n)
    image_of = np.r_[rng.integers(n, size=n), np.arange(n)]
    text_of = np.r_[np.arange(m), rng.integers(m, size=m)]
    images, texts = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype)
    scores = similarity(images[image_of], texts[text_of])
    assert scores.dtype == (np.float64 if dtype == np.float64 else np.float32)
    for rows, group in ((scores, image_of), (scores.T, text_of)):
        _, first = np.unique(group, return_index=True)
        first_of = dict(zip(group[first], first, strict=True))
        assert np.array_equal(rows, rows[[first_of[item] for item in group]])
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images.astype(float), texts.astype(float))]
    np.testing.assert_allclose(scores, (unit[0] @ unit[1].T)[np.ix_(image_of, text_of)], atol=2e-6)


def test_similarity_accepts_torch_tensors():
    images = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    np.testing.assert_allclose(similarity(images, images), [[1.0, 0.6], [0.6, 1.0]], rtol=1e-6)


def test_equivalence_ignores_case_and_white_space():
    captions, owners = ["a road", " A  road\n", "a lane", "a path"], [0, 1, 1, 2]
    assert equivalent(captions, owners, 3).astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    scores = [[0, 9, 0, 0], [9, 0, 0, 1], [0, 0, 4, 5]]
    assert evaluate(scores, owners, captions)["equivalent"]["i2t_r1"] == 100
    assert evaluate(scores, owners, captions)["strict"]["i2t_r1"] == pytest.approx(100 / 3)


SCORES, OWNERS = np.zeros((2, 3)), [0, 0, 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate(np.zeros((0, 3)), OWNERS), "scores: expected non-empty 2-D"),
        (lambda: evaluate(np.zeros(3), OWNERS), "scores: expected non-empty 2-D"),
        (lambda: evaluate([[0, np.nan, 0], [0, 0, np.inf]], OWNERS), "scores: 2 values are NaN or infinite"),
        (lambda: evaluate(SCORES, [0, 1]), r"scores \(2, 3\) need bool relevance, got bool \(2, 2\)"),
        (lambda: evaluate(SCORES, []), "image_of: expected .* integers"),
        (lambda: evaluate(SCORES, [0.0, 0.0, 1.0]), "image_of: expected .* integers"),
        (lambda: evaluate(SCORES, [0, 1, 2]), r"image_of: expected 0\.\.1, got 0\.\.2"),
        (lambda: evaluate(SCORES, [0, 1, -1]), r"image_of: expected 0\.\.1, got -1\.\.1"),
        (lambda: evaluate(np.zeros((4, 3)), [0, 1, 3]), "image 2 has no caption"),
        (lambda: evaluate(SCORES, OWNERS, ["a", "b"]), "2 captions for 3"),
        (lambda: rank(SCORES, np.array([[1, 0, 0], [0, 0, 0]], dtype=bool)), "query 1 has no relevant item"),
        (lambda: rank(SCORES, np.ones((2, 3))), "need bool relevance, got float64"),
        (lambda: rank(SCORES, np.ones((2, 3), dtype=bool)).hits(0), "k >= 1"),
        (lambda: similarity(np.ones((2, 3)), np.ones((2, 4))), "images have d = 3, texts d = 4"),
        (lambda: similarity(np.ones((2, 3)), [[1, 1, 1], [0, 0, 0]]), "texts: a row has zero"),
        (lambda: similarity([[np.nan]], [[1.0]]), "images: 1 values are NaN"),
        (lambda: similarity([["a"]], [[1.0]]), "images: expected non-empty 2-D numbers"),
        (lambda: metrics(np.ones((4, 6))), r"hits: expected \(N, 7\)"),
    ],
)
def test_what_cannot_be_ranked_is_refused_with_the_fault_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Ranks and recalls.


@st.composite
def queries(draw):
    size = draw(st.integers(1, 6))
    scores = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    return scores, draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(any))


@given(queries())
@settings(deadline=None)
def test_ranks_and_hits_are_the_mean_over_every_tie_order(query):
    scores, relevant = query
    firsts = []  # places of the first relevant item, for each order in which a stable sort may meet the items
    for order in permutations(range(len(scores))):
        by_score = sorted(order, key=lambda item: -scores[item])
        firsts.append(next(place for place, item in enumerate(by_score) if relevant[item]))
    ranking = rank([scores], [relevant])
    assert ranking.ranks[0] == pytest.approx(float(Fraction(sum(firsts), len(firsts))), abs=1e-12)
    for k in range(1, len(scores) + 2):
        expected = Fraction(sum(first < k for first in firsts), len(firsts))
        assert ranking.hits(k)[0] == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize(("irrelevant", "relevant"), [(0, 1), (1, 1), (7, 3), (500, 5), (5000, 1)])
@pytest.mark.parametrize("greater", [0, 3])
def test_hits_match_the_closed_form_for_large_ties(irrelevant, relevant, greater):
    scores = np.r_[np.full(greater, 2.0), np.ones(irrelevant + relevant), np.zeros(4)]
    is_relevant = np.zeros(len(scores), dtype=bool)
    is_relevant[greater : greater + relevant] = True
    ranking = rank(scores[None], is_relevant[None])
    assert ranking.ranks[0] == greater + irrelevant / (relevant + 1)
    for k in (*KS, len(scores)):
        places = max(k - greater, 0)
        miss = Fraction(comb(irrelevant, places), max(comb(irrelevant + relevant, places), 1))
        assert ranking.hits(k)[0] == pytest.approx(float(1 - miss), abs=1e-12)


def torchmetrics_recall(scores, relevant, k):
    pairs = zip(torch.from_numpy(scores), torch.from_numpy(relevant), strict=True)
    return 100 * np.mean([retrieval_hit_rate(preds, target, top_k=k).item() for preds, target in pairs])


@pytest.mark.parametrize("seed", range(3))
def test_recalls_equal_torchmetrics_without_ties(seed):
    rng = np.random.default_rng(seed)
    owners = ragged_owners(rng, 23, 71)
    scores = rng.permutation(23 * 71).reshape(23, 71) / 1000
    scores[owners, np.arange(71)] += 0.6005  # recalls well inside 0..100, and no ties
    relevant = relevance(owners, 23)
    strict = evaluate(scores, owners)["strict"]
    for k in KS:
        assert strict[f"i2t_r{k}"] == pytest.approx(torchmetrics_recall(scores, relevant, k), abs=1e-4)
        assert strict[f"t2i_r{k}"] == pytest.approx(torchmetrics_recall(scores.T, relevant.T, k), abs=1e-4)
    assert 0 < strict["i2t_r1"] < strict["t2i_r10"] < 100


def test_recalls_equal_torchmetrics_over_all_permutations_with_ties():
    owners = np.array([0, 0, 1, 2, 2, 3])
    scores = np.array([[3, 1, 3, 3, 0, 0], [3, 1, 3, 2, 3, 0], [1, 2, 0, 2, 2, 2], [1, 1, 1, 1, 1, 1]], dtype=float)
    relevant = relevance(owners, 4)
    for table, target in ((scores, relevant), (scores.T, relevant.T)):
        orders = [list(order) for order in permutations(range(table.shape[1]))]
        rows, targets = np.concatenate(table[:, orders]), np.concatenate(target[:, orders])
        for k in (1, 2, 3):
            found = 100 * rank(table, target).hits(k).mean()
            assert found == pytest.approx(torchmetrics_recall(rows, targets, k), abs=1e-4)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_storage_order_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    owners = ragged_owners(rng, 9, 30)
    images, text_of = rng.normal(size=(6, 5))[rng.integers(6, size=9)], rng.integers(8, size=30)
    texts, captions = rng.normal(size=(8, 5))[text_of], [f"text {text}" for text in text_of]
    image, text = rng.permutation(9), rng.permutation(30)
    scores, shuffled = similarity(images, texts), similarity(images[image], texts[text])
    assert np.array_equal(shuffled, scores[np.ix_(image, text)])
    after = evaluate(shuffled, np.argsort(image)[owners[text]], [captions[j] for j in text])
    for name, expected in evaluate(scores, owners, captions).items():
        assert after[name] == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(0, 3))
@settings(max_examples=50, deadline=None)
def test_no_model_exceeds_the_ceiling_set_by_duplicate_captions(seed, signal):
    rng = np.random.default_rng(seed)
    texts = [rng.choice(7, size=rng.integers(1, 5)) for _ in range(6)]
    captions = [f"text {text}" for image_texts in texts for text in image_texts]
    owners = np.repeat(np.arange(6), [len(image_texts) for image_texts in texts])
    matching = equivalent(captions, owners, 6)
    _, text_of = np.unique(captions, return_inverse=True)
    copies = np.array([[((text_of == text) & (owners == i)).sum() for text in text_of] for i in range(6)])
    best_of_text = {text: copies[:, text_of == text].max() for text in text_of}
    ceiling = 100 * sum(best_of_text.values()) / len(captions)
    scores = signal * matching + rng.integers(3, size=(6, 7))[:, text_of]  # a model sees only the text
    assert evaluate(scores, owners)["strict"]["t2i_r1"] <= ceiling + 1e-9
    tied = evaluate(matching, owners, captions)
    perfect = evaluate(copies + rng.permutation(6)[:, None] / 10, owners, captions)  # no two images tie
    assert tied["strict"]["t2i_r1"] <= ceiling + 1e-9
    assert perfect["strict"]["t2i_r1"] == pytest.approx(ceiling)
    assert [tied["equivalent"][name] for name in METRICS] == [100.0] * 7


def test_constant_scores_give_chance_level():
    owners = np.repeat(np.arange(40), 5)
    strict = evaluate(np.zeros((40, 200)), owners)["strict"]
    for k in KS:
        assert strict[f"t2i_r{k}"] == pytest.approx(100 * k / 40)
        assert strict[f"i2t_r{k}"] == pytest.approx(100 * (1 - comb(195, k) / comb(200, k)))
    assert strict["mr"] == pytest.approx(np.mean([strict[name] for name in RECALLS]))
    assert (strict["t2i_medr"], strict["i2t_medr"]) == pytest.approx((1 + 39 / 2, 1 + 195 / 6))


def test_hits_of_images_are_their_own_sum_to_the_recalls_and_results_are_plain_json():
    table = per_image_hits([[9, 0, 0], [0, 0, 1]], [0, 0, 1])
    assert table[:, [0, 3, 4, 6]].tolist() == [[1.0, 1.5, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]
    rng = np.random.default_rng(0)
    owners = ragged_owners(rng, 30, 90)
    scores, captions = rng.normal(size=(30, 90)) + 2 * relevance(owners, 30), ["same", "other"] * 45
    results = evaluate(scores, owners, captions)
    for rule, texts in (("strict", None), ("equivalent", captions)):
        table = per_image_hits(scores, owners, texts)
        assert table[:, 6].tolist() == np.bincount(owners).tolist()
        sums = table.sum(axis=0)
        recalls = 100 * np.r_[sums[:3] / 30, sums[3:6] / 90]
        assert recalls == pytest.approx([results[rule][name] for name in RECALLS])
        assert metrics(table) == {name: results[rule][name] for name in METRICS}
    assert json.loads(json.dumps(results)) == results


def test_metrics_of_seeds_are_the_mean_of_each_seeds_metrics():
    rng = np.random.default_rng(0)
    captions = rng.integers(1, 6, size=(1, 30, 1))
    tables = np.concatenate([rng.integers(0, 2, size=(4, 30, 6)) * [1, 1, 1, 2, 2, 2], captions.repeat(4, 0)], axis=-1)
    for name, value in metrics(tables).items():
        assert value == pytest.approx(np.mean([metrics(table)[name] for table in tables]))


# Scene classes.


@st.composite
def filtered(draw):
    """Scores (N, M), some of them tied and some far apart, and the classes, of three, of images and captions."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    values = st.one_of(st.sampled_from([-1.0, 0.0, 0.3, 1e-30, 2e-30]), st.floats(-1, 1, width=32))
    scores = np.array(draw(st.lists(values, min_size=n * m, max_size=n * m)), dtype=np.float32).reshape(n, m)
    classes = st.integers(UNKNOWN, 2)
    of_images = np.array(draw(st.lists(classes, min_size=n, max_size=n)))
    return scores, of_images, np.array(draw(st.lists(classes, min_size=m, max_size=m)))


@given(filtered())
def test_a_filter_puts_nothing_wrong_above_anything_right_and_keeps_order_and_ties(case):
    scores, of_images, of_texts = case
    inside = same_class(of_images, of_texts)
    expected = [[UNKNOWN in (image, text) or image == text for text in of_texts] for image in of_images]
    assert inside.tolist() == expected  # what has no class is never filtered out
    ranked = inside_first(scores, inside)
    assert np.isfinite(ranked).all()
    if inside.any() and not inside.all():
        assert ranked[inside].min() > ranked[~inside].max()
    for part in (inside, ~inside):
        before, after = scores[part].astype(np.float64), ranked[part]
        assert np.array_equal(np.sign(np.subtract.outer(before, before)), np.sign(np.subtract.outer(after, after)))


def test_a_prior_is_finite_that_of_the_images_class_and_uniform_without_one():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    prior = log_prior(np.array([2, 0, UNKNOWN]), probabilities)
    np.testing.assert_allclose(np.exp(prior), [[0.1, 0.5], [0.7, 1e-12], [1 / 3, 1 / 3]])
    assert np.isfinite(prior).all()


def clusters(count, seed=0, n_classes=3):
    """Unit embeddings around one of the axes, each with the class of its axis."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % n_classes
    rows = np.eye(3)[classes] + 0.1 * rng.standard_normal((count, 3))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), classes


def test_the_nearest_prompt_is_predicted_and_accuracy_counts_what_is_known():
    texts = np.array([[0.9, 0.1, 0.0], [0.0, 0.6, 0.8], [0.3, 0.9, 0.3]])
    predictor = from_prompts(np.eye(3), temperature=0.07)
    assert predictor.classes(texts).tolist() == [0, 2, 1]
    logits = np.exp(texts / 0.07)
    np.testing.assert_allclose(predictor.probabilities(texts), logits / logits.sum(axis=1, keepdims=True))
    assert predictor.accuracy(np.eye(3), np.array([0, 2, UNKNOWN])) == 50
    assert predictor.accuracy(np.eye(3), np.full(3, UNKNOWN)) is None


@pytest.mark.parametrize("n_classes", [2, 3])
def test_examples_teach_the_probabilities_of_scikit_learn(n_classes):
    from sklearn.linear_model import LogisticRegression

    rows, classes = clusters(60, n_classes=n_classes)
    unknown = classes.copy()
    unknown[::7] = UNKNOWN
    predictor = from_examples(rows, unknown, n_classes)
    reference = LogisticRegression(C=100.0, max_iter=2000).fit(rows[unknown >= 0], unknown[unknown >= 0])
    others, _ = clusters(20, seed=1, n_classes=n_classes)
    np.testing.assert_allclose(predictor.probabilities(others), reference.predict_proba(others), atol=1e-3)


def test_a_class_without_examples_is_never_predicted():
    rows, classes = clusters(60, n_classes=2)
    probabilities = from_examples(rows, 2 * classes, 4).probabilities(rows)
    assert probabilities.shape == (60, 4)
    assert (probabilities[:, [1, 3]] == 0).all() and np.allclose(probabilities.sum(axis=1), 1)
    assert probabilities.argmax(axis=1).tolist() == (2 * classes).tolist()


@given(st.integers(1, 40), st.integers(0, 100))
def test_copies_of_a_caption_have_one_prediction_to_the_bit_wherever_they_are(copies, seed):
    rows, _ = clusters(50, seed)
    predictor = from_prompts(np.random.default_rng(seed).standard_normal((5, 3)), 0.07)
    found = predictor.probabilities(np.concatenate([rows, np.repeat(rows[:1], copies, axis=0)]))
    assert (found[50:] == found[0]).all()


def test_the_predictor_that_is_right_on_validation_is_chosen_and_prompts_where_nothing_decides():
    train, validation = clusters(60), clusters(30, seed=1)
    swapped = np.eye(3)[[1, 0, 2]]  # two prompts represent each other's class
    chosen, accuracy = choose_predictor(swapped, 0.07, train, validation)
    assert chosen.name == "logistic regression"
    assert accuracy == {"class prompts": pytest.approx(100 / 3), "logistic regression": 100.0}
    chosen, accuracy = choose_predictor(swapped, 0.07, train, (validation[0], np.full(30, UNKNOWN)))
    assert chosen.name == "class prompts" and set(accuracy.values()) == {None}
    for classes in ([2] * 6, [UNKNOWN] * 6, [0, UNKNOWN] * 3):  # of one class or none, examples teach nothing
        _, accuracy = choose_predictor(swapped, 0.07, (clusters(6)[0], np.array(classes)), validation)
        assert list(accuracy) == ["class prompts"]
