"""Bootstrap intervals and paired differences of one seed's recalls, over test images.

Images are resampled with replacement and bring all their captions, which are not independent; the gallery stays fixed;
t2i is a ratio estimator. These intervals leave out the variation between seeds: :mod:`over_seeds` includes it.
Source: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), sections 3.8 and 5.3.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from petl_core.retrieval.ranks import KS, by_name, metrics, recalls_of_totals, seed_tables

SAMPLES = 10_000
BLOCK = 2**17  # weights used at a time: 128 KiB as stored, 1 MiB as used, which fits in a processor's cache
BLOCKS_KEPT = 512


def bootstrap(table: ArrayLike, samples: int = SAMPLES, seed: int = 0, level: float = 0.95) -> dict[str, list[float]]:
    """Percentile intervals of the six recalls and ``mr``.

    Args:
        table: (N, 7) of :func:`per_image_hits`.
        samples: how many times to resample.
        seed: the same seed gives the same intervals.
        level: of confidence.

    Returns:
        {metric: [low, high]}, percent.

    Raises:
        ValueError: a table that is not finite or of another shape, samples < 1, or a level outside 0..1.
    """
    _, intervals = _resample(_one_table(table), samples, seed, level)
    return by_name(KS, intervals)


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, samples: int = SAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, dict[str, float]]:
    """Differences a - b of two runs on one test set; each resample draws the same images for both.

    Args:
        a: table as for :func:`bootstrap`.
        b: the same, with the same images in the same order.
        samples: how many times to resample.
        seed: the same seed gives the same intervals.
        level: of confidence.

    Returns:
        {metric: {difference, low, high, p}}, in points; p is the two-sided bootstrap p-value of no difference, at least
        2 / (samples + 1).

    Raises:
        ValueError: as :func:`bootstrap`, and when the tables' shapes or caption counts differ.
    """
    a, b = _one_table(a), _one_table(b)
    check_same_images(a, b)
    # With equal caption counts every metric is linear in the hits, so their difference is itself a table.
    table = np.concatenate([a[:, :-1] - b[:, :-1], a[:, -1:]], axis=1)
    draws, intervals = _resample(table, samples, seed, level)
    signs = np.sign(draws.round(9))  # rounding errors must not give a zero a sign
    smaller_tail = np.minimum((signs <= 0).sum(axis=0), (signs >= 0).sum(axis=0))
    p = np.minimum(1.0, 2 * (1 + smaller_tail) / (samples + 1))
    return differences_by_name(np.array(list(metrics(table).values())), intervals, p)


def check_same_images(a: np.ndarray, b: np.ndarray) -> None:
    """Check that two tables, or two stacks of tables, can be paired.

    Raises:
        ValueError: their shapes or caption counts differ.
    """
    if not np.array_equal(a[..., -1], b[..., -1]):
        raise ValueError("the tables are not of the same images: their shapes or caption counts differ")


def differences_by_name(differences: np.ndarray, intervals: np.ndarray, p: np.ndarray) -> dict[str, dict[str, float]]:
    """{metric: {difference, low, high, p}} of arrays (7,), (7, 2) and (7,)."""
    rows = np.column_stack([differences, intervals, p])
    fields = ("difference", "low", "high", "p")
    return {name: dict(zip(fields, row, strict=True)) for name, row in by_name(KS, rows).items()}


def _one_table(table: ArrayLike) -> np.ndarray:
    """(N, 7)."""
    tables = seed_tables(table)
    if len(tables) > 1:
        raise ValueError(f"expected the table of one seed, got {len(tables)}: over_seeds compares several")
    return tables[0]


def _resample(table: np.ndarray, samples: int, seed: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Metrics of resampled images (samples, 7) of a table (N, 7), and their percentile intervals (7, 2)."""
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"expected samples >= 1 and a level between 0 and 1, got {samples} and {level}")
    totals = np.concatenate([weights @ table for weights in _image_weights(samples, len(table), seed)])
    draws = recalls_of_totals(totals, len(table))
    return draws, np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0).T


def _image_weights(samples: int, n_images: int, seed: int) -> Iterator[np.ndarray]:
    """How often each resample draws each image: (samples, N) in blocks of rows."""
    rows = max(1, BLOCK // n_images)
    for block, start in enumerate(range(0, samples, rows)):
        yield _draw_block(min(rows, samples - start), n_images, seed, block).astype(np.float64)


@lru_cache(maxsize=BLOCKS_KEPT)  # all tables on the same images share their resamples
def _draw_block(rows: int, n_images: int, seed: int, block: int) -> np.ndarray:
    """(rows, N) as bytes: an image is drawn a few times at most."""
    rng = np.random.default_rng([seed, block])
    return rng.multinomial(n_images, np.full(n_images, 1 / n_images), size=rows).astype(np.uint8)
