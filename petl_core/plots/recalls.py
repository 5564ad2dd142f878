"""Recalls of methods: side by side, by scene, and by how the epoch is chosen."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from petl_core.evaluation.names import METRICS
from petl_core.plots.layout import draw_off_scale, limits_of_trained
from petl_core.plots.style import (
    ONE_COLUMN,
    REFERENCE_LINE,
    SMALL,
    TWO_COLUMNS,
    Look,
    limits_with_margin,
    moved,
    whiskers,
)

Names = Mapping[Any, str]  # of keys
Looks = Mapping[Any, Look]  # of keys

PANEL_WIDTHS = (2.2, 1, 1)  # of mR, and of a recall in both directions
MARKER = {"linestyle": "none", "markersize": 4.5}
MARKER_WITH_BAR = {**MARKER, "elinewidth": 0.9}


def plot_recalls(frame: pd.DataFrame, names: Names, looks: Looks, sort: bool = True, k: int = 1) -> Figure:
    """mR, and R@k in both directions, with 95 % intervals: one row per key; the dashed line is the first untrained one.

    Untrained rows that would make an axis much longer are drawn at its edge, with their value.

    Args:
        frame: of :func:`comparison.summary` or :func:`per_run.scores`.
        names: of its keys.
        looks: of its keys.
        sort: by mR, the highest on top; otherwise rows are in the order of the frame.
        k: 1, 5 or 10.
    """
    shown = ("mr", f"i2t_r{k}", f"t2i_r{k}")
    rows = frame.sort_values("mr", ascending=False, kind="stable") if sort else frame
    untrained = frame[frame["parameters"] == 0].head(1)
    figure, panels = plt.subplots(
        1, len(shown), sharey=True, figsize=(TWO_COLUMNS, 0.6 + 0.16 * max(3, len(rows))),
        width_ratios=PANEL_WIDTHS
    )  # fmt: skip
    for axes, metric in zip(panels, shown, strict=True):
        low, high = limits_of_trained(rows, metric)
        high = max(high, 1)  # all values may be 0
        axes.set_xlim(low - 0.03 * high, high)

        # The rows.
        bars = whiskers(rows, metric)
        for place, (key, value) in enumerate(zip(rows["key"], rows[metric], strict=True)):
            if value < axes.get_xlim()[0]:
                draw_off_scale(axes, value, place, f"{value:.1f}", {**MARKER, **looks[key]}, SMALL)
                continue
            axes.errorbar(value, place, xerr=bars[:, place : place + 1], **MARKER_WITH_BAR, **looks[key])

        # The line to compare with, and the axis.
        for value in untrained[metric]:
            axes.axvline(value, zorder=1, **REFERENCE_LINE)
        axes.set_xlabel(f"{METRICS[metric]} (%)")
        axes.xaxis.set_major_locator(MaxNLocator(8 if metric == "mr" else 4, steps=[1, 2, 5, 10]))
    panels[0].set_yticks(range(len(rows)), [names[key] for key in rows["key"]])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    return figure


def plot_by_scene(frame: pd.DataFrame, names: Names, looks: Looks) -> Figure:
    """mR by scene with 95 % intervals: one panel per key, each with zero-shot next to it; the easiest scene on top.

    Args:
        frame: of :func:`petl_core.evaluation.by_scene.recalls_by_scene`.
        names: of its keys.
        looks: of its keys.
    """
    # A table for each key, with the scenes in one order; the untrained key is drawn in the panels of the others.
    counts = frame.groupby("scene")["images"].first()
    scenes = frame.groupby("scene")["mr"].mean().sort_values(ascending=False).index
    tables = {key: part.set_index("scene").loc[scenes] for key, part in frame.groupby("key", sort=False)}
    untrained = [key for key, table in tables.items() if (table["parameters"] == 0).all()]
    before = untrained[0] if untrained else None
    shown = [key for key in tables if key != before]
    if not shown:
        shown = [before]

    # The panels.
    figure, grid = plt.subplots(
        1, len(shown), sharex=True, sharey=True, figsize=(TWO_COLUMNS, 0.75 + 0.16 * len(scenes)), squeeze=False
    )  # fmt: skip
    rows = range(len(scenes))
    for axes, key in zip(grid.flat, shown, strict=True):
        for other, up in ((before, -1.5), (key, 1.5)):
            if other is None:
                continue
            table, look = tables[other], {**MARKER_WITH_BAR, "markersize": 3.5, **looks[other]}
            bars = whiskers(table, "mr")
            axes.errorbar(table["mr"], rows, xerr=bars, transform=moved(axes, up=up), label=names[other], **look)
        axes.set_xlabel("test mR (%)")
        axes.set_title(names[key])
    grid[0, 0].set_yticks(rows, [f"{scene} ({counts[scene]})" for scene in scenes])
    low, high = limits_with_margin(frame, "mr")
    grid[0, 0].set(ylim=(len(scenes) - 0.4, -0.6), xlim=(min(low, -0.02 * high), high))
    return figure


def plot_selection(audit: pd.DataFrame, names: Names, looks: Looks) -> Figure:
    """How test mR changes with the last epoch, or the best one on test, instead of the best on validation.

    Args:
        audit: of :func:`petl_core.evaluation.selection.selection_audit`; one row per key.
        names: of its keys; they are followed by the mR of the epoch that is best on validation, which is the result.
        looks: of its keys.
    """
    rows = audit.sort_values("on_validation", ascending=False, kind="stable")
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 0.85 + 0.15 * max(3, len(rows))))
    axes.axvline(0, label="best on validation: the result", zorder=1, **REFERENCE_LINE)

    # A line from 0 to both changes in each row.
    for place, row in enumerate(rows.to_dict("records")):
        last, on_test = row["last"] - row["on_validation"], row["optimism"]
        look = {"color": looks[row["key"]]["color"], "markersize": 4, "linestyle": "none"}
        axes.plot([min(last, 0), max(last, on_test)], [place, place], color=look["color"], linewidth=0.8)
        axes.plot(last, place, "s", markerfacecolor="white", **look)
        axes.plot(on_test, place, ">", **look)
    titles = [f"{names[row.key]}  {row.on_validation:.1f}" for row in rows.itertuples()]
    axes.set_yticks(range(len(rows)), titles, fontsize=SMALL)
    axes.set(xlabel="change in test mR (points)", ylim=(len(rows) - 0.4, -0.6))

    # A legend of the reference line and of both marks, in grey.
    mark = {"linestyle": "none", "color": "0.2", "markersize": 4}
    last_epoch = Line2D([], [], marker="s", markerfacecolor="white", label="last epoch", **mark)
    best_on_test = Line2D([], [], marker=">", label="best on test", **mark)
    handles = [axes.lines[0], last_epoch, best_on_test]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, columnspacing=1, handletextpad=0.4)
    return figure
