"""Paired differences with their intervals, one below the other: a forest plot."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from petl_core.evaluation.comparison import EQUIVALENCE, signed
from petl_core.plots.layout import draw_off_scale, on_scale
from petl_core.plots.style import (
    ONE_COLUMN,
    POINTS_PER_INCH,
    Look,
    legend_above,
    limits_with_margin,
    method_look,
    whiskers,
)
from petl_core.runs.folder import Run

FONT_SIZE = 6.5  # points
CHARS_PER_LINE = 36  # of a label
LINE_HEIGHT = 1.2 * FONT_SIZE / POINTS_PER_INCH  # inches, of a label
LABEL_GAP = 0.03  # inches between labels
FRAME_HEIGHT = 0.85  # inches above and below the rows
MARKER = {"linestyle": "none", "markersize": 4, "markeredgewidth": 0.9}
VERDICTS: dict[bool | None, tuple[str, Look]] = {  # as the legend says it, and how it changes the look of a method
    True: ("significant", {}),
    False: ("not significant", {"alpha": 0.4}),
    None: ("one seed, no verdict", {"markerfacecolor": "white", "color": "0.6"}),
}


def plot_differences(differences: pd.DataFrame, names: Mapping[Any, str], runs: Mapping[Any, Run]) -> Figure:
    """Differences in mR with 95 % intervals, listed below their reference, otherwise in the order of the table.

    Methods have their colours and markers, faint where the pair is not significant; differences within the band count
    as equivalent. Pairs without a common seed are left out, and so are pairs with an untrained model, which would
    squeeze the rest, unless there are no others. Outliers are drawn at the edge, with their value.

    Args:
        differences: of :func:`comparison.differences`.
        names: of its keys.
        runs: the first run of each key.
    """
    # The rows to show, those of one reference together.
    found = differences.dropna(subset="difference")
    trained = [runs[key].config.epochs > 0 and runs[other].config.epochs > 0 for key, other in _pairs(found)]
    if any(trained):
        found = found[trained]
    found = found.sort_values("reference", key=lambda references: pd.factorize(references)[0], kind="stable")
    found = found.rename(columns={"low": "difference_low", "high": "difference_high"}).reset_index(drop=True)

    # The labels from the top down, each reference above its rows.
    labels, is_row, last = [], [], None
    for key, reference in _pairs(found):
        if reference != last:
            last = reference
            labels.append(_in_even_lines(f"against {names[last]}:"))
            is_row.append(False)
        labels.append(_in_even_lines(names[key]))
        is_row.append(True)
    heights = np.array([LINE_HEIGHT * (1 + label.count("\n")) + LABEL_GAP for label in labels])
    places = heights.cumsum() - heights / 2

    # The y axis counts inches from the top, so that long labels have enough room.
    height = max(heights.sum(), LINE_HEIGHT)
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, FRAME_HEIGHT + height))
    axes.set_ylim(height, 0)
    axes.set_yticks(places, labels, fontsize=FONT_SIZE)
    for label, shows_row in zip(axes.get_yticklabels(), is_row, strict=True):
        label.set_fontstyle("normal" if shows_row else "italic")
    axes.grid(axis="y", visible=False)

    # The band, the differences and the legend.
    axes.axvspan(-EQUIVALENCE, EQUIVALENCE, color="0.88", linewidth=0, label=f"within ±{EQUIVALENCE:g} point")
    axes.axvline(0, color="0.2", linewidth=0.8)
    looks = [
        method_look(runs[key].config.method) | VERDICTS[verdict][1]
        for key, verdict in zip(found["key"], found["significant"], strict=True)
    ]
    _draw_rows(axes, found, places[np.array(is_row, dtype=bool)], looks)
    for verdict, (words, change) in VERDICTS.items():
        if any(cell is verdict for cell in found["significant"]):
            look = {**MARKER, "marker": "o", "color": "0.2", **change}
            axes.plot([], [], label=words, **look)
    axes.set_xlabel("mR difference (points)", fontsize=7)
    axes.tick_params(axis="x", labelsize=FONT_SIZE)
    legend_above(figure, "")
    return figure


def _in_even_lines(label: str) -> str:
    """A label in as few lines as possible, which are about equally long, so that no word is on a line of its own."""
    fewest = len(wrap(label, CHARS_PER_LINE))
    width = 1
    while len(wrap(label, width)) > fewest:
        width += 1
    return "\n".join(wrap(label, width))


def _pairs(found: pd.DataFrame) -> list[tuple[Any, Any]]:
    """(key, reference) of each row."""
    return list(zip(found["key"], found["reference"], strict=True))


def _draw_rows(axes: Axes, found: pd.DataFrame, places: np.ndarray, looks: list[Look]) -> None:
    """Each difference at its place, with its interval; one off the scale at the edge, with its value."""
    shown = on_scale(found, "difference")
    if len(found):
        low, high = limits_with_margin(found[shown], "difference")
        axes.set_xlim(min(low, -1.5 * EQUIVALENCE), max(high, 1.5 * EQUIVALENCE))
    bars = whiskers(found, "difference")
    for i, (value, place, look) in enumerate(zip(found["difference"], places, looks, strict=True)):
        if shown[i]:
            axes.errorbar(value, place, xerr=bars[:, i : i + 1], elinewidth=1, **MARKER, **look)
            continue
        draw_off_scale(axes, value, place, signed(value), {**MARKER, **look}, FONT_SIZE)
