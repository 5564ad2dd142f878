"""How stale the features in a queue get."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from petl_core.evaluation.factors import factor_title, format_value
from petl_core.plots.ablation import equals, levels
from petl_core.plots.style import TWO_COLUMNS, legend_above

MIN_DISTANCE = 1e-7  # of 1 - cosine: lower values are rounding errors of float32


def plot_drift(drift: pd.DataFrame, columns: str) -> Figure:
    """How far stored features are from fresh ones, by epoch: the median of the runs, and their range.

    Images above, texts below; one line per range of ages, darker for older features. Lines end where fewer than half of
    the runs still train, since the median of the rest would not represent them all.

    Args:
        drift: of :func:`petl_core.evaluation.queue_drift.queue_drift`.
        columns: a factor with one column of panels per value, which have titles if there are several.
    """
    values, ages = levels(drift[columns]), levels(drift["age_from"])

    # Distances, in the epochs in which at least half of the runs train.
    distance = drift.assign(distance=(1 - drift["cosine"]).clip(lower=MIN_DISTANCE))
    training = drift.groupby([columns, "epoch"])["key"].transform("nunique")
    all_runs = drift.groupby(columns)["key"].transform("nunique")
    distance = distance[2 * training >= all_runs]

    # A row of panels for each modality, a column for each value.
    figure, grid = plt.subplots(
        2, len(values), sharex=True, sharey=True, squeeze=False, figsize=(TWO_COLUMNS, 4.2)
    )  # fmt: skip
    for modality, line in zip(("image", "text"), grid, strict=True):
        for value, axes in zip(values, line, strict=True):
            part = distance[equals(distance[columns], value) & (distance["modality"] == modality)]
            for age, colour in zip(ages, sns.color_palette("flare", len(ages)), strict=True):
                runs = part[part["age_from"] == age].groupby("epoch")["distance"]
                low, middle, high = runs.min(), runs.median(), runs.max()
                axes.plot(middle.index, middle, color=colour, marker=".", linewidth=1, label=_range(age))
                axes.fill_between(middle.index, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.set(yscale="log", ylim=(max(MIN_DISTANCE, distance["distance"].min() / 2), 2))
        line[0].set_ylabel(f"{modality}s: 1 \N{MINUS SIGN} cosine")

    # Titles on top, the x axis at the bottom.
    if len(values) > 1:
        for value, axes in zip(values, grid[0], strict=True):
            title = format_value(columns, value)
            if isinstance(value, (int, float)):
                title = f"{factor_title(columns).lower()} {title}"
            axes.set_title(title, fontsize=7)
    for axes in grid[-1]:
        axes.set(xlabel="epoch", xlim=(0.5, distance["epoch"].max() + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_above(figure, "Age (steps)")
    return figure


def _range(age_from: int) -> str:
    """A range of ages, which ends before twice its start."""
    return "1" if age_from == 1 else f"{age_from:,}\N{EN DASH}{2 * age_from - 1:,}"
