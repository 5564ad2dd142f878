"""Plots of an ablation: recall with 95 % intervals by factors; rows that have no factor are lines for reference.

Its axis is as wide as what was trained, with a grid of single points where it has room: what was not trained, and
would lie far off, is named in the legend.
"""

from collections.abc import Callable, Hashable
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from petl_core.evaluation.ablation import Ablation
from petl_core.evaluation.factors import UNITS, factor_title
from petl_core.evaluation.names import METRICS
from petl_core.plots.layout import limits_of_trained
from petl_core.plots.style import (
    DASHES,
    ONE_COLUMN,
    POINTS_PER_INCH,
    TWO_COLUMNS,
    Look,
    legend_above,
    marker_and_colour,
    method_look,
    moved,
    whiskers,
)

STEP = 5  # points between series that would otherwise lie on each other, more than a marker
FEWEST_ROWS = 4  # that a plot has height for, so that a legend of several lines leaves it some
ROW_NAME_WIDTH = 24  # characters a line, where the figure is one column wide
SERIES = {"markersize": 4, "linewidth": 1}
SINGLE_POINTS = 25  # points: on a wider axis a grid of single ones would be too dense


def plot_rows(ablation: Ablation, rows: str, hue: str, panels: str = "", metric: str = "mr") -> Figure:
    """A metric with intervals, a row for each value of one factor; groups without one are lines for reference.

    Args:
        ablation: what to show.
        rows, hue: factors; values of ``hue`` are told apart by colour and marker.
        panels: a factor with a panel for each of its values.
        metric: a key of ``METRICS``.
    """
    table = ablation.table
    parts = _by_panel(ablation, panels)
    row_values, hue_values = levels(table[rows]), levels(table[hue])
    width = ONE_COLUMN if len(parts) == 1 else TWO_COLUMNS
    height = 0.9 + max(0.22, STEP / POINTS_PER_INCH * (len(hue_values) + 1)) * max(FEWEST_ROWS, len(row_values))
    figure, grid = plt.subplots(1, len(parts), sharex=True, sharey=True, figsize=(width, height))
    for axes, (heading, part) in zip(np.atleast_1d(grid), parts, strict=True):
        for i, value in enumerate(hue_values):
            points = part[equals(part[hue], value) & part[rows].notna()]
            axes.errorbar(
                points[metric], [row_values.index(row) for row in points[rows]], xerr=whiskers(points, metric),
                linestyle="none", transform=moved(axes, up=STEP * ((len(hue_values) - 1) / 2 - i)),
                label=ablation.value_name(hue, value), **_look(hue, value, i), **SERIES
            )  # fmt: skip
        axes.set(
            xlabel=f"test {METRICS[metric]} (%)",
            xlim=limits_of_trained(table, metric),
            ylim=(max(1, len(row_values)) - 0.5, -0.5),
        )
        _draw_references(ablation, part[part[rows].isna()], metric, (axes.axvline, axes.axvspan))
        _draw_single_points(axes.xaxis)
        axes.set_title(heading, fontsize=7)
        row_names = [ablation.value_name(rows, value) for value in row_values]
        if len(parts) == 1:
            row_names = [fill(name, ROW_NAME_WIDTH) for name in row_names]
        axes.set_yticks(range(len(row_values)), row_names)
    legend_above(figure, title_with_unit(hue))
    return figure


def plot_lines(ablation: Ablation, x: dict[str, str], hue: str, metric: str = "mr") -> Figure:
    """A metric with intervals against one or more columns, log axes; groups without a value are lines for reference.

    Args:
        ablation: what to show.
        x: columns of its table to plot against, a panel each, with their labels and units.
        hue: factor whose values are lines of their own.
        metric: a key of ``METRICS``.
    """
    table = ablation.table
    width = ONE_COLUMN if len(x) == 1 else TWO_COLUMNS
    figure, grid = plt.subplots(1, len(x), sharey=True, figsize=(width, 2.6))
    hue_values = levels(table[hue])
    for axes, (column, label) in zip(np.atleast_1d(grid), x.items(), strict=True):
        axes.set_xscale("log")
        for i, value in enumerate(hue_values):
            points = table[equals(table[hue], value) & table[column].notna()].sort_values(column)
            aside = STEP * (i - (len(hue_values) - 1) / 2) if column in ablation.factors else 0
            axes.errorbar(
                points[column].astype(float), points[metric], whiskers(points, metric),
                linestyle=DASHES[i % len(DASHES)], transform=moved(axes, right=aside),
                label=ablation.value_name(hue, value), **_look(hue, value, i), **SERIES
            )  # fmt: skip
        axes.set(xlabel=label, ylim=limits_of_trained(table, metric))
        _draw_references(ablation, table[table[hue].isna()], metric, (axes.axhline, axes.axhspan))
        _draw_single_points(axes.yaxis)
        set_x_ticks(axes, table.loc[table[hue].notna(), column].astype(float))
    np.atleast_1d(grid)[0].set_ylabel(f"test {METRICS[metric]} (%)")
    legend_above(figure, title_with_unit(hue))
    return figure


