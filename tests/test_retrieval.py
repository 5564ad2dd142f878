"""Ranks and recalls against their definitions and torchmetrics."""

import json
from fractions import Fraction
from itertools import permutations
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recalls import METRICS, RECALLS, ragged_owners
from torchmetrics.functional.retrieval import retrieval_hit_rate

from petl_core.retrieval import (
    bootstrap,
    equivalent,
    evaluate,
    paired_bootstrap,
    per_image_hits,
    rank,
    relevance,
    similarity,
    top_k,
)


def first_hits(scores, relevant):
    """0-based rank of the first relevant item under each order in which a stable sort may meet the items."""
    for order in permutations(range(len(scores))):
        by_score = sorted(order, key=lambda item: -scores[item])
        yield next(place for place, item in enumerate(by_score) if relevant[item])


@st.composite
def queries(draw):
    size = draw(st.integers(1, 6))
    scores = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    relevant = draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(any))
    return scores, relevant


@given(queries())
@settings(deadline=None)
def test_ranks_and_hits_are_the_mean_over_every_tie_order(query):
    scores, relevant = query
    firsts = list(first_hits(scores, relevant))
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
    for k in (1, 5, 10, len(scores)):
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
    for k in (1, 5, 10):
        assert strict[f"i2t_r{k}"] == pytest.approx(torchmetrics_recall(scores, relevant, k), abs=1e-4)
        assert strict[f"t2i_r{k}"] == pytest.approx(torchmetrics_recall(scores.T, relevant.T, k), abs=1e-4)
    assert 0 < strict["i2t_r1"] < strict["t2i_r10"] < 100


def test_recalls_equal_torchmetrics_over_all_permutations_with_ties():
    owners = np.array([0, 0, 1, 2, 2, 3])
    scores = np.array([[3, 1, 3, 3, 0, 0], [3, 1, 3, 2, 3, 0], [1, 2, 0, 2, 2, 2], [1, 1, 1, 1, 1, 1]], dtype=float)
    relevant = relevance(owners, 4)
    strict = evaluate(scores, owners, ks=(1, 2, 3))["strict"]
    for k in (1, 2, 3):
        for name, table, target in (("i2t", scores, relevant), ("t2i", scores.T, relevant.T)):
            orders = [list(order) for order in permutations(range(table.shape[1]))]
            rows, targets = np.concatenate(table[:, orders]), np.concatenate(target[:, orders])
            assert strict[f"{name}_r{k}"] == pytest.approx(torchmetrics_recall(rows, targets, k), abs=1e-4)


def test_recalls_agree_with_torchmetrics_over_random_permutations_of_duplicates():
    rng = np.random.default_rng(5)
    owners = ragged_owners(rng, 12, 40)
    scores = similarity(rng.normal(size=(12, 4))[rng.integers(8, size=12)], rng.normal(size=(9, 4))[owners % 9])
    relevant, strict, repeats = relevance(owners, 12), evaluate(scores, owners)["strict"], 100
    draws = np.empty((repeats, 6))
    for draw in draws:
        image, text = rng.permutation(12), rng.permutation(40)
        table, target = scores[np.ix_(image, text)], relevant[np.ix_(image, text)]
        i2t = [torchmetrics_recall(table, target, k) for k in (1, 5, 10)]
        draw[:] = i2t + [torchmetrics_recall(table.T, target.T, k) for k in (1, 5, 10)]
    error = 4 * draws.std(axis=0) / np.sqrt(repeats) + 1e-4  # four standard errors of the mean
    assert (draws.std(axis=0) > 0).sum() >= 4
    assert (np.abs(draws.mean(axis=0) - [strict[name] for name in RECALLS]) < error).all()


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
    texts = [rng.choice(7, size=rng.integers(1, 5), replace=False) for _ in range(6)]  # distinct within an image
    captions = [f"text {text}" for image_texts in texts for text in image_texts]
    owners = np.repeat(np.arange(6), [len(image_texts) for image_texts in texts])
    matching = equivalent(captions, owners, 6)
    ceiling = 100 * np.mean(1 / matching.sum(axis=0))
    _, text_of = np.unique(captions, return_inverse=True)
    scores = signal * matching + rng.integers(3, size=(6, 7))[:, text_of]  # a model sees only the text
    assert evaluate(scores, owners)["strict"]["t2i_r1"] <= ceiling + 1e-9
    perfect = evaluate(matching, owners, captions)
    assert perfect["strict"]["t2i_r1"] == pytest.approx(ceiling)
    assert [perfect["equivalent"][name] for name in METRICS] == [100.0] * 7


