"""What recall costs: the same runs against three prices."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from petl_core.evaluation.names import METRICS
from petl_core.plots.layout import label_column, log_places, on_scale, steps_aside
from petl_core.plots.style import TWO_COLUMNS, Look, limits_with_margin, moved, whiskers

PRICES = {
    "parameters": "trained parameters",
    "seconds": "training (s)",
    "backward_mib": "kept for backward (MiB)",
}


def plot_trade_offs(
    frame: pd.DataFrame, names: Mapping[Any, str], looks: Mapping[Any, Look], metric: str = "mr"
) -> Figure:
    """A test metric with 95 % intervals against trained parameters, seconds of training, and MiB kept for backward.

    Outliers that would squeeze all else stand at the edge, and their names tell their value. A marker that would hide
    another stands beside its interval, and a line leads to it.

    Args:
        frame: of :func:`comparison.summary`, with a column for each of ``PRICES``; what costs nothing stands apart,
            left of the log axis, and what was not measured (NaN) is in the other panels alone.
        names: of its keys.
        looks: of its keys.
        metric: a key of ``METRICS``.
    """
    shown = on_scale(frame, metric)
    limits = limits_with_margin(frame[shown], metric)
    heights = frame[metric].clip(*limits)
    told = {
        key: names[key] if inside else f"{names[key]}: {value:.1f}, off the scale"
        for key, value, inside in zip(frame["key"], frame[metric], shown, strict=True)
    }

    figure, (*panels, column) = plt.subplots(
        1, len(PRICES) + 1, sharey=True, figsize=(TWO_COLUMNS, max(2.4, 0.6 + 0.13 * len(frame))),
        width_ratios=[1, 1, 1, 0.95]
    )  # fmt: skip
    # Axes first, since where markers would hide one another hangs on the finished layout.
    places = {price: log_places(axes, frame[price]) for axes, price in zip(panels, PRICES, strict=True)}
    for axes, title in zip(panels, PRICES.values(), strict=True):
        axes.set_xlabel(title)
    panels[0].set(ylabel=f"test {METRICS[metric]} (%)", ylim=limits)
    label_column(column, dict(zip(frame["key"], heights, strict=True)), told, looks)
    figure.draw_without_rendering()

    bars = whiskers(frame, metric)
    for axes, price in zip(panels, PRICES, strict=True):
        shifts = steps_aside(axes, places[price], heights)
        for i, (key, place, height) in enumerate(zip(frame["key"], places[price], heights, strict=True)):
            colour = looks[key]["color"]
            if shown[i]:
                axes.errorbar(place, height, bars[:, i : i + 1], fmt="none", elinewidth=0.6, ecolor=(colour, 0.4))
            if shifts[i]:
                lead = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
                axes.annotate("", (place, height), (shifts[i], 0), textcoords="offset points", arrowprops=lead)
            axes.plot(
                place, height, transform=moved(axes, right=shifts[i]), linestyle="none", markersize=4,
                clip_on=bool(shown[i]), **looks[key]
            )  # fmt: skip
    return figure
