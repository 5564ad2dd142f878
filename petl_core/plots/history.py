"""One run as it trained."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from petl_core.evaluation.names import HMMC_TERMS
from petl_core.plots.style import TWO_COLUMNS
from petl_core.runs.folder import Run

TERMS = {**HMMC_TERMS, "image": "image–image′", "text": "text–text′"}  # the prime is the second view


def plot_history(run: Run) -> Figure:
    """Loss terms and validation mR by epoch, the chosen epoch marked."""
    history = run.metrics["history"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(TWO_COLUMNS, 2.4))

    losses = pd.DataFrame([{"epoch": epoch["epoch"], **epoch["loss"]} for epoch in history if "loss" in epoch])
    if not losses.empty:
        long = losses.rename(columns=TERMS).melt("epoch", var_name="term", value_name="loss")
        sns.lineplot(long, x="epoch", y="loss", hue="term", style="term", markers=True, dashes=False, ax=left)
        sns.move_legend(left, "lower center", bbox_to_anchor=(0.5, 1), ncol=4, title=None, columnspacing=1, fontsize=7)
    left.set(xlabel="epoch", ylabel="training loss")

    validation = [epoch.get("validation_mr", np.nan) for epoch in history]
    right.plot([epoch["epoch"] for epoch in history], validation, marker="o")
    chosen = run.metrics["chosen_epoch"]
    right.axvline(chosen, color="0.4", linestyle=":", label=f"chosen: epoch {chosen}")
    right.set(xlabel="epoch (0 = before training)", ylabel="validation mR (%)")
    right.legend()

    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
