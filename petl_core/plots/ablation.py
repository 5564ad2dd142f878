"""Plots of an ablation: recall with 95 % intervals by factor; groups without the factor are reference lines.

The axis spans what was trained, with a grid of single points where there is room. What was not trained and is far off
the axis is named in the legend.
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

SERIES_GAP = 5  # typographic points, more than a marker, between series that would otherwise overlap
MIN_ROWS = 4  # a plot with fewer rows is as high as with these, so that a tall legend leaves room for the axes
CHARS_PER_LINE = 24  # of a row's name, where the figure is one column wide
SERIES_LOOK = {"markersize": 4, "linewidth": 1}
MAX_SPAN_OF_POINT_GRID = 25  # percentage points: on a longer axis, a grid of single points would be too dense


def plot_rows(ablation: Ablation, rows: str, hue: str, panels: str = "", metric: str = "mr") -> Figure:
    """A metric with intervals, one row per value of a factor; groups without a value are reference lines.

    Args:
        ablation: what to show.
        rows, hue: factors; values of ``hue`` differ in colour and marker.
        panels: a factor with one panel per value; "" for a single panel.
        metric: a key of ``METRICS``.
    """
    table = ablation.table
    parts = _by_panel(ablation, panels)
    row_values, hue_values = levels(table[rows]), levels(table[hue])
    width = ONE_COLUMN if len(parts) == 1 else TWO_COLUMNS
    row_height = max(0.22, SERIES_GAP / POINTS_PER_INCH * (len(hue_values) + 1))
    height = 0.9 + row_height * max(MIN_ROWS, len(row_values))
    figure, grid = plt.subplots(1, len(parts), sharex=True, sharey=True, figsize=(width, height))
    for axes, (heading, part) in zip(np.atleast_1d(grid), parts, strict=True):
        # The series, one above the other within each row.
        for i, value in enumerate(hue_values):
            points = part[equals(part[hue], value) & part[rows].notna()]
            axes.errorbar(
                points[metric], [row_values.index(row) for row in points[rows]], xerr=whiskers(points, metric),
                linestyle="none", transform=moved(axes, up=SERIES_GAP * ((len(hue_values) - 1) / 2 - i)),
                label=ablation.value_name(hue, value), **_look(hue, value, i), **SERIES_LOOK
            )  # fmt: skip

        # The axes, and what there is to compare with.
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
            row_names = [fill(name, CHARS_PER_LINE) for name in row_names]
        axes.set_yticks(range(len(row_values)), row_names)
    legend_above(figure, title_with_unit(hue))
    return figure


def plot_lines(ablation: Ablation, x: dict[str, str], hue: str, metric: str = "mr") -> Figure:
    """A metric with intervals against one or more columns, on log axes; groups without a value are reference lines.

    Args:
        ablation: what to show.
        x: columns of its table to plot against, one panel each, with their labels and units.
        hue: a factor with one line per value.
        metric: a key of ``METRICS``.
    """
    table = ablation.table
    width = ONE_COLUMN if len(x) == 1 else TWO_COLUMNS
    figure, grid = plt.subplots(1, len(x), sharey=True, figsize=(width, 2.6))
    hue_values = levels(table[hue])
    for axes, (column, label) in zip(np.atleast_1d(grid), x.items(), strict=True):
        # One line per value of the hue.
        axes.set_xscale("log")
        for i, value in enumerate(hue_values):
            points = table[equals(table[hue], value) & table[column].notna()].sort_values(column)
            # Series share the values of a factor, so they would overlap.
            shift = SERIES_GAP * (i - (len(hue_values) - 1) / 2) if column in ablation.factors else 0
            axes.errorbar(
                points[column].astype(float), points[metric], whiskers(points, metric),
                linestyle=DASHES[i % len(DASHES)], transform=moved(axes, right=shift),
                label=ablation.value_name(hue, value), **_look(hue, value, i), **SERIES_LOOK
            )  # fmt: skip

        # The axes, and what there is to compare with.
        axes.set(xlabel=label, ylim=limits_of_trained(table, metric))
        _draw_references(ablation, table[table[hue].isna()], metric, (axes.axhline, axes.axhspan))
        _draw_single_points(axes.yaxis)
        set_x_ticks(axes, table.loc[table[hue].notna(), column].astype(float))
    np.atleast_1d(grid)[0].set_ylabel(f"test {METRICS[metric]} (%)")
    legend_above(figure, title_with_unit(hue))
    return figure


def levels(column: pd.Series) -> list[Hashable]:
    """Distinct values: numbers in ascending order, others in the order in which they appear."""
    distinct = list(dict.fromkeys(column.dropna()))
    if all(isinstance(value, (int, float)) for value in distinct):
        distinct.sort()
    return distinct


def equals(column: pd.Series, value: Hashable) -> pd.Series:
    """Which cells equal a value; with ``==``, pandas would compare a tuple with the column as a whole."""
    return pd.Series([cell == value for cell in column], index=column.index, dtype=bool)


def title_with_unit(factor: str) -> str:
    """A factor as a legend's title."""
    return f"{factor_title(factor)} ({UNITS[factor]})" if factor in UNITS else factor_title(factor)


def set_x_ticks(axes: Axes, values: pd.Series) -> None:
    """Limits around the values of x, and ticks at those that have room for a label."""
    # Places: values as they are spaced on the axis.
    if axes.get_xscale() == "log":
        to_place, to_value = np.log, np.exp
    else:
        to_place = to_value = np.asarray
    places = np.unique(to_place(values.dropna()))
    if not len(places):  # nothing but reference lines
        axes.set_xticks([], minor=False)
        axes.set_xticks([], minor=True)
        return

    width = np.ptp(places) or 1
    axes.set_xlim(to_value(places[0] - width / 8), to_value(places[-1] + width / 8))
    shown = [places[0]]
    for place in places[1:]:
        if place - shown[-1] > width / 10:
            shown.append(place)
    ticks = to_value(shown)
    axes.set_xticks(ticks, [f"{tick:,.7g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.tick_params(axis="x", labelsize=7)


def _by_panel(ablation: Ablation, panels: str) -> list[tuple[str, pd.DataFrame]]:
    """The table split by the values of a factor, with a heading for each; rows without a value are in every part."""
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
    """The look of the i-th series; methods look the same in all figures."""
    return method_look(str(value)) if factor == "method" else marker_and_colour(i)


def _draw_references(
    ablation: Ablation, rows: pd.DataFrame, metric: str, line_and_span: tuple[Callable, Callable]
) -> None:
    """A dashed line and an interval for each of the first three rows; one off the scale is only named in the legend.

    Args:
        ablation: of the plot.
        rows: groups to compare with.
        metric: a key of ``METRICS``.
        line_and_span: ``axvline`` and ``axvspan`` of the axes, or their horizontal counterparts.
    """
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
    """A faint grid of single percentage points, unless it would be too dense."""
    axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    low, high = axis.get_view_interval()
    if high - low <= MAX_SPAN_OF_POINT_GRID:
        axis.set_minor_locator(MultipleLocator(1))
        axis.set_tick_params(which="minor", length=0)
        axis.grid(which="minor", color="0.95", linewidth=0.5)
