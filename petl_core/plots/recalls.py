"""Recalls of methods, and what their parameters buy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from petl_core.evaluation.names import METRICS
from petl_core.plots.style import TWO_COLUMNS, limits_with_margin, marker_and_colour, moved, whiskers

SAME_SIZE = 1.25  # methods whose parameters differ by less than this factor stand side by side
STEP, WIDEST = 2.5, 4  # points between two of them, less than a marker; most steps from the first to the last


def plot_recalls(frame: pd.DataFrame, names: Mapping[Any, str]) -> Figure:
    """The six recalls and mR of each row, with 95 % intervals.

    Args:
        frame: of :func:`comparison.summary` or :func:`per_run.scores`.
        names: of its keys.
    """
    figure, panels = plt.subplots(1, len(METRICS), sharey=True, figsize=(TWO_COLUMNS, 0.75 + 0.19 * len(frame)))
    rows = np.arange(len(frame))
    look = {**marker_and_colour(0), "markersize": 3.5, "linestyle": "none", "elinewidth": 1}
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        axes.errorbar(frame[metric], rows, xerr=whiskers(frame, metric), **look)
        axes.set_title(f"{title} (%)", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    panels[0].set_yticks(rows, [names[key] for key in frame["key"]])
    panels[0].invert_yaxis()
    return figure


def plot_against_parameters(frame: pd.DataFrame, names: Mapping[Any, str]) -> Figure:
    """mR against trained parameters (log axis, with a place for none), with 95 % intervals.

    Methods of nearly equal size are moved apart, by a few points at most, where they would hide one another.

    Args:
        frame: of :func:`comparison.summary`.
        names: of its keys.
    """
    figure, axes = plt.subplots(figsize=(TWO_COLUMNS, max(2.8, 0.6 + 0.19 * len(frame))))
    bars = whiskers(frame, "mr")
    for i, (row, steps) in enumerate(zip(frame.itertuples(), _steps_aside(frame["parameters"]), strict=True)):
        axes.errorbar(
            row.parameters, row.mr, bars[:, i : i + 1], linestyle="none", capsize=2, elinewidth=0.8, markersize=4.5,
            label=names[row.key], transform=moved(axes, right=steps * STEP), **marker_and_colour(i)
        )  # fmt: skip
    # A decade below the smallest method is the place of those that train nothing.
    trained = frame.loc[frame["parameters"] > 0, "parameters"]
    trained = trained if len(trained) else pd.Series([1])
    smallest, largest = int(np.floor(np.log10(trained.min()))), int(np.ceil(np.log10(trained.max())))
    axes.set_xscale("symlog", linthresh=10**smallest, linscale=0.5)
    axes.set_xticks([0, *(10**power for power in range(smallest, largest + 1))])
    axes.set(xlabel="trained parameters", ylabel="test mR (%)", xlim=(-(10**smallest) / 5, 2 * trained.max()))
    axes.set_ylim(*limits_with_margin(frame, "mr"))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7)
    return figure


def _steps_aside(sizes: pd.Series) -> np.ndarray:
    """How many steps to move each size aside, so that neighbours of about one size stand side by side."""
    order = np.argsort(sizes.to_numpy(), kind="stable")
    ordered = sizes.to_numpy(dtype=float)[order]
    starts_anew = np.concatenate([[True], ordered[1:] > SAME_SIZE * ordered[:-1]])
    steps = np.empty(len(sizes))
    for places in np.split(order, np.flatnonzero(starts_anew)[1:]):
        steps[places] = (np.arange(len(places)) - (len(places) - 1) / 2) * min(1, WIDEST / len(places))
    return steps
