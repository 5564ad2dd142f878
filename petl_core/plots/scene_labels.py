"""Plot of what a test knows of scene labels, and what training did with them."""

from textwrap import fill

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from petl_core.evaluation.ablation import Ablation
from petl_core.evaluation.labelled_queries import LEAKS
from petl_core.evaluation.names import METRICS, QUERY_MODES, describe
from petl_core.plots.style import (
    ONE_COLUMN,
    POINTS_PER_INCH,
    legend_above,
    limits_with_margin,
    looks_beside_methods,
    method_look,
    moved,
    whiskers,
)

FONT = 7  # points
LETTERS = 24  # of a line of a row's name
STEP = 4  # points between the series of a row
SHAPE = {"linestyle": "none", "markersize": 3.5, "elinewidth": 1}


def plot_tests(ablation: Ablation, metric: str = "mr") -> Figure:
    """A metric with 95 % intervals: a row for each test, grey where it leaks, a series for each use in training.

    An untrained backbone is a series, too.

    Args:
        ablation: over the factors "labels" and "queries".
        metric: a key of ``METRICS``.
    """
    # A row of the table for each pair of a series and a mode.
    series = [
        ablation.value_name("labels", use) if group.is_trained else describe(group.first)
        for use, group in zip(ablation.table["labels"], ablation.groups, strict=True)
    ]
    table = ablation.table.assign(series=series, queries=ablation.table["queries"].fillna("none"))
    modes = [mode for mode in QUERY_MODES if mode in set(table["queries"])]
    names = list(dict.fromkeys(series))
    # A method without labels looks as it does elsewhere, uses of labels like no method.
    looks = {
        name: method_look(group.first.config.method)
        for name, group in zip(series, ablation.groups, strict=True)
        if not group.key[0]
    }
    uses = [name for name in names if name not in looks]
    looks |= dict(zip(uses, looks_beside_methods(), strict=False))

    height = 0.9 + 0.12 * len(names) + len(modes) * max(0.32, STEP * (len(names) + 2) / POINTS_PER_INCH)
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, height))
    for i, name in enumerate(names):
        points = table[table["series"] == name]
        axes.errorbar(
            points[metric], [modes.index(mode) for mode in points["queries"]], xerr=whiskers(points, metric),
            transform=moved(axes, up=STEP * ((len(names) - 1) / 2 - i)), label=name, **looks[name], **SHAPE
        )  # fmt: skip
    for row, mode in enumerate(modes):
        if mode in LEAKS:
            axes.axhspan(row - 0.5, row + 0.5, color="0.92", linewidth=0, zorder=0)
    low, high = limits_with_margin(table, metric)
    axes.set(xlim=(max(0, low), high), ylim=(len(modes) - 0.5, -0.5))
    axes.set_xlabel(f"test {METRICS[metric]} (%)", fontsize=FONT)
    axes.set_yticks(range(len(modes)), [fill(QUERY_MODES[mode], LETTERS) for mode in modes], fontsize=FONT)
    axes.tick_params(axis="x", labelsize=FONT)
    axes.grid(axis="y", visible=False)
    legend_above(figure, "Labels in training")
    return figure