def levels(column: pd.Series) -> list[Hashable]:
    """Distinct values: numbers ascending, all else in its order."""
    distinct = list(dict.fromkeys(column.dropna()))
    return sorted(distinct) if all(isinstance(value, (int, float)) for value in distinct) else distinct


def equals(column: pd.Series, value: Hashable) -> pd.Series:
    """Which cells hold a value; pandas would compare a tuple with the whole column."""
    return pd.Series([cell == value for cell in column], index=column.index, dtype=bool)


def title_with_unit(factor: str) -> str:
    """A factor as a legend's title."""
    return f"{factor_title(factor)} ({UNITS[factor]})" if factor in UNITS else factor_title(factor)


def set_x_ticks(axes: Axes, values: pd.Series) -> None:
    """Limits around the values of x, and ticks at those which have room."""
    forward, back = (np.log, np.exp) if axes.get_xscale() == "log" else (np.asarray, np.asarray)
    places = np.unique(forward(values.dropna()))
    if not len(places):  # nothing but references
        axes.set_xticks([], minor=False)
        axes.set_xticks([], minor=True)
        return
    width = np.ptp(places) or 1
    axes.set_xlim(back(places[0] - width / 8), back(places[-1] + width / 8))
    shown = [places[0]]
    for place in places[1:]:
        if place - shown[-1] > width / 10:
            shown.append(place)
    axes.set_xticks(back(shown), [f"{tick:,.7g}" for tick in back(shown)])
    axes.set_xticks([], minor=True)
    axes.tick_params(axis="x", labelsize=7)


def _by_panel(ablation: Ablation, panels: str) -> list[tuple[str, pd.DataFrame]]:
    """The table by the values of a factor, under their headings; rows without a value belong to every part."""
    table = ablation.table
    values = levels(table[panels]) if panels else []
    if not values:
        return [("", table)]
    parts = []
    for value in values:
        heading = ablation.value_name(panels, value)
        if isinstance(value, (int, float)):
            heading = f"{factor_title(panels).lower()} {heading}"
        parts.append((heading, table[equals(table[panels], value) | table[panels].isna()]))
    return parts


def _look(factor: str, value: Hashable, i: int) -> Look:
    """A method has a look of its own, wherever it is shown."""
    return method_look(str(value)) if factor == "method" else marker_and_colour(i)


def _draw_references(
    ablation: Ablation, rows: pd.DataFrame, metric: str, line_and_span: tuple[Callable, Callable]
) -> None:
    """A dashed line with its interval for each of the first three rows; one off the scale is told in words."""
    line, span = line_and_span
    low, high = limits_of_trained(ablation.table, metric)
    for dashes, row in zip((":", "--", "-."), rows.to_dict("records"), strict=False):
        name, value = ablation.names[row["key"]], row[metric]
        if not low <= value <= high:
            line(value, linestyle="none", label=f"{name}: {value:.1f}, off the scale")
            continue
        line(value, color="0.35", linestyle=dashes, linewidth=1, label=name)
        span(row[f"{metric}_low"], row[f"{metric}_high"], color="0.35", alpha=0.1, linewidth=0)


def _draw_single_points(axis: Axis) -> None:
    """A faint grid of single points, where it is not too dense."""
    axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    low, high = axis.get_view_interval()
    if high - low <= SINGLE_POINTS:
        axis.set_minor_locator(MultipleLocator(1))
        axis.set_tick_params(which="minor", length=0)
        axis.grid(which="minor", color="0.95", linewidth=0.5)
