"""Intervals and paired differences of recalls over seeds and test images, for tables of several seeds.

Every seed is tested on the same images: the two are crossed. The contribution of an image to the figure of a seed is
modelled as

    mean + effect of the seed + effect of the image + residual,

and the variance of the mean over S seeds and N images as the sum of two parts, each estimated without bias:

    seeds     the variance of the seeds' figures / S, with S - 1 degrees of freedom; it includes the residual
    images    the mean covariance of two seeds over the images / N, with N - 1 degrees of freedom

The critical value is Cochran and Cox's, which SAS has in PROC TTEST: that of the two t distributions, averaged with the
parts as weights. It is exact if there is only one part, and rather conservative if both count. Other usual methods
cover too little with few seeds: resampled seeds spread too little, and Satterthwaite's degrees of freedom are too many
if two seeds happen to agree. Resampling seeds and images together counts the residual more than once (Owen). With one
seed, only images can vary: see :mod:`intervals`.

Sources: Cochran and Cox, "Experimental Designs" (1950); Satterthwaite, "An approximate distribution of estimates of
variance components" (Biometrics, 1946); Owen, "The pigeonhole bootstrap" (Annals of Applied Statistics, 2007).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.optimize.elementwise import find_root

from petl_core.retrieval.intervals import bootstrap, check_same_images, differences_by_name, paired_bootstrap
from petl_core.retrieval.ranks import KS, by_name, seed_tables

SMALLEST_P = 1e-100


def intervals(tables: ArrayLike, level: float = 0.95) -> dict[str, list[float]]:
    """Intervals of the means over seeds of the six recalls and ``mr``.

    Args:
        tables: (S, N, 7) of S seeds, each as of :func:`per_image_hits`.
        level: of confidence.

    Returns:
        {metric: [low, high]}, percent; with one seed, those of :func:`bootstrap`.

    Raises:
        ValueError: tables that are not finite or of another shape, or a level outside 0..1.
    """
    tables = seed_tables(tables)
    if len(tables) == 1:
        return bootstrap(tables[0], level=level)
    return by_name(KS, MeanOverSeeds.of(_brought_by_images(tables)).interval(level).clip(0, 100))


def paired_differences(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> dict[str, dict[str, float]]:
    """Mean differences a - b, paired by seed and image.

    Args:
        a: tables as for :func:`intervals`.
        b: the same, with the same seeds and images in the same order.
        level: of confidence.

    Returns:
        {metric: {difference, low, high, p}}, in points; p < 1 - level if and only if the interval
        leaves out 0. With one seed, those of :func:`paired_bootstrap`.

    Raises:
        ValueError: as :func:`intervals`, and when the tables' shapes or caption counts differ.
    """
    a, b = seed_tables(a), seed_tables(b)
    if len(a) == len(b) == 1:
        return paired_bootstrap(a[0], b[0], level=level)
    found = _mean_difference(a, b)
    return differences_by_name(found.mean, found.interval(level), found.p_values())


def detectable_differences(a: ArrayLike, b: ArrayLike, significance: float, power: float) -> dict[str, float]:
    """The true differences that a two-sided test would find with some power, if seeds and images vary as in a - b.

    Args:
        a: tables of two seeds or more.
        b: the same, with the same seeds and images in the same order.
        significance: of the test.
        power: probability of finding the difference.

    Returns:
        {metric: points}.

    Raises:
        ValueError: as :func:`paired_differences`, and if there is a single seed.
    """
    return by_name(KS, _mean_difference(seed_tables(a), seed_tables(b)).detectable(significance, power))


@dataclass(frozen=True)
class MeanOverSeeds:
    """Means of M values over crossed seeds and images, and their variances."""

    mean: np.ndarray  # (M,)
    variance: np.ndarray  # (M,) of the mean: the sum of its two parts
    share: np.ndarray  # (M,) of seeds in the variance
    degrees: tuple[int, int]  # of freedom: of seeds, of images

    @classmethod
    def of(cls, values: np.ndarray) -> "MeanOverSeeds":
        """Of values (S, N, M).

        Raises:
            ValueError: there is a single seed.
        """
        n_seeds, n_images, _ = values.shape
        if n_seeds < 2:
            raise ValueError("one seed says nothing about others: expected two or more")
        degrees = n_seeds - 1, max(1, n_images - 1)
        figures = values.mean(axis=1)  # of each seed

        # The covariance of two seeds, over all pairs: the variance of their sum, less their own variances.
        centred = values - figures[:, None]
        squares = (centred**2).sum(axis=(0, 1))
        products = (centred.sum(axis=0) ** 2).sum(axis=0) - squares
        images = (products / (n_seeds * (n_seeds - 1) * degrees[1] * n_images)).clip(0)

        # Seeds whose figures are equal are so by chance: the variance is at least that of images within them.
        seeds = (figures.var(axis=0, ddof=1) / n_seeds).round(18)  # without rounding error
        within = squares / (n_seeds * degrees[1] * values[..., 0].size)
        images = np.where(seeds > 0, images, np.maximum(images, within)).round(18)

        variance = seeds + images
        share = np.divide(seeds, variance, out=np.ones_like(seeds), where=variance > 0)
        return cls(figures.mean(axis=0).round(9), variance, share, degrees)

    def interval(self, level: float) -> np.ndarray:
        """(M, 2) low and high.

        Raises:
            ValueError: a level outside 0..1.
        """
        if not 0 < level < 1:
            raise ValueError(f"expected a level between 0 and 1, got {level}")
        half = _critical(1 - level, self.share, self.degrees) * np.sqrt(self.variance)
        return np.column_stack([self.mean - half, self.mean + half])

    def p_values(self) -> np.ndarray:
        """(M,) two-sided p-values of a mean of 0: the interval of level 1 - p ends at 0."""
        # A mean without variance is infinitely far off, unless it is 0.
        error = np.sqrt(self.variance)
        off = np.divide(np.abs(self.mean), error, out=np.full_like(error, np.inf), where=error > 0)
        off[self.mean == 0] = 0
        off = np.minimum(off, _critical(SMALLEST_P, self.share, self.degrees))

        # The critical value falls with p.
        found = find_root(
            lambda log_p, off, share: _critical(np.exp(log_p), share, self.degrees) - off,
            (np.full_like(off, np.log(SMALLEST_P / 10)), np.zeros_like(off)),
            args=(off, self.share),
        )
        return np.exp(found.x)

    def detectable(self, significance: float, power: float) -> np.ndarray:
        """(M,) minimum detectable effects: Bloom, "Minimum detectable effects" (Evaluation Review, 1995)."""
        reach = [_critical(p, self.share, self.degrees) for p in (significance, 2 * (1 - power))]
        return sum(reach) * np.sqrt(self.variance)


def _critical(p: ArrayLike, share: np.ndarray, degrees: tuple[int, int]) -> np.ndarray:
    """How many standard errors a mean is off, to either side, with probability p."""
    seeds, images = (-special.stdtrit(df, np.asarray(p) / 2) for df in degrees)
    return share * seeds + (1 - share) * images


def _mean_difference(a: np.ndarray, b: np.ndarray) -> MeanOverSeeds:
    check_same_images(a, b)
    return MeanOverSeeds.of(_brought_by_images(a) - _brought_by_images(b))


def _brought_by_images(tables: np.ndarray) -> np.ndarray:
    """(S, N, 7) whose means over images are the recalls and ``mr`` of each seed, percent; t2i, a ratio, linearised."""
    hits, captions = tables[..., :-1].astype(np.float64), tables[..., -1:]
    i2t, t2i = np.split(hits, 2, axis=-1)
    ratio = t2i.sum(axis=1, keepdims=True) / captions.sum(axis=1, keepdims=True)
    t2i = ratio + (t2i - ratio * captions) / captions.mean(axis=1, keepdims=True)
    recalls = np.concatenate([i2t, t2i], axis=-1)
    return 100 * np.concatenate([recalls, recalls.mean(axis=-1, keepdims=True)], axis=-1)
