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
    metrics,
    paired_bootstrap,
    per_image_hits,
    rank,
    relevance,
    similarity,
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
    n_images, per_image = 40, 5
    owners = np.repeat(np.arange(n_images), per_image)
    strict = evaluate(np.zeros((n_images, 200)), owners)["strict"]
    for k in (1, 5, 10):
        assert strict[f"t2i_r{k}"] == pytest.approx(100 * k / n_images)
        assert strict[f"i2t_r{k}"] == pytest.approx(100 * (1 - comb(195, k) / comb(200, k)))
    assert strict["mr"] == pytest.approx(np.mean([strict[name] for name in RECALLS]))
    assert strict["t2i_medr"] == pytest.approx(1 + 39 / 2)
    assert strict["i2t_medr"] == pytest.approx(1 + 195 / 6)


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


def test_metrics_of_seeds_are_the_mean_of_each_seeds_metrics():
    rng = np.random.default_rng(0)
    captions = rng.integers(1, 6, size=(1, 30, 1))
    tables = np.concatenate([rng.integers(0, 2, size=(4, 30, 6)) * [1, 1, 1, 2, 2, 2], captions.repeat(4, 0)], axis=-1)
    for name, value in metrics(tables).items():
        assert value == pytest.approx(np.mean([metrics(table)[name] for table in tables]))
