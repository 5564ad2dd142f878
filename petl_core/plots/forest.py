"""Paired differences with their intervals, one below the other: a forest plot."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from petl_core.evaluation.comparison import EQUIVALENCE
from petl_core.plots.style import ONE_COLUMN, POINTS_PER_INCH, legend_above, marker_and_colour, whiskers

FONT = 6.5  # points
LETTERS = 36  # of a line of a label
LINE, GAP = 1.2 * FONT / POINTS_PER_INCH, 0.04  # inches: a line of a label, and between labels
AROUND = 0.85  # inches above and below the rows
SHAPE = {"linestyle": "none", "markersize": 3.5, "elinewidth": 1, "markeredgewidth": 0.9}
TOLD = {**marker_and_colour(0), **SHAPE}
LOOKS = {  # by verdict
    True: {**TOLD, "label": "distinguishable"},
    False: {**TOLD, "markerfacecolor": "white", "label": "not distinguishable"},
    None: {**SHAPE, "marker": "s", "color": "0.5", "markerfacecolor": "white", "label": "one seed, no verdict"},
}


def plot_differences(differences: pd.DataFrame, names: Mapping[Any, str]) -> Figure:
    """Differences in mR with 95 % intervals, below the reference of each, otherwise in the order of the table.

    Markers of distinguishable pairs are filled; the band holds what is equivalent. Pairs without a common seed are left
    out.

    Args:
        differences: of :func:`comparison.differences`.
        names: of its keys.
    """
    found = differences.dropna(subset="difference")
    found = found.sort_values("reference", key=lambda references: pd.factorize(references)[0], kind="stable")

    # The labels from the top down: each reference above its rows.
    labels, is_row, last = [], [], None
    for row in found.to_dict("records"):
        if row["reference"] != last:
            last = row["reference"]
            labels.append(fill(f"against {names[last]}:", LETTERS))
            is_row.append(False)
        labels.append(fill(names[row["key"]], LETTERS))
        is_row.append(True)
    heights = np.array([LINE * (1 + label.count("\n")) + GAP for label in labels])
    places = heights.cumsum() - heights / 2

    # A scale of inches from the top, so that long labels have their room.
    height = max(heights.sum(), LINE)
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, AROUND + height))
    axes.set_ylim(height, 0)
    axes.set_yticks(places, labels, fontsize=FONT)
    for label, shows_row in zip(axes.get_yticklabels(), is_row, strict=True):
        label.set_fontstyle("normal" if shows_row else "italic")
    axes.grid(axis="y", visible=False)

    # The differences, by verdict.
    axes.axvspan(-EQUIVALENCE, EQUIVALENCE, color="0.88", linewidth=0, label=f"within ±{EQUIVALENCE:g} point")
    axes.axvline(0, color="0.2", linewidth=0.8)
    bars = whiskers(found.rename(columns={"low": "difference_low", "high": "difference_high"}), "difference")
    places_of_rows = places[np.array(is_row, dtype=bool)]
    for verdict, look in LOOKS.items():
        chosen = np.array([cell is verdict for cell in found["distinguishable"]], dtype=bool)
        if chosen.any():
            axes.errorbar(found["difference"][chosen], places_of_rows[chosen], xerr=bars[:, chosen], **look)
    axes.set_xlabel("mR difference (points)", fontsize=7)
    axes.tick_params(axis="x", labelsize=FONT)
    legend_above(figure, "")
    return figure
