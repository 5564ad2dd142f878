"""Plots of what training costs: throughput and memory of each method, time and memory of a queue by its size."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from petl_core.plots.layout import log_places, round_ticks
from petl_core.plots.style import TWO_COLUMNS, Look, method_look, whiskers

# CMER's abstract (arXiv 2501.10638): in training 49 % less memory than recent methods, and 1.4 times their throughput.
CLAIMED_MEMORY, CLAIMED_THROUGHPUT = 0.51, 1.4
RECENT_METHODS = ("mrs", "uniadapter")  # subjects that the claim is compared with: PETL methods inside the towers
PRICES = {
    "total_mib": "total training memory (MiB)",
    "activation_mib": "activation memory (MiB)",
    "parameters": "trained parameters",
}


def plot_throughput(frame: pd.DataFrame, price: str = "total_mib") -> Figure:
    """Throughput with its quartiles, and what it costs, on log axes: one row per method, the fastest on top.

    Open markers train on cached features. If the price is total training memory, stars are CMER's claim, one row for
    each of ``RECENT_METHODS``. Zero-shot does not train: its memory is that of its weights, its throughput that of the
    forward pass alone. A price of 0 has its place left of a dotted line.

    Args:
        frame: of :func:`petl_core.evaluation.efficiency.measure_training_steps`.
        price: a column of it, a key of ``PRICES``.
    """
    rows = frame.assign(claimed=False)
    if price == "total_mib":
        rows = pd.concat([rows, _claims(rows)])
    rows = rows.sort_values("images_per_second", ascending=False, kind="stable")

    # The axes: both have one row per method, and show all whiskers.
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(TWO_COLUMNS, 0.6 + 0.14 * max(3, len(rows)))
    )  # fmt: skip
    log_places(left, pd.concat([rows["images_per_second_low"], rows["images_per_second_high"]]))
    prices = log_places(right, rows[price])
    left.set_xlabel("images per second")
    right.set_xlabel(PRICES[price])
    left.set_yticks(range(len(rows)), rows["title"])
    left.set_ylim(len(rows) - 0.4, -0.6)

    # The markers.
    bars = whiskers(rows, "images_per_second")
    for place, row in enumerate(rows.itertuples()):
        look = _look(row.method, row.cached, row.claimed)
        left.errorbar(row.images_per_second, place, xerr=bars[:, place : place + 1], elinewidth=0.7, **look)
        right.plot(prices[place], place, **look)
    return figure


def plot_queue_costs(frame: pd.DataFrame) -> Figure:
    """Time with its quartiles, and memory, against queue size, on log axes.

    Args:
        frame: of :func:`petl_core.evaluation.queue_cost.measure_queue_costs`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(TWO_COLUMNS, 2.2))
    left.errorbar(
        frame["size"], 1e3 * frame["seconds"], 1e3 * whiskers(frame, "seconds"), marker="o", markersize=4, capsize=2
    )
    left.set(ylabel="added to a step (ms)")
    # The two memories are nearly equal, so one marker encloses the other.
    right.plot(frame["size"], frame["activation_mib"], "s", markersize=6.5, fillstyle="none", label="activations")
    right.plot(frame["size"], frame["stored_mib"], "o-", markersize=3, label="stored")
    right.set(ylabel="memory (MiB)")
    right.legend()
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="queue size (entries of each modality)")
        axes.set_xticks(frame["size"], [f"{size:,}" for size in frame["size"]])
        axes.set_xticks([], minor=True)
        ticks = round_ticks(*axes.dataLim.intervaly)
        axes.set_yticks(ticks, [f"{tick:,.3g}" for tick in ticks])
        axes.set_yticks([], minor=True)
    return figure


def _claims(rows: pd.DataFrame) -> pd.DataFrame:
    """Memory and throughput that CMER claims, relative to each of ``RECENT_METHODS`` that was measured."""
    recent = rows[rows["subject"].isin(RECENT_METHODS)]
    throughput = CLAIMED_THROUGHPUT * recent["images_per_second"]
    return recent.assign(
        claimed=True,
        title="CMER, claimed over " + recent["title"],
        total_mib=CLAIMED_MEMORY * recent["total_mib"],
        images_per_second=throughput,
        images_per_second_low=throughput,
        images_per_second_high=throughput,
    )


def _look(method: str, cached: bool, claimed: bool) -> Look:
    """The look of a method, open where it trains on cached features; of a claim over it, an open star."""
    look = method_look(method) | {"linestyle": "none", "markersize": 4, "markeredgewidth": 0.9}
    if cached or claimed:
        look["markerfacecolor"] = "white"
    if claimed:
        look |= {"marker": "*", "markersize": 6}
    return look
