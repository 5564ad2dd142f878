"""What more negatives bring: recall with queues and with larger batches."""

from collections.abc import Mapping

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from petl_core.evaluation.factors import format_value
from petl_core.evaluation.names import METRICS
from petl_core.evaluation.negatives import SOURCES
from petl_core.plots.ablation import SERIES_GAP, SERIES_LOOK, equals, levels, set_x_ticks
from petl_core.plots.style import (
    DASHES,
    TWO_COLUMNS,
    legend_above,
    limits_with_margin,
    looks_unlike_methods,
    moved,
    whiskers,
)


def plot_negatives(rows: Mapping[str, pd.DataFrame], metric: str = "mr") -> Figure:
    """A metric with intervals against the number of negatives: one line per source, one panel per temperature.

    Args:
        rows: frames of :func:`petl_core.evaluation.negatives.by_source`, one row of panels each, by title.
        metric: a key of ``METRICS``.
    """
    points = pd.concat(rows.values())
    temperatures = levels(points["temperature"])
    size = (TWO_COLUMNS, 0.9 + 1.7 * len(rows))

    # The panels.
    figure, grid = plt.subplots(len(rows), len(temperatures), sharex=True, sharey=True, squeeze=False, figsize=size)
    for (title, frame), line in zip(rows.items(), grid, strict=True):
        for temperature, axes in zip(temperatures, line, strict=True):
            axes.set_xscale("log")
            _draw(axes, frame[equals(frame["temperature"], temperature)], metric)
        line[0].set_ylabel(f"{title}\ntest {METRICS[metric]} (%)")

    # What they share: headings on top, the x axis at the bottom.
    for temperature, axes in zip(temperatures, grid[0], strict=True):
        axes.set_title(f"temperature {format_value('temperature', temperature)}", fontsize=7)
    for axes in grid[-1]:
        set_x_ticks(axes, points["negatives"].astype(float))
        axes.set(xlabel="negatives (queue or batch)", ylim=limits_with_margin(points, metric))
    legend_above(figure, "Negatives from")
    return figure


def _draw(axes: Axes, points: pd.DataFrame, metric: str) -> None:
    """One panel: sources that would overlap are moved apart; the smallest batch without a queue is a reference line."""
    looks = looks_unlike_methods()  # all series are of one method, none may be mistaken for another method
    for i, (source, name) in enumerate(SOURCES.items()):
        part = points[points["source"] == source]
        if part.empty:
            continue
        axes.errorbar(
            part["negatives"].astype(float), part[metric], whiskers(part, metric), linestyle=DASHES[i],
            transform=moved(axes, right=SERIES_GAP * (i - (len(SOURCES) - 1) / 2)), label=name,
            **looks[i], **SERIES_LOOK
        )  # fmt: skip
    for row in points[points["source"] == "none"].to_dict("records"):
        axes.axhline(row[metric], color="0.35", linestyle=":", linewidth=1, label="the smallest batch alone")
        axes.axhspan(row[f"{metric}_low"], row[f"{metric}_high"], color="0.35", alpha=0.1, linewidth=0)
