"""The k rows nearest to a query, exactly, among any number of rows on disk, in bounded memory."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from petl_core.retrieval import as_floats

BLOCK_BYTES = 2**26  # of rows, scored at once


def nearest(rows: np.ndarray, query: ArrayLike, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows with the highest scalar product, best first, ties by index.

    >>> nearest(np.float32([[0, 1], [1, 0], [0, 1]]), [0.0, 1.0], k=2)
    (array([0, 2]), array([1., 1.], dtype=float32))

    Args:
        rows: (R, d) float32, writable or memory-mapped copy on write, as torch requires.
        query: (d,).
        k: at least 1.

    Returns:
        Indices and scores of the min(k, R) best.

    Raises:
        ValueError: a query that is not d finite numbers, or k < 1.
    """
    if k < 1:
        raise ValueError(f"expected k >= 1, got {k}")
    vector = torch.from_numpy(as_floats(query, "query", ndims=(1,)).astype(np.float32))
    if rows.shape[1:] != vector.shape:
        raise ValueError(f"query: expected {rows.shape[1]} numbers, got {len(vector)}")
    best = np.empty(0, dtype=np.int64)
    best_scores = np.empty(0, dtype=np.float32)
    height = max(1, BLOCK_BYTES // (4 * rows.shape[1]))
    for start in range(0, len(rows), height):
        # Of a block, only rows that score above the k best so far: later rows with equal scores rank behind them.
        scores = (torch.from_numpy(np.asarray(rows[start : start + height])) @ vector).numpy()
        found = np.flatnonzero(scores > (best_scores[-1] if len(best) == k else -np.inf))
        if len(found) > k:
            found = found[scores[found] >= np.partition(scores[found], -k)[-k]]
        # Earlier rows come first, so a stable sort orders ties by index.
        best = np.concatenate([best, start + found])
        best_scores = np.concatenate([best_scores, scores[found]])
        order = np.argsort(-best_scores, kind="stable")[:k]
        best, best_scores = best[order], best_scores[order]
    return best, best_scores
