"""What recall costs: the same runs against three prices."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from petl_core.evaluation.names import METRICS
from petl_core.plots.layout import label_column, log_places, steps_aside
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

    Args:
        frame: of :func:`comparison.summary`, with a column for each of ``PRICES``; what costs nothing stands apart,
            left of the log axis, and what was not measured (NaN) is in the other panels alone.
        names: of its keys.
        looks: of its keys.
        metric: a key of ``METRICS``.
    """
    figure, (*panels, column) = plt.subplots(
        1, len(PRICES) + 1, sharey=True, figsize=(TWO_COLUMNS, max(2.4, 0.6 + 0.13 * len(frame))),
        width_ratios=[1, 1, 1, 0.95]
    )  # fmt: skip
    # Axes first, since where markers would hide one another hangs on the finished layout.
    places = {price: log_places(axes, frame[price]) for axes, price in zip(panels, PRICES, strict=True)}
    for axes, title in zip(panels, PRICES.values(), strict=True):
        axes.set_xlabel(title)
    panels[0].set(ylabel=f"test {METRICS[metric]} (%)", ylim=limits_with_margin(frame, metric))
    label_column(column, dict(zip(frame["key"], frame[metric], strict=True)), names, looks)
    figure.draw_without_rendering()

    bars = whiskers(frame, metric)
    for axes, price in zip(panels, PRICES, strict=True):
        shifts = steps_aside(axes, places[price], frame[metric])
        for i, (key, place, value) in enumerate(zip(frame["key"], places[price], frame[metric], strict=True)):
            axes.errorbar(
                place, value, bars[:, i : i + 1], transform=moved(axes, right=shifts[i]), linestyle="none",
                elinewidth=0.5, markersize=4, **looks[key]
            )  # fmt: skip
    return figure
