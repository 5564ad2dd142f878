"""How stale a recycled negative gets."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from petl_core.evaluation.factors import factor_title, format_value
from petl_core.plots.ablation import equals, levels
from petl_core.plots.style import TWO_COLUMNS, legend_above

LOWEST = 1e-7  # of 1 - cosine: below, float32 shows its rounding


def plot_drift(drift: pd.DataFrame, columns: str) -> Figure:
    """How far stored features are from fresh ones as training goes on: the median of the runs, and their range.

    Images above, texts below; a line for each range of ages, the older the darker, as far as at least half of the runs
    still train: the last one alone would go on as if it were all.

    Args:
        drift: of :func:`petl_core.evaluation.queue_drift.queue_drift`.
        columns: factor with a column of panels for each of its values, which head them where there are several.
    """
    values, ages = levels(drift[columns]), levels(drift["age_from"])
    distance = drift.assign(distance=(1 - drift["cosine"]).clip(lower=LOWEST))
    training = drift.groupby([columns, "epoch"])["key"].transform("nunique")
    distance = distance[2 * training >= drift.groupby(columns)["key"].transform("nunique")]
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
            axes.set(yscale="log", ylim=(max(LOWEST, distance["distance"].min() / 2), 2))
        line[0].set_ylabel(f"{modality}s: 1 \N{MINUS SIGN} cosine")
    for value, axes in zip(values, grid[0], strict=True):
        if len(values) > 1:
            name = format_value(columns, value)
            is_number = isinstance(value, (int, float))
            axes.set_title(f"{factor_title(columns).lower()} {name}" if is_number else name, fontsize=7)
    for axes in grid[-1]:
        axes.set(xlabel="epoch", xlim=(0.5, distance["epoch"].max() + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_above(figure, "Age (steps)")
    return figure


def _range(age_from: int) -> str:
    return "1" if age_from == 1 else f"{age_from:,}\N{EN DASH}{2 * age_from - 1:,}"
