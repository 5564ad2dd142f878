"""Bootstrap intervals and paired differences of recalls, over images and over seeds.

Images are resampled with replacement and bring all their captions, which are not independent; the gallery stays fixed;
t2i is a ratio estimator. Where there are tables of several seeds on the same images, seeds are resampled too. Few seeds
still cover too little: five, where they are all that varies, 88% instead of 95%. Source: Davison and Hinkley,
"Bootstrap Methods and their Application" (1997), sections 3.8 and 5.3.
"""

import numpy as np
from numpy.typing import ArrayLike

from petl_core.retrieval.ranks import KS, by_name, metrics, recalls_of_totals, seed_tables


def bootstrap(tables: ArrayLike, samples: int = 1000, seed: int = 0, level: float = 0.95) -> dict[str, list[float]]:
    """Percentile intervals of the six recalls and ``mr``.

    Args:
        tables: (N, 7) of :func:`per_image_hits`, or (S, N, 7) of S seeds, for the intervals of the means over them.
        samples: how many times to resample.
        seed: the same seed gives the same intervals.
        level: of confidence.

    Returns:
        {metric: [low, high]}, percent.

    Raises:
        ValueError: tables that are not finite or of another shape, samples < 1, or a level outside 0..1.
    """
    _, intervals = _resample(seed_tables(tables), samples, seed, level)
    return by_name(KS, intervals.clip(0, 100))


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, dict[str, float]]:
    """Differences a - b of two runs on one test set; each resample draws the same images, and seeds, for both.

    Args:
        a: table or tables as for :func:`bootstrap`.
        b: the same, with the same images, and seeds, in the same order.
        samples: how many times to resample.
        seed: the same seed gives the same intervals.
        level: of confidence.

    Returns:
        {metric: {difference, low, high, p}}, in points; p is the two-sided bootstrap p-value of no difference, at least
        2 / (samples + 1).

    Raises:
        ValueError: as :func:`bootstrap`, and when the tables' shapes or caption counts differ.
    """
    a, b = seed_tables(a), seed_tables(b)
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
    return {name: dict(zip(fields, row, strict=True)) for name, row in by_name(KS, rows).items()}


def _resample(tables: np.ndarray, samples: int, seed: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Resampled means over seeds (samples, 7) of tables (S, N, 7), and their percentile intervals (7, 2)."""
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"expected samples >= 1 and a level between 0 and 1, got {samples} and {level}")
    n_seeds, n_images, _ = tables.shape

    # How often each image and each seed is drawn: (samples, N) and (samples, S).
    rng = np.random.default_rng(seed)
    image_weights = rng.multinomial(n_images, np.full(n_images, 1 / n_images), size=samples)
    seed_weights = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=samples) / n_seeds
    if n_seeds > 1:  # resampled from S values, a mean varies (S - 1) / S as much as the mean of S does
        seed_weights = 1 / n_seeds + (seed_weights - 1 / n_seeds) * np.sqrt(n_seeds / (n_seeds - 1))

    # Metrics of the resampled images for each seed, then their mean over resampled seeds.
    totals = np.stack([image_weights @ table for table in tables], axis=1)  # (samples, S, 7)
    draws = (seed_weights[..., None] * recalls_of_totals(totals, n_images)).sum(axis=1)
    return draws, np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0).T
