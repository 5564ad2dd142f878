"""How stale a recycled negative gets."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from petl_core.evaluation.factors import format_value
from petl_core.plots.ablation import SERIES, equals, levels, title_with_unit
from petl_core.plots.style import DASHES, TWO_COLUMNS, legend_above, marker_and_colour


def plot_drift(drift: pd.DataFrame, hue: str) -> Figure:
    """Cosine of stored features to fresh ones by age, images left and texts right, a line for every run.

    Args:
        drift: of :meth:`Ablation.drift`.
        hue: factor whose values are told apart by colour, marker and dashes.
    """
    figure, grid = plt.subplots(1, 2, sharey=True, figsize=(TWO_COLUMNS, 2.7))
    for axes, (modality, part) in zip(grid, drift.groupby("modality"), strict=True):
        for i, value in enumerate(levels(drift[hue])):
            look = {"linestyle": DASHES[i % len(DASHES)], **marker_and_colour(i), **SERIES}
            for _, run in part[equals(part[hue], value)].groupby("key", sort=False):
                axes.plot(run["age"], run["cosine"], label=format_value(hue, value), **look)
        axes.set(xlabel="age (steps)", title=f"{modality}s")
        axes.ticklabel_format(axis="y", useOffset=False)
    grid[0].set_ylabel("cosine to a fresh encoding")
    legend_above(figure, title_with_unit(hue))
    return figure