def test_constant_scores_give_chance_level():
    n_images, per_image = 40, 5
    owners = np.repeat(np.arange(n_images), per_image)
    strict = evaluate(np.zeros((n_images, 200)), owners)["strict"]
    for k in (1, 5, 10):
        assert strict[f"t2i_r{k}"] == pytest.approx(100 * k / n_images)
        assert strict[f"i2t_r{k}"] == pytest.approx(100 * (1 - comb(195, k) / comb(200, k)))
    assert strict["mr"] == pytest.approx(np.mean([strict[name] for name in RECALLS]))
    assert strict["t2i_medr"] == pytest.approx(1 + 39 / 2)
    assert strict["i2t_medr"] == pytest.approx(1 + 195 / 6)


def test_equivalence_ignores_case_and_white_space():
    captions, owners = ["a road", " A  road\n", "a lane", "a path"], [0, 1, 1, 2]
    assert equivalent(captions, owners, 3).tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [False, False, False, True],
    ]
    scores = [[0, 9, 0, 0], [9, 0, 0, 1], [0, 0, 4, 5]]
    assert evaluate(scores, owners, captions)["equivalent"]["i2t_r1"] == 100
    assert evaluate(scores, owners, captions)["strict"]["i2t_r1"] == pytest.approx(100 / 3)


def test_results_are_plain_json():
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(8), 2)
    results = evaluate(rng.normal(size=(8, 16)).astype(np.float32), owners, ["same"] * 16, ks=(1, 3))
    assert json.loads(json.dumps(results)) == results
    assert list(results["equivalent"]) == [
        "i2t_r1",
        "i2t_r3",
        "t2i_r1",
        "t2i_r3",
        "mr",
        "i2t_medr",
        "t2i_medr",
    ]
    table = per_image_hits(rng.normal(size=(8, 16)), owners)
    assert json.dumps([bootstrap(table), paired_bootstrap(table, table)])


@pytest.mark.parametrize(("n", "m", "d"), [(1, 2, 1), (3, 7, 5), (17, 33, 31), (65, 129, 67), (130, 515, 257)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_identical_rows_give_bit_identical_scores(n, m, d, dtype):
    rng = np.random.default_rng(n)
    image_of, text_of = (
        np.r_[rng.integers(n, size=n), np.arange(n)],
        np.r_[np.arange(m), rng.integers(m, size=m)],
    )
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


def test_top_k_is_stable_and_clipped():
    row = [0.5, 2.0, 0.5, 2.0, -1.0]
    assert top_k(row, 3).tolist() == [1, 3, 0]
    assert top_k(row, 99).tolist() == [1, 3, 0, 2, 4]
    assert top_k([row, row[::-1]], 2).tolist() == [[1, 3], [1, 3]]
    many = np.zeros(1000)
    many[700] = 1
    assert top_k(many, 4).tolist() == [700, 0, 1, 2]


SCORES, OWNERS, TABLE = np.zeros((2, 3)), [0, 0, 1], np.ones((4, 7))


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
        (lambda: evaluate(SCORES, OWNERS, ks=(0, 1)), "distinct k >= 1"),
        (lambda: evaluate(SCORES, OWNERS, ks=(1, 1)), "distinct k >= 1"),
        (lambda: evaluate(SCORES, OWNERS, ks=()), "distinct k >= 1"),
        (lambda: rank(SCORES, np.array([[1, 0, 0], [0, 0, 0]], dtype=bool)), "query 1 has no relevant item"),
        (lambda: rank(SCORES, np.ones((2, 3))), "need bool relevance, got float64"),
        (lambda: similarity(np.ones((2, 3)), np.ones((2, 4))), "images have d = 3, texts d = 4"),
        (lambda: similarity(np.ones((2, 3)), [[1, 1, 1], [0, 0, 0]]), "texts: a row has zero"),
        (lambda: similarity([[np.nan]], [[1.0]]), "images: 1 values are NaN"),
        (lambda: similarity([["a"]], [[1.0]]), "images: expected non-empty 2-D numbers"),
        (lambda: top_k([], 1), "scores: expected non-empty"),
        (lambda: top_k([1.0, np.nan], 1), "scores: 1 values are NaN"),
        (lambda: top_k([1.0], 0), "distinct k >= 1"),
        (lambda: bootstrap(np.ones((4, 6))), r"table: expected \(N, 7\)"),
        (lambda: bootstrap(TABLE, samples=0), "samples >= 1"),
        (lambda: bootstrap(TABLE, level=95), "level between 0 and 1"),
        (lambda: paired_bootstrap(TABLE, 2 * TABLE), "caption counts differ"),
        (lambda: paired_bootstrap(TABLE, TABLE[:3]), "caption counts differ"),
    ],
)
def test_errors_name_the_fault(call, message):
    with pytest.raises(ValueError, match=message):
        call()
