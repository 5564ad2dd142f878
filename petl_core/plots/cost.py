"""Plots of what training costs: methods by memory and throughput, a queue by its size."""

from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from petl_core.plots.style import MARKERS, TWO_COLUMNS, whiskers

# CMER's abstract (arXiv 2501.10638): in training 49 % less memory than recent methods, and 1.4 times their throughput.
CLAIMED_MEMORY, CLAIMED_THROUGHPUT = 0.51, 1.4
RECENT = ("mrs", "uniadapter")  # PETL methods inside the towers, subjects to which that claim is held


def plot_throughput(frame: pd.DataFrame) -> Figure:
    """Throughput against all memory that training holds, and CMER's claim relative to each of ``RECENT``.

    Zero-shot is no training: its weights and its forward pass, which no method that runs the towers can beat, are two
    lines.

    Args:
        frame: of :func:`petl_core.evaluation.efficiency.measure_training_steps`.
    """
    figure, axes = plt.subplots(figsize=(TWO_COLUMNS, 3.0))

    # The methods, and what is only claimed.
    points = frame[frame["subject"] != "zero_shot"]
    for row, marker in zip(points.to_dict("records"), cycle(MARKERS), strict=False):
        (drawn,) = axes.plot(row["training_mib"], row["images_per_second"], marker, label=row["title"])
        if row["subject"] in RECENT:
            claim = row["training_mib"] * CLAIMED_MEMORY, row["images_per_second"] * CLAIMED_THROUGHPUT
            label = f"CMER's claim over {row['title']}"
            axes.plot(*claim, "*", markersize=11, color=drawn.get_color(), fillstyle="none", label=label)
    for row in frame[frame["subject"] == "zero_shot"].to_dict("records"):
        line = {"color": "0.35", "linestyle": ":"}
        axes.axhline(row["images_per_second"], label=f"{row['title']}: forward only, weights only", **line)
        axes.axvline(row["training_mib"], **line)

    # Log axes with plain numbers.
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="weights, gradients, optimiser, activations (MiB)",
        ylabel="images per second",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1, y=0.1)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def plot_queue_costs(frame: pd.DataFrame) -> Figure:
    """Time, with its quartiles, and memory against queue size; log axes.

    Args:
        frame: of :func:`petl_core.evaluation.queue_cost.measure_queue_costs`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(TWO_COLUMNS, 2.5))
    left.errorbar(
        frame["size"], 1e3 * frame["seconds"], 1e3 * whiskers(frame, "seconds"), marker="o", markersize=4, capsize=2
    )
    left.set(ylabel="added to a step (ms)")
    for column, marker, label in (("stored_mib", "o", "stored"), ("backward_mib", "s", "kept for the backward pass")):
        right.plot(frame["size"], frame[column], marker=marker, markersize=4, label=label)
    right.set(ylabel="memory (MiB)")
    right.legend()
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="queue size (entries of each modality)")
        axes.set_xticks(frame["size"], [f"{size:,}" for size in frame["size"]])
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_formatter("{x:g}")
    return figure
