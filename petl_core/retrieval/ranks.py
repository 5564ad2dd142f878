"""Tie-exact ranks and recalls.

Duplicated captions and images give exactly tied scores, so every figure here is its expectation under a uniformly
random order of tied items. Thresholding a mid-rank would credit both of two tied duplicates in full at k = 1 and so
exceed the ceiling that the data audit prints; the expected hit is unbiased, deterministic and independent of the
storage order. Source: McSherry and Najork, "Computing information retrieval performance measures efficiently in the
presence of tied scores" (ECIR 2008).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from petl_core.retrieval.checks import as_floats, check_ks
from petl_core.retrieval.scores import equivalent, relevance

KS = (1, 5, 10)


@dataclass(frozen=True)
class Ranking:
    """The ranks of the best relevant items of Q queries: three integer arrays (Q,), made by :func:`rank`."""

    greater: np.ndarray  # irrelevant items scoring above the best relevant one
    tied_irrelevant: np.ndarray
    tied_relevant: np.ndarray  # counts the best relevant item itself, so at least 1

    @property
    def ranks(self) -> np.ndarray:
        """Expected rank, from 0, of the first relevant item: (Q,) float64."""
        return self.greater + self.tied_irrelevant / (self.tied_relevant + 1)

    def hits(self, k: int) -> np.ndarray:
        """Probability in 0..1 that a relevant item is in the top k: (Q,) float64.

        Raises:
            ValueError: k < 1.
        """
        check_ks((k,))
        places = k - self.greater  # that are left in the top k for tied items
        tied = self.tied_irrelevant + self.tied_relevant
        # All places go to irrelevant items: C(tied_irrelevant, places) / C(tied, places), as a product over places.
        miss = np.ones(len(places))
        for place in range(min(k, int(self.tied_irrelevant.max()) + 1)):
            factor = (self.tied_irrelevant - place) / np.maximum(tied - place, 1)  # at 0, the product stays 0
            miss *= np.where(place < places, factor, 1.0)
        return 1.0 - miss


def rank(scores: ArrayLike, relevant: ArrayLike) -> Ranking:
    """Rank a gallery for each query.

    A query whose relevant item ties with one irrelevant item is a hit at 1 half the time:

    >>> ranking = rank([[0.9, 0.9, 0.1]], [[True, False, False]])
    >>> ranking.ranks, ranking.hits(1), ranking.hits(2)
    (array([0.5]), array([0.5]), array([1.]))

    Args:
        scores: (Q, G) of Q queries and G items.
        relevant: (Q, G) bool.

    Raises:
        ValueError: empty, non-finite or misshapen arrays, or a query without a relevant item.
    """
    scores, relevant = as_floats(scores, "scores"), np.asarray(relevant)
    if relevant.dtype != bool or relevant.shape != scores.shape:
        raise ValueError(f"scores {scores.shape} need bool relevance, got {relevant.dtype} {relevant.shape}")
    best = scores.max(axis=1, where=relevant, initial=-np.inf)[:, None]
    if np.isneginf(best).any():
        raise ValueError(f"query {best.argmin()} has no relevant item")
    tied = scores == best
    tied_relevant = np.count_nonzero(tied & relevant, axis=1)
    tied_irrelevant = np.count_nonzero(tied, axis=1) - tied_relevant
    return Ranking(np.count_nonzero(scores > best, axis=1), tied_irrelevant, tied_relevant)


def evaluate(
    scores: ArrayLike, image_of: ArrayLike, captions: Sequence[str] | None = None, ks: Sequence[int] = KS
) -> dict[str, dict[str, float]]:
    """Scores of a test set.

    Args:
        scores: (N, M) of images and captions.
        image_of: (M,) the image of each caption.
        captions: M texts, for the figures under caption-equivalence.
        ks: the k of the recalls.

    Returns:
        {"strict": metrics} and, when captions are given, {"equivalent": metrics}. Metrics are plain floats: ``i2t_r1``,
        ``t2i_r1``, ... (recalls, percent), ``mr`` (their mean), ``i2t_medr`` and ``t2i_medr`` (medians of the expected
        ranks, from 1).

    Raises:
        ValueError: as :func:`relevance`, :func:`equivalent` and :func:`rank`.
    """
    results = {"strict": _evaluate(*_both_directions(scores, image_of, None), image_of, ks)}
    if captions is not None:
        results["equivalent"] = _evaluate(*_both_directions(scores, image_of, captions), image_of, ks)
    return results


def per_image_hits(scores: ArrayLike, image_of: ArrayLike, captions: Sequence[str] | None = None) -> np.ndarray:
    """What each image contributes to the six recalls: the input of the bootstraps.

    Args:
        scores: (N, M) of images and captions.
        image_of: (M,) the image of each caption.
        captions: M texts, for hits under caption-equivalence; strict ones without.

    Returns:
        (N, 7) float64: the image's i2t hits at 1, 5, 10, its captions' t2i hits at 1, 5, 10 summed, and how many
        captions it has.

    Raises:
        ValueError: as :func:`evaluate`.
    """
    return _hit_table(*_both_directions(scores, image_of, captions), image_of, KS)


def metrics(tables: ArrayLike) -> dict[str, float]:
    """The six recalls and ``mr``, percent.

    Args:
        tables: (N, 7) of :func:`per_image_hits`, or (S, N, 7) of S seeds on the same images, for the means over them.

    Raises:
        ValueError: tables that are not finite or of another shape.
    """
    checked = seed_tables(tables)
    return by_name(KS, recalls_of_totals(checked.sum(axis=1), checked.shape[1]).mean(axis=0))


def seed_tables(tables: ArrayLike) -> np.ndarray:
    """Tables of :func:`per_image_hits` as (S, N, 7); a single one, (N, 7), is that of one seed.

    Raises:
        ValueError: tables that are not finite or of another shape.
    """
    checked = as_floats(tables, "table", ndims=(2, 3))
    if checked.shape[-1] != 2 * len(KS) + 1:
        raise ValueError(f"table: expected (N, {2 * len(KS) + 1}) as from per_image_hits, got {checked.shape}")
    return checked if checked.ndim == 3 else checked[None]


def recalls_of_totals(totals: np.ndarray, n_images: int) -> np.ndarray:
    """Recalls and their mean, percent, from hits summed over images.

    Args:
        totals: (..., 2 K + 1) sums over the rows of a table: i2t hits, t2i hits, captions.
        n_images: how many rows were summed.

    Returns:
        (..., 2 K + 1).
    """
    half = totals.shape[-1] // 2
    i2t, t2i, captions = np.split(totals, [half, 2 * half], axis=-1)
    recalls = np.concatenate([i2t / n_images, t2i / captions], axis=-1)
    return 100 * np.concatenate([recalls, recalls.mean(axis=-1, keepdims=True)], axis=-1)


def by_name(ks: Sequence[int], values: np.ndarray) -> dict[str, Any]:
    """Recalls and their mean (2 K + 1, ...), as plain numbers or lists by the name of the metric."""
    names = [f"{direction}_r{k}" for direction in ("i2t", "t2i") for k in ks] + ["mr"]
    return dict(zip(names, values.tolist(), strict=True))


def _both_directions(scores: ArrayLike, image_of: ArrayLike, captions: Sequence[str] | None) -> tuple[Ranking, Ranking]:
    """Rankings of captions for each image, and of images for each caption."""
    checked = as_floats(scores, "scores")
    n_images = len(checked)
    relevant = relevance(image_of, n_images) if captions is None else equivalent(captions, image_of, n_images)
    return rank(checked, relevant), rank(checked.T, relevant.T)


def _hit_table(i2t: Ranking, t2i: Ranking, image_of: ArrayLike, ks: Sequence[int]) -> np.ndarray:
    """(N, 2 K + 1), see :func:`per_image_hits`."""
    check_ks(ks)
    owner = np.asarray(image_of)
    t2i_hits = [np.bincount(owner, weights=t2i.hits(k)) for k in ks]
    return np.column_stack([*(i2t.hits(k) for k in ks), *t2i_hits, np.bincount(owner)])


def _evaluate(i2t: Ranking, t2i: Ranking, image_of: ArrayLike, ks: Sequence[int]) -> dict[str, float]:
    table = _hit_table(i2t, t2i, image_of, ks)
    recalls = by_name(ks, recalls_of_totals(table.sum(axis=0), len(table)))
    medians = {"i2t_medr": float(np.median(i2t.ranks)) + 1, "t2i_medr": float(np.median(t2i.ranks)) + 1}
    return recalls | medians
