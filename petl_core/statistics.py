"""Intervals, differences and main effects of recalls over seeds and test images; arrays in, tidy frames out.

Seeds and test images are crossed. What an image brings to the figure of a seed is modelled as

    mean + effect of the seed + effect of the image + residual,

and the variance of the mean over S seeds and N images is the sum of two parts, each estimated without bias:

    seeds     variance of the seeds' figures / S, S - 1 degrees of freedom; it includes the residual
    images    (mean square of images - mean square of the residual) / (S N), N - 1 degrees of freedom

Few seeds tell their variance badly. It is therefore moderated over the rows of a table, as in limma (Smyth, "Linear
models and empirical Bayes methods for assessing differential expression", 2004), and is never below what the residual
alone implies. Rows that share a reference are not independent; they count for as many as they are worth.

The mean is referred to the Behrens-Fisher distribution, that of the sum of two independent t variables scaled by the
parts: exact if there is only one part, slightly conservative if both count (Robinson, "Properties of Student's t and of
the Behrens-Fisher solution to the two means problem", Annals of Statistics, 1976). Satterthwaite's degrees of freedom
are too many where two seeds happen to agree; resampled seeds spread too little.

A run's hits are the (N, 7) of :func:`petl_core.retrieval.per_image_hits`. ``Hits`` maps each label, usually a method,
to its runs by seed; the seed of an untrained group, which pairs with every seed, is None.
"""

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special
from scipy.linalg import helmert
from scipy.optimize.elementwise import find_root

from petl_core.retrieval import METRICS, hit_tables, recalls_of_totals

SIGNIFICANCE = 0.05  # of all verdicts of a table together
POWER = 0.8
EQUIVALENCE = 1.0  # points; smaller differences are negligible
SAMPLES = 10_000  # of the bootstrap
VERDICTS = ["higher", "lower", "equivalent", "not significant", "one seed", "no common seed"]

Hits = Mapping[Hashable, Mapping[int | None, ArrayLike]]


