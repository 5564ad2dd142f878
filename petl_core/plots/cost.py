"""Plots of what training costs: methods by memory and throughput, a queue by its size."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from petl_core.plots.layout import label_column, log_places, steps_aside
from petl_core.plots.style import TWO_COLUMNS, method_look, moved, whiskers

# CMER's abstract (arXiv 2501.10638): in training 49 % less memory than recent methods, and 1.4 times their throughput.
CLAIMED_MEMORY, CLAIMED_THROUGHPUT = 0.51, 1.4
PRICES = {
    "training_mib": "weights, gradients, optimiser, activations (MiB)",
    "backward_mib": "kept for backward (MiB)",
    "parameters": "trained parameters",
}
# PETL methods inside the towers, subjects to which that claim is held, and the stars of the claims.
RECENT: dict[str, str | tuple[int, int, int]] = {"mrs": "*", "uniadapter": (4, 1, 0)}


def plot_throughput(frame: pd.DataFrame, price: str = "training_mib") -> Figure:
    """Throughput, with its quartiles, against what it takes, log axes.

    Open markers train on cached features. Against all memory that training holds, stars are what CMER claims, relative
    to each of ``RECENT``, each with points of its own. Zero-shot is no training: its weights, and its forward pass,
    which a method that runs the towers cannot do without; what takes nothing stands apart on the left.

    Args:
        frame: of :func:`petl_core.evaluation.efficiency.measure_training_steps`.
        price: a column of it, a key of ``PRICES``.
    """
    names = dict(zip(frame["subject"], frame["title"], strict=True))
    looks = {row.subject: _look(row.method, row.cached) for row in frame.itertuples()}
    heights = dict(zip(frame["subject"], frame["images_per_second"], strict=True))
    claims = frame[frame["subject"].isin(RECENT) & (price == "training_mib")]
    for row in claims.itertuples():
        key = f"claim over {row.subject}"
        names[key], heights[key] = f"CMER, claimed over {row.title}", row.images_per_second * CLAIMED_THROUGHPUT
        looks[key] = _look(row.method, cached=True) | {"marker": RECENT[row.subject]}

    # Axes first, since where markers would hide one another hangs on the finished layout.
    figure, (axes, column) = plt.subplots(
        1, 2, sharey=True, figsize=(TWO_COLUMNS, max(2.4, 0.6 + 0.125 * len(names))), width_ratios=[1, 0.45]
    )
    places = log_places(axes, pd.concat([frame[price], claims[price] * CLAIMED_MEMORY]))[: len(frame)]
    low, high = frame["images_per_second_low"].min(), frame["images_per_second_high"].max()
    axes.set(xlabel=PRICES[price], ylabel="images per second", yscale="log")
    axes.set_ylim(min(low, *heights.values()) / 1.2, 1.2 * max(high, *heights.values()))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    label_column(column, heights, names, looks)
    figure.draw_without_rendering()

    bars = whiskers(frame, "images_per_second")
    shifts = steps_aside(axes, places, frame["images_per_second"])
    for i, (place, row) in enumerate(zip(places, frame.itertuples(), strict=True)):
        axes.errorbar(
            place, row.images_per_second, bars[:, i : i + 1], transform=moved(axes, right=shifts[i]),
            linestyle="none", elinewidth=0.7, markersize=4, **looks[row.subject]
        )  # fmt: skip
    for row in claims.itertuples():
        claim = row.training_mib * CLAIMED_MEMORY, heights[f"claim over {row.subject}"]
        axes.plot(*claim, linestyle="none", markersize=8, **looks[f"claim over {row.subject}"])
    return figure


def plot_queue_costs(frame: pd.DataFrame) -> Figure:
    """Time, with its quartiles, and memory against queue size; log axes.

    Args:
        frame: of :func:`petl_core.evaluation.queue_cost.measure_queue_costs`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(TWO_COLUMNS, 2.2))
    left.errorbar(
        frame["size"], 1e3 * frame["seconds"], 1e3 * whiskers(frame, "seconds"), marker="o", markersize=4, capsize=2
    )
    left.set(ylabel="added to a step (ms)")
    # Nearly equal, so that one marker goes around the other.
    right.plot(frame["size"], frame["backward_mib"], "s", markersize=6.5, fillstyle="none", label="kept for backward")
    right.plot(frame["size"], frame["stored_mib"], "o-", markersize=3, label="stored")
    right.set(ylabel="memory (MiB)")
    right.legend()
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="queue size (entries of each modality)")
        axes.set_xticks(frame["size"], [f"{size:,}" for size in frame["size"]])
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_locator(LogLocator())
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    return figure


def _look(method: str, cached: bool) -> dict:
    look = method_look(method)
    return {**look, "markerfacecolor": "white" if cached else look["color"], "markeredgewidth": 0.9}
