"""What cannot be ranked or resampled is refused with the fault named."""

import numpy as np
import pytest

from petl_core.retrieval import bootstrap, evaluate, over_seeds, paired_bootstrap, rank, similarity, top_k

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
        (lambda: bootstrap([TABLE, TABLE]), "the table of one seed, got 2"),
        (lambda: over_seeds.intervals(np.ones((2, 4, 6))), r"table: expected \(N, 7\)"),
        (lambda: over_seeds.intervals([TABLE, TABLE], level=95), "level between 0 and 1"),
        (lambda: over_seeds.paired_differences([TABLE, TABLE], TABLE), "caption counts differ"),
        (lambda: over_seeds.detectable_differences(TABLE, TABLE, 0.05, 0.8), "expected two or more"),
    ],
)
def test_errors_name_the_fault(call, message):
    with pytest.raises(ValueError, match=message):
        call()
