"""A class filter puts nothing wrong above anything right, and keeps everything else as it was."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from petl_core import retrieval
from petl_core.data.scene_labels import UNKNOWN
from petl_core.retrieval.classes import SMALLEST, inside_first, log_prior, same_class

N_CLASSES = 3


@st.composite
def filtered(draw):
    """Scores (N, M), some of them tied and some far apart, and the classes of images and captions."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    values = st.one_of(st.sampled_from([-1.0, 0.0, 0.3, 1e-30, 2e-30]), st.floats(-1, 1, width=32))
    scores = np.array(draw(st.lists(values, min_size=n * m, max_size=n * m)), dtype=np.float32).reshape(n, m)
    classes = st.integers(UNKNOWN, N_CLASSES - 1)
    of_images = np.array(draw(st.lists(classes, min_size=n, max_size=n)))
    return scores, of_images, np.array(draw(st.lists(classes, min_size=m, max_size=m)))


@given(filtered())
def test_no_image_of_another_class_is_above_one_of_the_querys(case):
    scores, of_images, of_texts = case
    ranked = inside_first(scores, same_class(of_images, of_texts))
    assert np.isfinite(ranked).all()
    for column, of_text in zip(ranked.T, of_texts, strict=True):
        inside = [of_text in (UNKNOWN, image) or image == UNKNOWN for image in of_images]
        for here, one in zip(inside, column, strict=True):
            assert all(one > other for there, other in zip(inside, column, strict=True) if here and not there)


@given(filtered())
def test_among_themselves_items_keep_their_order_and_ties(case):
    scores, of_images, of_texts = case
    inside = same_class(of_images, of_texts)
    ranked = inside_first(scores, inside)
    for part in (inside, ~inside):
        before, after = scores[part], ranked[part]
        order = np.sign(np.subtract.outer(before.astype(np.float64), before))
        assert np.array_equal(order, np.sign(np.subtract.outer(after, after)))


def test_what_has_no_class_is_never_filtered_out():
    inside = same_class(np.array([0, 1, UNKNOWN]), np.array([0, UNKNOWN]))
    assert inside.tolist() == [[True, True], [False, True], [True, True]]


@given(filtered(), st.integers(0, 1000))
def test_a_prior_is_finite_and_without_weight_changes_nothing(case, seed):
    scores, of_images, of_texts = case
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(N_CLASSES, 0.01), size=len(of_texts))  # many of them 0
    prior = log_prior(of_images, probabilities)
    assert prior.shape == scores.shape and np.isfinite(prior).all()
    assert np.array_equal(scores + 0.0 * prior, scores)
    owners = np.arange(len(of_images)).repeat(2)
    rows = np.resize(scores, (len(of_images), len(owners)))
    weightless = rows + 0.0 * np.resize(prior, rows.shape)
    assert np.array_equal(retrieval.per_image_hits(weightless, owners), retrieval.per_image_hits(rows, owners))


def test_a_prior_is_that_of_the_images_class_and_uniform_without_one():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])
    prior = log_prior(np.array([2, 0, UNKNOWN]), probabilities)
    expected = [[0.1, 0.5], [0.7, SMALLEST], [1 / 3, 1 / 3]]
    np.testing.assert_allclose(np.exp(prior), expected)
