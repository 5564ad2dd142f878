"""How runs trained: loss terms and validation mR by epoch."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from petl_core.evaluation.names import HMMC_TERMS
from petl_core.plots.style import (
    DASHES,
    ONE_COLUMN,
    REFERENCE_LINE,
    SMALL,
    TWO_COLUMNS,
    Look,
    marker_and_colour,
    method_look,
)
from petl_core.runs.folder import Run

TERM_NAMES = {**HMMC_TERMS, "image": "image–image′", "text": "text–text′"}  # ′ is the second view
MAX_COLUMNS = 6


def plot_history(run: Run) -> Figure:
    """Loss terms and validation mR by epoch, with a line at the chosen epoch."""
    history = run.metrics["history"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(TWO_COLUMNS, 2.0))

    # Left, the loss terms.
    losses = pd.DataFrame([{"epoch": epoch["epoch"], **epoch["loss"]} for epoch in history if "loss" in epoch])
    terms = [term for term in losses if term != "epoch"]
    if len(terms) == 2:  # the total equals the only other one
        terms.remove("total")
    for i, term in enumerate(terms):
        look = {**marker_and_colour(i), "linestyle": DASHES[i % len(DASHES)], "markersize": 3}
        left.plot(losses["epoch"], losses[term], label=TERM_NAMES.get(term, term), **look)
    if terms:
        left.legend()
    left.set(xlabel="epoch", ylabel="training loss")

    # Right, validation mR.
    validated = [epoch for epoch in history if "validation_mr" in epoch]
    look = {**method_look(run.config.method), "markersize": 3.5}
    right.plot([epoch["epoch"] for epoch in validated], [epoch["validation_mr"] for epoch in validated], **look)
    chosen = run.metrics["chosen_epoch"]
    right.axvline(chosen, label=f"chosen: epoch {chosen}", **REFERENCE_LINE)
    right.set(xlabel="epoch (0: before training)", ylabel="validation mR (%)")
    right.legend()

    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def plot_learning_curves(curves: pd.DataFrame, names: Mapping[Any, str], looks: Mapping[Any, Look]) -> Figure:
    """Validation mR by epoch: one panel per key, with the means of all other keys in grey.

    Thin lines are seeds, with a marker at the epoch that was chosen. The thick line is their mean; it ends with the
    shortest of them.

    Args:
        curves: of :func:`petl_core.evaluation.learning_curves.learning_curves`.
        names: of its keys.
        looks: of its keys.
    """
    # (epochs, seeds) of each key, and the mean over its seeds.
    by_key = curves.groupby("key", sort=False)
    seeds = {key: part.pivot(index="epoch", columns="seed", values="validation_mr") for key, part in by_key}
    means = {key: table.dropna().mean(axis=1) for key, table in seeds.items()}

    # The panels.
    columns = min(MAX_COLUMNS, len(means))
    rows = math.ceil(len(means) / columns)
    width = TWO_COLUMNS if columns > 2 else ONE_COLUMN
    figure, grid = plt.subplots(
        rows, columns, sharex=True, sharey=True, figsize=(width, 0.35 + 1.1 * rows), squeeze=False
    )  # fmt: skip
    for axes, key in zip(grid.flat, means, strict=False):
        look = looks[key]
        for other in means.values():
            axes.plot(other, color="0.85", linewidth=0.5, zorder=1)
        axes.plot(seeds[key], color=look["color"], linewidth=0.5, alpha=0.7)
        axes.plot(means[key], color=look["color"], linewidth=1.4)
        chosen = curves[(curves["key"] == key) & curves["chosen"]]
        marks = look | {"linestyle": "none", "markersize": 2, "markeredgewidth": 0.5}  # small, so curves stay visible
        axes.plot(chosen["epoch"], chosen["validation_mr"], zorder=3, **marks)
        axes.set_title(names[key].replace(" + ", "\n+ "), fontsize=SMALL, pad=2)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))

    # Unused panels are hidden; all rows have tick labels, so that the gaps between them are equal.
    for i, axes in enumerate(grid.flat):
        axes.set_visible(i < len(means))
        axes.tick_params(labelbottom=True)
    figure.supxlabel("epoch (0: before training)", fontsize=8)
    figure.supylabel("validation mR (%)", fontsize=8)
    return figure