def bootstrap(hits: ArrayLike, samples: int = SAMPLES, seed: int = 0, level: float = 0.95) -> dict[str, list[float]]:
    """Percentile intervals of one run, {metric: [low, high]} in percent, over test images.

    Images bring all their captions, which are not independent; the gallery stays fixed; t2i is a ratio estimator.
    Source: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), sections 3.8 and 5.3.

    Raises:
        ValueError: hits that are not one finite (N, 7), samples < 1, or a level outside 0..1.
    """
    tables = hit_tables(hits)
    if len(tables) > 1:
        raise ValueError(f"expected the hits of one run, got {len(tables)}: interval() takes several seeds")
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"expected samples >= 1 and a level between 0 and 1, got {samples} and {level}")
    rng, n_images = np.random.default_rng(seed), tables.shape[1]
    blocks = np.diff([*range(0, samples, max(1, 2**17 // n_images)), samples])  # so that counts fit in a cache
    uniform = np.full(n_images, 1 / n_images)
    totals = np.concatenate([rng.multinomial(n_images, uniform, size=block) @ tables[0] for block in blocks])
    bounds = np.quantile(recalls_of_totals(totals, n_images), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return dict(zip(METRICS, bounds.T.tolist(), strict=True))


def interval(hits: ArrayLike) -> pd.DataFrame:
    """:func:`intervals` of one group: hits (S, N, 7), or (N, 7) of a single seed."""
    return intervals({0: dict(enumerate(hit_tables(hits)))}).drop(columns="label")


def intervals(hits: Hits) -> pd.DataFrame:
    """Means over seeds with 95 % intervals: label, metric, mean, low, high (percent), seeds.

    With one seed the interval is that of :func:`bootstrap`, over images only.

    Raises:
        ValueError: hits that are not finite (N, 7), or whose images differ between seeds.
    """
    rows = [_contributions(_stack([runs], list(runs)))[0] for runs in hits.values()]
    means = Means(rows)
    half = means.critical(SIGNIFICANCE) * means.error
    low, high = (means.mean - half).clip(0, 100), (means.mean + half).clip(0, 100)
    for row, runs in enumerate(hits.values()):
        if len(runs) == 1:
            low[row], high[row] = np.transpose(list(bootstrap(next(iter(runs.values()))).values()))
    index = pd.MultiIndex.from_product([range(len(rows)), METRICS], names=["label", "metric"])
    frame = pd.DataFrame({"mean": means.mean.ravel(), "low": low.ravel(), "high": high.ravel()}, index).reset_index()
    seeds = [len(runs) for runs in hits.values()]
    labels = pd.Series(list(hits), dtype=object)
    return frame.assign(seeds=[seeds[row] for row in frame["label"]], label=frame["label"].map(labels))


def compare(hits: Hits, pairs: Iterable[tuple[Hashable, Hashable]], metric: str = "mr") -> pd.DataFrame:
    """Differences of the first label of each pair from the second, its reference, paired by seed and image.

    A pair that comes again, either way round, is listed once; a label is not compared with itself.

    Returns:
        label, reference, and the columns of :func:`judge`; points.

    Raises:
        ValueError: the labels of a pair were not tested on the same images, or hits are not finite (N, 7).
    """
    distinct: dict[frozenset, tuple[Hashable, Hashable]] = {}
    for pair in pairs:
        distinct.setdefault(frozenset(pair), pair)
    kept = [pair for labels, pair in distinct.items() if len(labels) == 2]
    frame = _contrasts(hits, [{label: 1.0, reference: -1.0} for label, reference in kept], metric, len(kept))
    for place, name in enumerate(("label", "reference")):
        frame.insert(place, name, pd.Series([pair[place] for pair in kept], dtype=object))
    return frame


def main_effects(hits: Hits, factors: Sequence[str], metric: str = "mr") -> pd.DataFrame:
    """What each level of each factor changes against the factor's first level, all else equal, from all cells at once.

    Args:
        hits: of the cells of a factorial design; each label is a tuple with one level per factor.
        factors: their names.
        metric: one of :data:`petl_core.retrieval.METRICS`.

    Returns:
        factor, level, reference, and the columns of :func:`judge`. Effects are the coefficients of an additive model,
        fitted to the cells by least squares; in a complete design, averages over the other factors' levels.

    Raises:
        ValueError: as :func:`compare`, or labels without a level per factor, or effects that the cells cannot tell
            apart.
    """
    return _effects(hits, factors, metric, order=1)


def interactions(hits: Hits, factors: Sequence[str], metric: str = "mr") -> pd.DataFrame:
    """How much an effect of one factor differs between the levels of another: :func:`main_effects` for pairs of them.

    ``factor``, ``level`` and ``reference`` are pairs; a difference is (a, b) - (a, b0) - (a0, b) + (a0, b0).
    """
    return _effects(hits, factors, metric, order=2)


def judge(
    values: Sequence[np.ndarray],
    covariance: ArrayLike | None = None,
    beside: Sequence[np.ndarray] = (),
    margin: float = EQUIVALENCE,
) -> pd.DataFrame:
    """Whether means over seeds and images differ from 0; the rows are one table, and their tests one family.

    Args:
        values: a row each, (S, N) of S seeds and N images, whose mean is judged; S may be 0.
        covariance: expected of the seed effects of all rows, those beside included, up to a factor: (rows, rows); the
            identity if left out.
        beside: more rows, which only help to estimate seed variances.
        margin: means nearer to 0 are negligible.

    Returns:
        A frame: seeds, difference, low, high (95 %, over images only if there is one seed, not adjusted), and for rows
        of two seeds or more, otherwise NaN:

        p, p_holm: two-sided, unadjusted, and adjusted by :func:`holm`.
        detectable: what would be found with 80 % power at Holm's strictest step.
        excluded: larger differences, in either direction, are outside the interval.
        verdict: one of :data:`VERDICTS`. "higher" and "lower" are significant (p_holm below 5 %), whatever their size;
            "equivalent" has its interval inside the margin.
    """
    seeds = np.array([len(row) for row in values], dtype=int)
    found, judged = np.flatnonzero(seeds > 0), seeds > 1
    frame = pd.DataFrame({"seeds": seeds})
    columns = ["difference", "low", "high", "p", "p_holm", "detectable", "excluded"]
    frame[columns] = np.nan
    if found.size:
        rows = [*values, *beside]
        used = [i for i, row in enumerate(rows) if len(row)]
        related = np.eye(len(rows)) if covariance is None else np.asarray(covariance)
        means = Means([rows[i][..., None] for i in used], related[np.ix_(used, used)])
        first, step = SIGNIFICANCE / max(1, judged.sum()), 2 * (1 - POWER)
        half = means.critical(SIGNIFICANCE) * means.error
        reach = (means.critical(first) + means.critical(step)) * means.error
        low, high = means.mean - half, means.mean + half
        table = [means.mean, low, high, means.p_values(), half * np.nan, reach, np.maximum(-low, high)]
        frame.loc[found, columns] = np.hstack(table)[: len(found)]
    frame.loc[~judged, ["p", "detectable", "excluded"]] = np.nan
    frame["p_holm"] = holm(frame["p"])
    significant = frame["p_holm"] < SIGNIFICANCE
    verdicts = np.select(
        [seeds == 0, seeds == 1, significant & (frame["difference"] > 0), significant, frame["excluded"] <= margin],
        ["no common seed", "one seed", "higher", "lower", "equivalent"],
        "not significant",
    )
    return frame.assign(verdict=pd.Categorical(verdicts, VERDICTS))


def holm(p: ArrayLike) -> np.ndarray:
    """p-values adjusted for the number of tests: below a level, the chance of any false verdict is at most that level.

    NaN stays NaN and does not count as a test. Source: Holm, "A simple sequentially rejective multiple test procedure"
    (Scandinavian Journal of Statistics, 1979).

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p, dtype=float)
    ascending = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN comes last
    adjusted = np.full_like(p, np.nan)
    steps = np.arange(len(ascending), 0, -1)
    adjusted[ascending] = np.maximum.accumulate(steps * p[ascending]).clip(max=1)
    return adjusted


def moderated(
    variances: np.ndarray, degrees: ArrayLike, smallest: ArrayLike, dependence: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Seed variances of a table's rows, drawn towards each other as far as the rows look alike (Smyth 2004, section 6).

    Args:
        variances: (G, M) of G rows, for M tables at once.
        degrees: (G,) of freedom; a row with 0, and one whose variance and smallest are 0, takes no part.
        smallest: (G, M) what the residual implies.
        dependence: (G, G) correlations of the rows' seed effects.

    Returns:
        Variances, at least the smallest, and their degrees of freedom, both (G, M).
    """
    own = np.broadcast_to(np.asarray(degrees, dtype=float)[:, None], variances.shape)
    # Equal figures of discrete hits have no logarithm: a thousandth of the residual hardly occurs otherwise.
    observed = np.maximum(variances, 1e-3 * np.asarray(smallest))
    part = (own > 0) & (observed > 0)
    rows = part.sum(axis=0)
    some = np.maximum(rows, 1)
    safe, logs = np.where(part, own, 1.0), np.log(np.where(part, observed, 1.0))

    # Correlated rows vary less among themselves, and are worth fewer.
    together = np.einsum("gm,gh,hm->m", part, np.asarray(dependence) ** 2, part)
    alike = (together - rows) / np.maximum(rows * (rows - 1), 1)

    # d0 and s0^2 of the prior by the moments of log s^2; without surplus spread all rows have one variance.
    centred = np.where(part, logs - special.digamma(safe / 2) + np.log(safe / 2), 0.0)
    middle = centred.sum(axis=0) / some
    spread = (np.where(part, centred - middle, 0.0) ** 2).sum(axis=0) / np.maximum(rows - 1, 1)
    expected = (part * special.polygamma(1, safe / 2)).sum(axis=0) / some
    surplus = spread - expected * (1 - alike)
    grid = np.geomspace(1e-2, 1e4, 4000)
    prior = np.exp(np.interp(-np.log(surplus.clip(1e-9)), -np.log(special.polygamma(1, grid / 2)), np.log(grid)))
    scale = np.exp(middle + special.digamma(prior / 2) - np.log(prior / 2))
    pooled = (part * own).sum(axis=0)
    scale = np.where(surplus > 0, scale, (part * own * variances).sum(axis=0) / np.maximum(pooled, 1))
    prior = np.where(rows < 2, 0.0, np.where(surplus > 0, prior, 1e9))

    # No more degrees of freedom than all rows have together.
    drawn = (prior * scale + own * variances) / np.maximum(prior + own, 1)
    total = np.minimum(prior + own, pooled * rows / np.maximum(together, 1))
    kept = np.where(part, np.maximum(drawn, smallest), variances)
    return kept, np.maximum(np.where(part, total, own), np.maximum(own, 1))


class Means:
    """Means over seeds and images of G rows of M figures, each with its standard error, (G, M).

    Args:
        rows: (S, N, M) each; one of a single seed varies over images only.
        covariance: (G, G) as for :func:`judge`; the identity if left out.
    """

    def __init__(self, rows: Sequence[np.ndarray], covariance: ArrayLike | None = None):
        covariance = np.eye(len(rows)) if covariance is None else np.asarray(covariance, dtype=float)
        scale = np.where(np.diag(covariance) > 0, np.diag(covariance), 1.0)[:, None]
        n_seeds, n_images = np.array([row.shape[:2] for row in rows]).T[..., None]
        self.mean = np.stack([row.mean(axis=(0, 1)) for row in rows]).round(9)
        self.image_degrees = np.broadcast_to(np.maximum(1, n_images - 1), self.mean.shape)

        # Variance of the seeds' figures, what the residual implies for it, and the part of images.
        seeds, residual, images = np.zeros((3, *self.mean.shape))
        for i, row in enumerate(rows):
            of_seeds, of_images = row.mean(axis=1), row.mean(axis=0)
            images[i] = ((of_images - self.mean[i]) ** 2).sum(axis=0) / self.image_degrees[i] / n_images[i]
            if len(row) > 1:
                seeds[i] = of_seeds.var(axis=0, ddof=1)
                rest = ((row - of_seeds[:, None] - of_images + row.mean(axis=(0, 1))) ** 2).sum(axis=(0, 1))
                residual[i] = rest / (len(row) - 1) / self.image_degrees[i] / n_images[i]
        images = (images - residual / n_seeds).clip(0).round(18)  # without rounding error

        variance, self.seed_degrees = moderated(
            seeds.round(18) / scale,
            n_seeds[:, 0] - 1,
            residual.round(18) / scale,
            covariance / np.sqrt(scale * scale.T),
        )
        of_seeds = variance * scale / n_seeds
        total = of_seeds + images
        self.error = np.sqrt(total)
        self.share = np.divide(of_seeds, total, out=np.zeros_like(total), where=total > 0)

    def p_values(self, of: ArrayLike = 0.0) -> np.ndarray:
        """Two-sided p-values of means of this size; without any variance, a mean is infinitely far off, or equal."""
        off = np.abs(self.mean - of)
        far = np.where(off > 0, np.inf, 0.0)
        off = np.divide(off, self.error, out=far, where=self.error > 0)
        return _both_tails(off, self.share, self.seed_degrees, self.image_degrees)

    def critical(self, p: float) -> np.ndarray:
        """How many standard errors a mean is off, to either side, with probability p."""
        arguments = self.share, self.seed_degrees, self.image_degrees
        far = -1.5 * special.stdtrit(np.minimum(*arguments[1:]), p / 4)  # more than sqrt(2) times Bonferroni's
        found = find_root(lambda off, *rest: _both_tails(off, *rest) - p, (np.zeros_like(far), far), args=arguments)
        return found.x


def _both_tails(off: np.ndarray, share: np.ndarray, seeds: np.ndarray, images: np.ndarray) -> np.ndarray:
    """P(|sqrt(share) t + sqrt(1 - share) t'| > off) of t variables with ``seeds`` and ``images`` degrees of freedom.

    The tail of the larger part is integrated over the smaller one's distribution, by the trapezoidal rule in logits.
    """
    logits = np.linspace(-24, 24, 97)
    weights = special.expit(logits) * special.expit(-logits)
    small = share < 0.5
    minor, fewer, other = np.where(small, [share, seeds, images], [1 - share, images, seeds])[..., None]
    inner = -np.sign(logits) * special.stdtrit(fewer, special.expit(-np.abs(logits)))
    outer = (off[..., None] - np.sqrt(minor) * inner) / np.sqrt(1 - minor)
    return 2 * special.stdtr(other, -outer) @ (weights / weights.sum())


def _contributions(tables: np.ndarray) -> np.ndarray:
    """(..., N, 7) whose means over images are the metrics, percent, of hits (..., N, 7); t2i, a ratio, linearised."""
    i2t, t2i, captions = np.split(tables.astype(np.float64), [3, 6], axis=-1)
    ratio = t2i.sum(axis=-2, keepdims=True) / captions.sum(axis=-2, keepdims=True)
    t2i = ratio + (t2i - ratio * captions) / captions.mean(axis=-2, keepdims=True)
    recalls = np.concatenate([i2t, t2i], axis=-1)
    return 100 * np.concatenate([recalls, recalls.mean(axis=-1, keepdims=True)], axis=-1)


def _stack(labels: Sequence[Mapping[int | None, ArrayLike]], seeds: Sequence[int | None]) -> np.ndarray:
    """(labels, S, N, 7) of runs; an untrained one, repeated."""
    tables = [[hit_tables(runs[None if None in runs else seed]) for seed in seeds] for runs in labels]
    first = tables[0][0][..., -1]
    if len(first) > 1:
        raise ValueError(f"expected the hits of one run, (N, 7), for each seed, got those of {len(first)}")
    if not all(np.array_equal(table[..., -1], first) for row in tables for table in row):
        raise ValueError("the runs were not tested on the same images: their numbers or caption counts differ")
    return np.array(tables)[:, :, 0]


def _contrasts(hits: Hits, weights: Sequence[Mapping[Hashable, float]], metric: str, n_judged: int) -> pd.DataFrame:
    """:func:`judge` of the first of these weighted sums of labels, at the seeds that their labels have in common."""
    if metric not in METRICS:
        raise ValueError(f"{metric}: expected one of {', '.join(METRICS)}")
    values = []
    for row in weights:
        trained: list[set] = [set(hits[label]) for label in row if None not in hits[label]]
        common: list = sorted(set.intersection(*trained)) if trained else [None]
        if common:
            stack = _contributions(_stack([hits[label] for label in row], common))[..., METRICS.index(metric)]
            values.append(np.tensordot(list(row.values()), stack, 1))
        else:
            values.append(np.zeros((0, 0)))

    # Rows with trained labels in common have correlated seed effects.
    trained_labels = [label for label, runs in hits.items() if None not in runs]
    shared = np.array([[row.get(label, 0.0) for label in trained_labels] for row in weights])
    shared = shared.reshape(len(weights), len(trained_labels))
    return judge(values[:n_judged], shared @ shared.T, values[n_judged:])


def _effects(hits: Hits, factors: Sequence[str], metric: str, order: int) -> pd.DataFrame:
    cells = [cell for cell in hits if isinstance(cell, tuple) and len(cell) == len(factors)]
    if len(cells) < len(hits):
        raise ValueError(f"expected labels with a level for each of {', '.join(factors)}, got {list(hits)}")

    # A column per level other than the first, centred, so that interactions leave main effects as they are.
    chosen: list[tuple[tuple, np.ndarray]] = []
    for place, factor in enumerate(factors):
        reference, *others = dict.fromkeys(cell[place] for cell in cells)
        for level in others:
            column = np.array([cell[place] == level for cell in cells]) - 1 / (len(others) + 1)
            chosen.append(((factor, level, reference), column))
    design = [np.ones(len(cells)), *(column for _, column in chosen)]
    if order == 2:
        crossed = [(a, b) for a, b in itertools.combinations(chosen, 2) if a[0][0] != b[0][0]]
        chosen = [(tuple(zip(a[0], b[0], strict=True)), a[1] * b[1]) for a, b in crossed]
        design += [column for _, column in chosen]
    matrix = np.column_stack(design)
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise ValueError(f"the cells cannot tell the effects of {', '.join(factors)} apart: {cells}")
    solved = np.linalg.pinv(matrix)[len(design) - len(chosen) :]
    # All contrasts of the cells tell how seeds vary.
    weights: list[Mapping] = [dict(zip(cells, row, strict=True)) for row in (*solved, *helmert(len(cells)))]
    frame = _contrasts(hits, weights, metric, len(chosen))
    for place, title in enumerate(("factor", "level", "reference")):
        frame.insert(place, title, pd.Series([name[place] for name, _ in chosen], dtype=object))
    return frame
