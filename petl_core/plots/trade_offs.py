"""What recall costs: the same runs against parameters, time and memory."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from petl_core.evaluation.names import METRICS
from petl_core.plots.layout import label_column, log_places, on_scale
from petl_core.plots.style import TWO_COLUMNS, Look, limits_with_margin, whiskers

PRICES = {
    "parameters": "trained parameters",
    "seconds": "training (s)",
    "activation_mib": "activation memory (MiB)",
}


def plot_trade_offs(
    frame: pd.DataFrame, names: Mapping[Any, str], looks: Mapping[Any, Look], metric: str = "mr"
) -> Figure:
    """A test metric with 95 % intervals against trained parameters, seconds of training, and activation memory.

    Outliers that would squeeze the rest are drawn at the edge, and their labels give the value. Markers have a white
    outline, which tells those that overlap apart.

    Args:
        frame: of :func:`comparison.summary`, with a column for each of ``PRICES``. A cost of 0 has its place left of a
            dotted line; a cost that was not measured (NaN) is missing from its panel.
        names: of its keys.
        looks: of its keys.
        metric: a key of ``METRICS``.
    """
    shown = on_scale(frame, metric)
    limits = limits_with_margin(frame[shown], metric)
    heights = frame[metric].clip(*limits)
    labels = {}
    for key, value, is_shown in zip(frame["key"], frame[metric], shown, strict=True):
        labels[key] = names[key] if is_shown else f"{names[key]}: {value:.1f}, off the scale"

    # Axes first: the labels are placed in the finished layout.
    figure, (*panels, column) = plt.subplots(
        1, len(PRICES) + 1, sharey=True, figsize=(TWO_COLUMNS, max(2.4, 0.6 + 0.13 * len(frame))),
        width_ratios=[1, 1, 1, 0.95]
    )  # fmt: skip
    places = {price: log_places(axes, frame[price]) for axes, price in zip(panels, PRICES, strict=True)}
    for axes, title in zip(panels, PRICES.values(), strict=True):
        axes.set_xlabel(title)
    panels[0].set(ylabel=f"test {METRICS[metric]} (%)", ylim=limits)
    label_column(column, dict(zip(frame["key"], heights, strict=True)), labels, looks)
    figure.draw_without_rendering()

    # Markers with their intervals, those at the edge without.
    bars = whiskers(frame, metric)
    for axes, price in zip(panels, PRICES, strict=True):
        for i, (key, place, height) in enumerate(zip(frame["key"], places[price], heights, strict=True)):
            colour = looks[key]["color"]
            if shown[i]:
                axes.errorbar(place, height, bars[:, i : i + 1], fmt="none", elinewidth=0.6, ecolor=(colour, 0.4))
            axes.plot(
                place, height, linestyle="none", markersize=3.5, clip_on=bool(shown[i]), zorder=3,
                path_effects=[withStroke(linewidth=1.6, foreground="white")], **looks[key]
            )  # fmt: skip
    return figure
