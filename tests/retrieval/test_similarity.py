"""Similarities whose duplicates tie exactly, equivalent captions, and the top k."""

import numpy as np
import pytest
import torch

from petl_core.retrieval import equivalent, evaluate, similarity, top_k


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


def test_top_k_is_stable_and_clipped():
    row = [0.5, 2.0, 0.5, 2.0, -1.0]
    assert top_k(row, 3).tolist() == [1, 3, 0]
    assert top_k(row, 99).tolist() == [1, 3, 0, 2, 4]
    assert top_k([row, row[::-1]], 2).tolist() == [[1, 3], [1, 3]]
    many = np.zeros(1000)
    many[700] = 1
    assert top_k(many, 4).tolist() == [700, 0, 1, 2]
