"""Places in crowded plots: names beside them, markers clear of one another, a log axis with a place for nothing."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch
from scipy.optimize import isotonic_regression

from petl_core.plots.style import POINTS_PER_INCH, SMALL, Look, limits_with_margin

LINE_HEIGHT = 0.115  # inches that a label takes
POWERS_FROM = 10_000  # an axis that reaches it is labelled by powers of ten
CLEAR, MOST = 4, 7  # points: between the middles of two markers; as far as one is moved aside for that
FENCE = 1.5  # distances of the quartiles beyond these: further out are outliers (Tukey, "Exploratory Data Analysis")
ENOUGH = 8  # values, of which quartiles say something
LONGER = 1.5  # times as long as it need be, an axis is too long


def label_column(
    column: Axes, heights: Mapping[Hashable, float], names: Mapping[Any, str], looks: Mapping[Any, Look]
) -> None:
    """Fill an axes, which becomes invisible, with the names of points in the plot to its left.

    Args:
        column: shares the y axis, whose limits and scale are final, with that plot, and comes next.
        heights: y of each key's point.
        names: of the keys.
        looks: of the keys.
    """
    plot = column.figure.axes[column.figure.axes.index(column) - 1]
    column.axis("off")
    column.set_xlim(0, 1)
    to_fraction = column.transData + column.transAxes.inverted()
    true = to_fraction.transform([(0, height) for height in heights.values()])[:, 1]
    inches = column.figure.get_figheight() - 0.5  # less the x axis and its label
    for key, start, place in zip(heights, true, spread(true, LINE_HEIGHT / inches), strict=True):
        leader = ConnectionPatch(
            (1, start), (0.12, place), plot.transAxes, column.transAxes, color="0.6", linewidth=0.4
        )
        leader.set_in_layout(False)
        column.add_artist(leader)
        column.plot(
            0.17, place, transform=column.transAxes, linestyle="none", markersize=4, clip_on=False, **looks[key]
        )  # fmt: skip
        column.text(0.23, place, names[key], transform=column.transAxes, va="center_baseline", fontsize=SMALL)


def spread(places: Sequence[float] | np.ndarray, gap: float) -> np.ndarray:
    """Places from 0 to 1, moved as little as need be to lie at least ``gap`` apart; nearer where there is no room.

    >>> spread([0.5, 0.0, 0.5], 0.2).round(2).tolist()
    [0.4, 0.0, 0.6]
    """
    places = np.asarray(places, dtype=float)
    gap = min(gap, 1 / max(1, len(places) - 1))
    order = np.argsort(places, kind="stable")
    # Without their gaps, places in order need only not to fall.
    gaps = gap * np.arange(len(places))
    moved = isotonic_regression(places[order] - gaps).x.clip(0, 1 - gaps[-1:].sum())
    found = np.empty(len(places))
    found[order] = moved + gaps
    return found


def on_scale(frame: pd.DataFrame, metric: str) -> np.ndarray:
    """Which rows an axis should show: all, or all but outliers, where with them it would be too long.

    Args:
        frame: with the metric and its interval, ``*_low`` and ``*_high``.
        metric: a column.

    Returns:
        (rows,) bool.
    """
    everything = np.ones(len(frame), dtype=bool)
    if len(frame) < ENOUGH:
        return everything
    low, high = frame[metric].quantile(0.25), frame[metric].quantile(0.75)
    reach = FENCE * (high - low)
    near = frame[metric].between(low - reach, high + reach).to_numpy()
    long, short = (np.ptp(limits_with_margin(rows, metric)) for rows in (frame, frame[near]))
    return near if long > LONGER * short else everything


def limits_of_trained(frame: pd.DataFrame, metric: str) -> tuple[float, float]:
    """Limits around all that was trained, and around what was not where that does not make the axis much wider.

    Args:
        frame: with ``parameters``, the metric and its interval, ``*_low`` and ``*_high``; nothing below 0.
        metric: a column.
    """
    trained = frame[frame["parameters"] > 0]
    narrow = limits_with_margin(trained if len(trained) else frame, metric)
    wide = limits_with_margin(frame, metric)
    low, high = wide if np.ptp(wide) <= LONGER * np.ptp(narrow) else narrow
    return max(0, low), high


def draw_off_scale(axes: Axes, value: float, place: float, words: str, look: Look, fontsize: float) -> None:
    """A marker at the edge of the x axis, whose limits are final, for a value beyond it, which is told in words."""
    left, right = axes.get_xlim()
    edge, aside, side = (left, 5, "left") if value < left else (right, -5, "right")
    axes.plot(edge, place, clip_on=False, **look)
    axes.annotate(
        f"{words}, off the scale", (edge, place), (aside, 0), textcoords="offset points",
        ha=side, va="center_baseline", fontsize=fontsize
    )  # fmt: skip


def steps_aside(axes: Axes, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> np.ndarray:
    """How far, in typographic points, to move each marker to the right so that all lie clear of one another.

    The nearest free place is taken, but none further than ``MOST``.

    Args:
        axes: whose limits and place in the figure are final.
        x, y: data of P markers.

    Returns:
        (P,).
    """
    points = axes.transData.transform(np.column_stack([x, y])) * POINTS_PER_INCH / axes.figure.dpi
    steps = np.array(sorted(np.arange(-MOST, MOST + 1), key=abs), dtype=float)
    placed: list[np.ndarray] = []
    shifts = np.zeros(len(points))
    for i in np.argsort(points[:, 1], kind="stable"):
        if np.isnan(points[i]).any():  # not drawn
            continue
        candidates = points[i] + np.column_stack([steps, np.zeros_like(steps)])  # (steps, 2)
        others = np.array(placed).reshape(1, -1, 2)
        nearest = np.linalg.norm(candidates[:, None] - others, axis=2).min(axis=1, initial=np.inf)
        free = np.flatnonzero(nearest >= CLEAR)
        chosen = free[0] if len(free) else np.argmax(nearest)
        shifts[i] = steps[chosen]
        placed.append(candidates[chosen])
    return shifts


def log_places(axes: Axes, values: pd.Series) -> np.ndarray:
    """Where values stand on the log x axis that this makes: 0 apart, left of the others, behind a dotted line."""
    positive = values[values > 0]
    smallest, largest = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    margin = max(largest / smallest, 10) ** 0.07
    ticks = _ticks(smallest, largest)
    labels = [_tick_label(tick, powers=max(ticks) >= POWERS_FROM) for tick in ticks]
    left, none = smallest / margin, smallest / margin**2.2
    axes.set_xscale("log")
    if (values == 0).any():
        axes.axvline(smallest / margin**1.3, color="0.5", linestyle=":", linewidth=0.8)
        ticks, labels, left = [none, *ticks], ["0", *labels], none / margin
    axes.set_xticks(ticks, labels)
    axes.set_xticks([], minor=True)
    axes.set_xlim(left, largest * margin)
    return values.where(values != 0, none).to_numpy(dtype=float)


def _ticks(smallest: float, largest: float) -> list[float]:
    """Round values in a range, powers of ten before their multiples; its ends where it has none.

    At least three, or two where labels are wide.
    """
    enough = 2 if smallest >= POWERS_FROM else 3
    powers = range(int(np.floor(np.log10(smallest))), int(np.ceil(np.log10(largest))) + 1)
    within: list[float] = []
    for multiples in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), range(1, 10)):
        within = [m * 10.0**power for power in powers for m in multiples if smallest <= m * 10.0**power <= largest]
        if len(within) >= enough:
            break
    return within or sorted({smallest, largest})


def _tick_label(value: float, powers: bool) -> str:
    """Up to three digits; with ``powers``, what has more as a power of ten."""
    if not powers:
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    if value < 1000:
        return f"{value:.3g}"
    digits, power = f"{value:.2e}".split("e")
    factor = "" if float(digits) == 1 else rf"{float(digits):g}\cdot"
    return f"${factor}10^{{{int(power)}}}$"
