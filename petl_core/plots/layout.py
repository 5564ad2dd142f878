"""Crowded plots: a column of labels, outliers, log axes with a place for 0."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch
from scipy.optimize import isotonic_regression

from petl_core.plots.style import SMALL, Look, limits_with_margin

LABEL_HEIGHT = 0.115  # inches
POWERS_OF_TEN_FROM = 10_000  # an axis that reaches it is labelled with powers of ten
TUKEY_FENCE = 1.5  # interquartile ranges beyond the quartiles: further out are outliers (Tukey, 1977)
MIN_ROWS_FOR_QUARTILES = 8  # with fewer, no row is an outlier
MAX_AXIS_STRETCH = 1.5  # how many times longer an axis may become to show everything


def label_column(
    column: Axes, heights: Mapping[Hashable, float], names: Mapping[Any, str], looks: Mapping[Any, Look]
) -> None:
    """Fill an axes, which becomes invisible, with the names of the points in the plot to its left.

    Args:
        column: the axes after that plot in the figure; they share a y axis with final limits and scale.
        heights: y of the point of each key.
        names: of the keys.
        looks: of the keys.
    """
    plot = column.figure.axes[column.figure.axes.index(column) - 1]
    column.axis("off")
    column.set_xlim(0, 1)

    # Labels are as high as their points, as far as there is room; both in fractions of the axes.
    to_fraction = column.transData + column.transAxes.inverted()
    starts = to_fraction.transform([(0, height) for height in heights.values()])[:, 1]
    inches = column.figure.get_figheight() - 0.5  # without the x axis and its label
    places = spread(starts, LABEL_HEIGHT / inches)

    # A line from the edge of the plot, a marker and a name for each point.
    for key, start, place in zip(heights, starts, places, strict=True):
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
    """Places from 0 to 1, moved as little as possible to be at least ``gap`` apart; closer where there is no room.

    >>> spread([0.5, 0.0, 0.5], 0.2).round(2).tolist()
    [0.4, 0.0, 0.6]
    """
    places = np.asarray(places, dtype=float)
    gap = min(gap, 1 / max(1, len(places) - 1))
    order = np.argsort(places, kind="stable")
    # Once its share of the gaps is subtracted from each place, they only have to be in ascending order.
    gaps = gap * np.arange(len(places))
    moved = isotonic_regression(places[order] - gaps).x.clip(0, 1 - gaps[-1:].sum())
    found = np.empty(len(places))
    found[order] = moved + gaps
    return found


def on_scale(frame: pd.DataFrame, metric: str) -> np.ndarray:
    """Which rows an axis should show: all of them, unless outliers would make it too long.

    Args:
        frame: with the metric and its interval, ``*_low`` and ``*_high``.
        metric: a column.

    Returns:
        (rows,) bool.
    """
    everything = np.ones(len(frame), dtype=bool)
    if len(frame) < MIN_ROWS_FOR_QUARTILES:
        return everything
    low, high = frame[metric].quantile(0.25), frame[metric].quantile(0.75)
    reach = TUKEY_FENCE * (high - low)
    inside = frame[metric].between(low - reach, high + reach).to_numpy()
    full_length = np.ptp(limits_with_margin(frame, metric))
    short_length = np.ptp(limits_with_margin(frame[inside], metric))
    return inside if full_length > MAX_AXIS_STRETCH * short_length else everything


def limits_of_trained(frame: pd.DataFrame, metric: str) -> tuple[float, float]:
    """Limits around all trained rows, and around untrained ones if that does not make the axis much longer.

    Args:
        frame: with ``parameters``, the metric and its interval, ``*_low`` and ``*_high``; nothing below 0.
        metric: a column.
    """
    trained = frame[frame["parameters"] > 0]
    if trained.empty:
        trained = frame
    low, high = limits_with_margin(trained, metric)
    wide_low, wide_high = limits_with_margin(frame, metric)
    if wide_high - wide_low <= MAX_AXIS_STRETCH * (high - low):
        low, high = wide_low, wide_high
    return max(0, low), high


def draw_off_scale(axes: Axes, value: float, place: float, words: str, look: Look, fontsize: float) -> None:
    """A marker at the edge of the x axis, for a value beyond its final limits, labelled with the value in words."""
    left, right = axes.get_xlim()
    if value < left:
        edge, label_offset, alignment = left, 5, "left"
    else:
        edge, label_offset, alignment = right, -5, "right"
    axes.plot(edge, place, clip_on=False, **look)
    axes.annotate(
        f"{words}, off the scale", (edge, place), (label_offset, 0), textcoords="offset points",
        ha=alignment, va="center_baseline", fontsize=fontsize
    )  # fmt: skip


def log_places(axes: Axes, values: pd.Series) -> np.ndarray:
    """Make the x axis a log axis with a place for 0 left of a dotted line, and return the places of the values."""
    # The axis of the positive values.
    positive = values[values > 0]
    smallest, largest = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    margin = max(largest / smallest, 10) ** 0.07
    ticks = round_ticks(smallest, largest)
    labels = [_tick_label(tick, powers=max(ticks) >= POWERS_OF_TEN_FROM) for tick in ticks]
    left = smallest / margin
    axes.set_xscale("log")

    # Zeros, if there are any, to the left of it.
    zero_place = smallest / margin**2.2
    if (values == 0).any():
        axes.axvline(smallest / margin**1.3, color="0.5", linestyle=":", linewidth=0.8)
        ticks, labels = [zero_place, *ticks], ["0", *labels]
        left = zero_place / margin

    axes.set_xticks(ticks, labels)
    axes.set_xticks([], minor=True)
    axes.set_xlim(left, largest * margin)
    return values.where(values != 0, zero_place).to_numpy(dtype=float)


def round_ticks(smallest: float, largest: float) -> list[float]:
    """Round values in a range: powers of ten or, where these are few, their multiples; its ends if it has neither.

    There are at least three, or two where labels are wide, if the range has as many.
    """
    enough = 2 if smallest >= POWERS_OF_TEN_FROM else 3
    powers = 10.0 ** np.arange(np.floor(np.log10(smallest)), np.ceil(np.log10(largest)) + 1)
    for multiples in ([1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], range(1, 10)):
        candidates = np.outer(powers, multiples).ravel()
        ticks = candidates[(smallest <= candidates) & (candidates <= largest)]
        if len(ticks) >= enough:
            break
    return ticks.tolist() if len(ticks) else sorted({smallest, largest})


def _tick_label(value: float, powers: bool) -> str:
    """A number of up to three digits as it is; a larger one, with ``powers``, as a power of ten."""
    if not powers:
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    if value < 1000:
        return f"{value:.3g}"
    digits, power = f"{value:.2e}".split("e")
    factor = "" if float(digits) == 1 else rf"{float(digits):g}\cdot"
    return f"${factor}10^{{{int(power)}}}$"
