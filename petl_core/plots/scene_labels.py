"""Recall by which scene labels a test knows, and by how training uses them."""

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
    looks_unlike_methods,
    method_look,
    moved,
    whiskers,
)

FONT_SIZE = 7  # points
CHARS_PER_LINE = 24  # of a row's name
SERIES_GAP = 4  # points between the series of a row
MARKER_WITH_BAR = {"linestyle": "none", "markersize": 3.5, "elinewidth": 1}


def plot_tests(ablation: Ablation, metric: str = "mr") -> Figure:
    """A metric with 95 % intervals: one row per test, grey if it leaks; one series per use of labels in training.

    An untrained backbone is a series as well.

    Args:
        ablation: over the factors "labels" and "queries".
        metric: a key of ``METRICS``.
    """
    # Each row of the table is a test of a model. A series is a model, a mode is what the test knows of labels.
    series = []
    for use, group in zip(ablation.table["labels"], ablation.groups, strict=True):
        series.append(ablation.value_name("labels", use) if group.is_trained else describe(group.first))
    table = ablation.table.assign(series=series, queries=ablation.table["queries"].fillna("none"))
    modes = [mode for mode in QUERY_MODES if mode in set(table["queries"])]
    names = list(dict.fromkeys(series))

    # Without labels, a series has the look of its method; with labels, one that no method has.
    looks = {}
    for name, group in zip(series, ablation.groups, strict=True):
        if not group.key[0]:
            looks[name] = method_look(group.first.config.method)
    uses = [name for name in names if name not in looks]
    looks |= dict(zip(uses, looks_unlike_methods(), strict=False))

    # The series, and a grey band for each row that leaks.
    legend_height = 0.12 * len(names)
    row_height = max(0.32, SERIES_GAP * (len(names) + 2) / POINTS_PER_INCH)
    height = 0.9 + legend_height + row_height * len(modes)
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, height))
    for i, name in enumerate(names):
        points = table[table["series"] == name]
        axes.errorbar(
            points[metric], [modes.index(mode) for mode in points["queries"]], xerr=whiskers(points, metric),
            transform=moved(axes, up=SERIES_GAP * ((len(names) - 1) / 2 - i)),
            label=name, **looks[name], **MARKER_WITH_BAR
        )  # fmt: skip
    for row, mode in enumerate(modes):
        if mode in LEAKS:
            axes.axhspan(row - 0.5, row + 0.5, color="0.92", linewidth=0, zorder=0)

    # The axes.
    low, high = limits_with_margin(table, metric)
    axes.set(xlim=(max(0, low), high), ylim=(len(modes) - 0.5, -0.5))
    axes.set_xlabel(f"test {METRICS[metric]} (%)", fontsize=FONT_SIZE)
    axes.set_yticks(range(len(modes)), [fill(QUERY_MODES[mode], CHARS_PER_LINE) for mode in modes], fontsize=FONT_SIZE)
    axes.tick_params(axis="x", labelsize=FONT_SIZE)
    axes.grid(axis="y", visible=False)
    legend_above(figure, "Labels in training")
    return figure
