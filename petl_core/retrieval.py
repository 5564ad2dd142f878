"""Image-text retrieval: similarity, tie-exact ranks and recalls, bootstrap intervals, top-k search.

Duplicated captions and images give exactly tied scores, so every figure here is its expectation under a
uniformly random order of tied items. Thresholding a mid-rank would credit both of two tied duplicates in full
at k = 1 and so exceed the ceiling that the data audit prints; the expected hit is unbiased, deterministic and
independent of the storage order. Source: McSherry and Najork, "Computing information retrieval performance
measures efficiently in the presence of tied scores" (ECIR 2008).

Shapes: N images, M captions; `scores` is (N, M); `image_of[j]` is the image to which caption j belongs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from petl_core.data import caption_key

KS = (1, 5, 10)
Captions = Sequence[str] | None


def similarity(images: ArrayLike, texts: ArrayLike) -> np.ndarray:
    """Cosine similarity (N, M) of image embeddings (N, d) and text embeddings (M, d), normalised here.

    Identical rows get bit-identical scores, so duplicates are exact ties, and storage order changes no score.
    Encoders round differently by batch: encode each distinct caption once, or its copies will not tie.
    float32 or float64, as the embeddings need. Raises ValueError for empty, infinite or zero rows, unequal d.
    """
    distinct_images, image_row = _distinct_unit_rows(images, "images")
    distinct_texts, text_row = _distinct_unit_rows(texts, "texts")
    if distinct_images.shape[1] != distinct_texts.shape[1]:
        raise ValueError(f"images have d = {distinct_images.shape[1]}, texts d = {distinct_texts.shape[1]}")
    # A matrix product rounds differently at the edges of its blocks: compute each distinct pair only once.
    return (distinct_images @ distinct_texts.T)[np.ix_(image_row, text_row)]


def relevance(image_of: ArrayLike, n_images: int) -> np.ndarray:
    """Strict relevance (N, M), bool: caption j belongs to image i.

    Raises ValueError when `image_of` is not M integers in 0..N-1, or an image has no caption.
    """
    owner = np.asarray(image_of)
    if owner.ndim != 1 or owner.size == 0 or owner.dtype.kind not in "iu":
        raise ValueError(f"image_of: expected (M,) integers, got {owner.dtype} of shape {owner.shape}")
    if owner.min() < 0 or owner.max() >= n_images:
        raise ValueError(f"image_of: expected 0..{n_images - 1}, got {owner.min()}..{owner.max()}")
    relevant = owner == np.arange(n_images)[:, None]
    if not relevant.any(axis=1).all():
        raise ValueError(f"image {relevant.any(axis=1).argmin()} has no caption")
    return relevant


def equivalent(captions: Sequence[str], image_of: ArrayLike, n_images: int) -> np.ndarray:
    """Caption-equivalence (N, M), bool: caption j is, but for case and white space, one of image i's captions.

    Raises ValueError as `relevance` does, and when there are not M captions.
    """
    relevant = relevance(image_of, n_images)
    if len(captions) != relevant.shape[1]:
        raise ValueError(f"{len(captions)} captions for {relevant.shape[1]} entries of image_of")
    texts, text_of = np.unique([caption_key(caption) for caption in captions], return_inverse=True)
    has_text = np.zeros((n_images, len(texts)), dtype=bool)
    has_text[np.asarray(image_of), text_of] = True
    return has_text[:, text_of]


@dataclass(frozen=True)
class Ranking:
    """Where the best relevant items of Q queries stand; three integer arrays (Q,), made by `rank`."""

    greater: np.ndarray  # irrelevant items scoring above the best relevant one
    tied_irrelevant: np.ndarray
    tied_relevant: np.ndarray  # counts the best relevant item itself, so at least 1

    @property
    def ranks(self) -> np.ndarray:
        """Expected rank, from 0, of the first relevant item: (Q,) float64."""
        return self.greater + self.tied_irrelevant / (self.tied_relevant + 1)

    def hits(self, k: int) -> np.ndarray:
        """Probability in 0..1 that a relevant item is in the top k: (Q,) float64; ValueError for k < 1."""
        _check_ks((k,))
        places = k - self.greater
        tied = self.tied_irrelevant + self.tied_relevant
        miss = np.ones(len(places))  # C(tied_irrelevant, places) / C(tied, places), as a product over places
        for place in range(min(k, int(self.tied_irrelevant.max()) + 1)):
            factor = (self.tied_irrelevant - place) / np.maximum(tied - place, 1)  # at 0, the product stays 0
            miss *= np.where(place < places, factor, 1.0)
        return 1.0 - miss


def rank(scores: ArrayLike, relevant: ArrayLike) -> Ranking:
    """Rank a gallery of G items for each of Q queries: scores (Q, G), relevant (Q, G) bool.

    Raises ValueError for empty, non-finite or misshapen arrays and for a query without a relevant item.
    """
    scores, relevant = _floats(scores, "scores"), np.asarray(relevant)
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
    scores: ArrayLike, image_of: ArrayLike, captions: Captions = None, ks: Sequence[int] = KS
) -> dict[str, dict[str, float]]:
    """Scores of a test set: {"strict": metrics} and, when captions are given, {"equivalent": metrics}.

    Metrics are plain floats: i2t_r{k} and t2i_r{k} (recalls, percent), mr (their mean), i2t_medr and t2i_medr
    (medians of the expected ranks, from 1). Raises ValueError as `relevance`, `equivalent` and `rank` do.
    """
    results = {"strict": _evaluate(*_rankings(scores, image_of, None), image_of, ks)}
    if captions is not None:
        results["equivalent"] = _evaluate(*_rankings(scores, image_of, captions), image_of, ks)
    return results


def per_image_hits(scores: ArrayLike, image_of: ArrayLike, captions: Captions = None) -> np.ndarray:
    """What each image brings to the six recalls: (N, 7) float64, the input of the bootstraps.

    Columns: the image's i2t hits at 1, 5, 10, its captions' t2i hits at 1, 5, 10 summed, its caption count.
    Strict without captions, under caption-equivalence with them. Raises ValueError as `evaluate` does.
    """
    return _hit_table(*_rankings(scores, image_of, captions), image_of, KS)


def metrics(tables: ArrayLike) -> dict[str, float]:
    """The six recalls and mr, percent, of a `per_image_hits` table (N, 7), or their means over seeds (S, N, 7)."""
    tables = _hits(tables)
    return _named(KS, _metrics(tables.sum(axis=1), tables.shape[1]).mean(axis=0))


def bootstrap(tables: ArrayLike, samples: int = 1000, seed: int = 0, level: float = 0.95) -> dict[str, list[float]]:
    """Percentile intervals {metric: [low, high]}, percent, of the recalls and mr of `per_image_hits` tables.

    (N, 7): images are resampled with replacement and bring all their captions, which are not independent; the
    gallery stays fixed; t2i is a ratio estimator. (S, N, 7), the tables of S seeds on the same images: the interval
    of the mean over seeds, which are resampled too. Few seeds still cover too little: five, where they are all that
    varies, 88% instead of 95%. Source: Davison and Hinkley, "Bootstrap Methods and their Application" (1997),
    sections 3.8 and 5.3. Raises ValueError for tables that are not finite and (N, 7) or
    (S, N, 7), samples < 1 or a level outside 0..1.
    """
    _, intervals = _resample(_hits(tables), samples, seed, level)
    return _named(KS, intervals.clip(0, 100))


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, dict[str, float]]:
    """Differences a - b, in points, of two runs on one test set: {metric: {difference, low, high, p}}.

    `a` and `b` are `per_image_hits` tables, (N, 7) or (S, N, 7), with the same images, and seeds, in the same order;
    each resample draws the same ones for both. p is the two-sided bootstrap p-value of no difference, at least
    2 / (samples + 1). Raises ValueError as `bootstrap` does, and when the tables' shapes or caption counts differ.
    """
    a, b = _hits(a), _hits(b)
    if not np.array_equal(a[..., -1], b[..., -1]):
        raise ValueError("the tables are not of the same images: their shapes or caption counts differ")
    # With equal caption counts every metric is linear in the hits, so their difference is itself a table.
    tables = np.concatenate([a[..., :-1] - b[..., :-1], a[..., -1:]], axis=-1)
    draws, intervals = _resample(tables, samples, seed, level)
    signs = np.sign(draws.round(9))  # rounding error must not give a zero a sign
    smaller_tail = np.minimum((signs <= 0).sum(axis=0), (signs >= 0).sum(axis=0))
    p = np.minimum(1.0, 2 * (1 + smaller_tail) / (samples + 1))
    rows = np.column_stack([list(metrics(tables).values()), intervals, p])
    fields = ("difference", "low", "high", "p")
    return {name: dict(zip(fields, row, strict=True)) for name, row in _named(KS, rows).items()}


def top_k(scores: ArrayLike, k: int) -> np.ndarray:
    """Indices of the k highest scores, best first, ties by index: (G,) or (Q, G) to (..., min(k, G)) int64.

    Raises ValueError for empty or non-finite scores and k < 1.
    """
    _check_ks((k,))
    return np.argsort(-_floats(scores, "scores", ndims=(1, 2)), axis=-1, kind="stable")[..., :k]


def _floats(values: ArrayLike, name: str, ndims: tuple[int, ...] = (2,)) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim not in ndims or values.size == 0 or values.dtype.kind not in "biuf":
        expected = " or ".join(f"{ndim}-D" for ndim in ndims)
        raise ValueError(f"{name}: expected non-empty {expected} numbers, got {values.dtype} {values.shape}")
    values = values.astype(np.result_type(values, np.float32), copy=False)
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: {np.count_nonzero(~np.isfinite(values))} values are NaN or infinite")
    return values


def _distinct_unit_rows(values: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = _floats(values, name)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise ValueError(f"{name}: a row has zero or overflowing norm")
    distinct, row_of = np.unique(rows / norms, axis=0, return_inverse=True)
    return distinct, row_of.reshape(-1)


def _check_ks(ks: Sequence[int]) -> None:
    if len(ks) == 0 or len(set(ks)) != len(ks) or min(ks) < 1:
        raise ValueError(f"expected distinct k >= 1, got {tuple(ks)}")


def _rankings(scores: ArrayLike, image_of: ArrayLike, captions: Captions) -> tuple[Ranking, Ranking]:
    scores = _floats(scores, "scores")
    n_images = len(scores)
    relevant = relevance(image_of, n_images) if captions is None else equivalent(captions, image_of, n_images)
    return rank(scores, relevant), rank(scores.T, relevant.T)


def _hit_table(i2t: Ranking, t2i: Ranking, image_of: ArrayLike, ks: Sequence[int]) -> np.ndarray:
    _check_ks(ks)
    per_image = [np.bincount(image_of, weights=t2i.hits(k)) for k in ks]
    return np.column_stack([*(i2t.hits(k) for k in ks), *per_image, np.bincount(image_of)])


def _evaluate(i2t: Ranking, t2i: Ranking, image_of: ArrayLike, ks: Sequence[int]) -> dict[str, float]:
    table = _hit_table(i2t, t2i, image_of, ks)
    metrics = _named(ks, _metrics(table.sum(axis=0), len(table)))
    medians = {"i2t_medr": float(np.median(i2t.ranks)) + 1, "t2i_medr": float(np.median(t2i.ranks)) + 1}
    return metrics | medians


def _named(ks: Sequence[int], values: np.ndarray) -> dict:
    names = [f"{direction}_r{k}" for direction in ("i2t", "t2i") for k in ks] + ["mr"]
    return dict(zip(names, values.tolist(), strict=True))


def _metrics(totals: np.ndarray, n_images: int) -> np.ndarray:
    half = totals.shape[-1] // 2
    i2t, t2i, captions = np.split(totals, [half, 2 * half], axis=-1)
    recalls = np.concatenate([i2t / n_images, t2i / captions], axis=-1)
    return 100 * np.concatenate([recalls, recalls.mean(axis=-1, keepdims=True)], axis=-1)


def _hits(tables: ArrayLike) -> np.ndarray:
    """(S, N, 7); a single table is that of one seed."""
    tables = _floats(tables, "table", ndims=(2, 3))
    if tables.shape[-1] != 2 * len(KS) + 1:
        raise ValueError(f"table: expected (N, {2 * len(KS) + 1}) as from per_image_hits, got {tables.shape}")
    return tables if tables.ndim == 3 else tables[None]


def _resample(tables: np.ndarray, samples: int, seed: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"expected samples >= 1 and a level between 0 and 1, got {samples} and {level}")
    n_seeds, n_images, _ = tables.shape
    rng = np.random.default_rng(seed)
    image_weights = rng.multinomial(n_images, np.full(n_images, 1 / n_images), size=samples)  # (samples, N)
    seed_weights = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=samples) / n_seeds  # (samples, S)
    if n_seeds > 1:  # resampled from S values, a mean varies (S - 1) / S as much as the mean of S does
        seed_weights = 1 / n_seeds + (seed_weights - 1 / n_seeds) * np.sqrt(n_seeds / (n_seeds - 1))
    of_seeds = _metrics(np.stack([image_weights @ table for table in tables], axis=1), n_images)  # (samples, S, 7)
    draws = (seed_weights[..., None] * of_seeds).sum(axis=1)  # (samples, 7)
    return draws, np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0).T
