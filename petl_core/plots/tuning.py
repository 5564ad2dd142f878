"""Plot of settings compared on validation."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from petl_core.evaluation.factors import format_value
from petl_core.evaluation.tuning import TUNED
from petl_core.plots.style import TWO_COLUMNS, marker_and_colour

COLUMNS = 4


def plot_tuning(compared: pd.DataFrame) -> Figure:
    """Mean validation mR against learning rate: a panel a method, a line for each of its other settings.

    Args:
        compared: of :func:`petl_core.evaluation.tuning.compared_settings`.
    """
    panels = list(compared.groupby("method", sort=False))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    size = (TWO_COLUMNS, 0.3 + 1.35 * rows)
    figure, grid = plt.subplots(rows, columns, sharex=True, sharey=True, figsize=size, squeeze=False)
    for axes, (method, tried) in zip(grid.flat, panels, strict=False):
        others = [name for name in TUNED[1:] if name in tried and tried[name].nunique(dropna=False) > 1]
        lines = tried.groupby(others, dropna=False, sort=True) if others else [((), tried)]
        for i, (values, points) in enumerate(lines):
            label = ", ".join(_in_words(name, value) for name, value in zip(others, values, strict=True))
            points = points.sort_values("learning_rate")
            axes.plot(
                points["learning_rate"], points["validation_mr"], label=label, linewidth=1, markersize=3.5,
                **marker_and_colour(i)
            )  # fmt: skip
        best = tried[tried["chosen"]]
        ring = {"markersize": 8, "color": "0.2", "fillstyle": "none", "clip_on": False}
        axes.plot(best["learning_rate"], best["validation_mr"], "o", **ring)
        axes.margins(y=0.12)
        axes.set_title(method, fontsize=7)
        axes.set_xscale("log")
        axes.tick_params(labelsize=7)
        if others:
            axes.legend(fontsize=6, loc="lower center", handlelength=1.2)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:  # with nothing below
        axes.set_xlabel("learning rate", fontsize=7)
        axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("validation mR (%)", fontsize=7)
    return figure


def _in_words(setting: str, value: object) -> str:
    """A setting's value in a legend."""
    if setting == "learn_temperature":
        return "learned temperature" if value else "fixed"
    return f"{setting.replace('_', ' ')} {format_value(setting, value)}"
