"""Settings compared on validation."""

import math
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from petl_core.evaluation.factors import format_value
from petl_core.evaluation.tuning import TUNED
from petl_core.plots.style import ONE_COLUMN, TWO_COLUMNS, Look, legend_above, marker_and_colour

MAX_COLUMNS = 4


def plot_tuning(compared: pd.DataFrame) -> Figure:
    """Mean validation mR against learning rate: one panel per method, one line per combination of other settings.

    The chosen settings are circled and labelled with their learning rate.

    Args:
        compared: of :func:`petl_core.evaluation.tuning.compared_settings`.
    """
    panels = list(compared.groupby("method", sort=False))
    columns = min(MAX_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (TWO_COLUMNS if columns > 1 else ONE_COLUMN, 0.5 + 1.3 * rows)
    figure, grid = plt.subplots(rows, columns, sharex=True, sharey=True, figsize=size, squeeze=False)
    looks: dict[str, Look] = {}  # by settings in words, the same in all panels
    ticks = _ticks(compared["learning_rate"])
    for axes, (method, tried) in zip(grid.flat, panels, strict=False):
        # A line for each combination of the settings that vary, other than the learning rate.
        others = [name for name in TUNED[1:] if name in tried and tried[name].nunique(dropna=False) > 1]
        lines = tried.groupby(others, dropna=False, sort=True) if others else [((), tried)]
        for values, points in lines:
            label = _in_words(dict(zip(others, values, strict=True)))
            points = points.sort_values("learning_rate")
            axes.plot(
                points["learning_rate"], points["validation_mr"], label=label, linewidth=1, markersize=3.5,
                **looks.setdefault(label, marker_and_colour(len(looks)))
            )  # fmt: skip

        # A ring around what was chosen.
        best = tried[tried["chosen"]]
        ring = {"markersize": 8, "color": "0.2", "fillstyle": "none", "clip_on": False}
        axes.plot(best["learning_rate"], best["validation_mr"], "o", **ring)
        for rate, mr in zip(best["learning_rate"], best["validation_mr"], strict=True):
            axes.annotate(f"{rate:g}", (rate, mr), (0, 6), textcoords="offset points", ha="center", fontsize=6)

        # The axes.
        axes.margins(y=0.2)
        axes.set_title(method, fontsize=7)
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.tick_params(labelsize=7, labelbottom=True)

    # What the panels share.
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("learning rate", fontsize=8)
    figure.supylabel("validation mR (%)", fontsize=8)
    if any(looks):
        legend_above(figure, "")
    return figure


def _in_words(settings: dict[str, Any]) -> str:
    """Settings in a legend. A learned temperature has no value; one with a value is not said to be fixed."""
    settings = dict(settings)
    words = []
    if "learn_temperature" in settings:
        if settings.pop("learn_temperature"):
            settings.pop("temperature", None)
            words.append("learned temperature")
        elif "temperature" not in settings:
            words.append("fixed temperature")
    for name, value in settings.items():
        words.append(f"{name.replace('_', ' ')} {format_value(name, value)}")
    return ", ".join(words)


def _ticks(rates: pd.Series) -> np.ndarray:
    """The powers of ten among the learning rates; if there are fewer than two, all rates."""
    tried = np.unique(rates)
    exponents = np.log10(tried)
    powers = tried[np.isclose(exponents, exponents.round())]
    return powers if len(powers) > 1 else tried
