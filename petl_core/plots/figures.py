"""Plots and tables of finished runs: one style, intervals always shown, colour-blind-safe."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from petl_core.config import RunConfig
from petl_core.runs.experiment import Run

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # inches, of an IEEE page
METRICS = {
    "i2t_r1": "I→T R@1",
    "i2t_r5": "I→T R@5",
    "i2t_r10": "I→T R@10",
    "t2i_r1": "T→I R@1",
    "t2i_r5": "T→I R@5",
    "t2i_r10": "T→I R@10",
    "mr": "mR",
}
METHODS = {
    "zero_shot": "Zero-shot CLIP",
    "linear_probe": "Linear probe",
    "full": "Full fine-tuning",
    "coop": "CoOp",
    "vpt": "VPT",
    "vl_prompt": "VL-Prompt",
    "adapter": "Adapter",
    "clip_adapter": "CLIP-Adapter",
    "convpass": "Convpass",
    "adaptformer": "AdaptFormer",
    "cross_modal": "Cross-Modal Adapter",
    "uniadapter": "UniAdapter",
    "mrs": "MRS-Adapter",
    "lora": "LoRA",
    "bitfit": "BitFit",
    "lst": "LST",
    "focus": "Focus-Adapter",
}


def use_style() -> None:
    """The look of every figure of the study."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind", font_scale=0.95)
    mpl.rcParams.update(
        {
            "figure.dpi": 120,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 300,
            "pdf.fonttype": 42,  # embed TrueType: journals refuse Type 3
            "axes.titlesize": "medium",
            "legend.frameon": False,
        }
    )


def label(run: Run) -> str:
    """What a run is called in tables: see :func:`describe`."""
    return describe(run.config)


def describe(config: RunConfig) -> str:
    """The method of a run and, where it is trained, its loss, queue and scene labels."""
    name = METHODS.get(config.method, config.method)
    if config.epochs == 0:
        return name
    terms = {"cross-modal": config.w_cross, "image-image": config.w_image, "text-text": config.w_text}
    terms = "HMMC" if all(terms.values()) else " and ".join(term for term, weight in terms.items() if weight)
    parts = [f"{name} + {terms} ({'InfoNCE' if config.contrast == 'infonce' else 'triplet'})"]
    parts += [f"queue {config.queue_size}"] if config.queue_size else []
    parts += [f"scene labels {config.scene_probability:g}"] if config.scene_probability else []
    return " + ".join(parts)


def results(runs: Sequence[Run], rule: str = "strict") -> pd.DataFrame:
    """One row a run: label, seed, parameters, and every metric with its interval (``*_low``, ``*_high``)."""
    rows = []
    for run in runs:
        row = {
            "method": label(run),
            "seed": run.config.seed,
            "parameters": run.metrics["parameters"]["trained"],
        }
        for metric in METRICS:
            low, high = run.metrics["intervals"][rule][metric]
            row |= {metric: run.metrics["scores"][rule][metric], f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of metrics with intervals in the form of the published tables: "value [low, high]", in percent."""
    columns = {"Method": frame["method"], "Trained parameters": frame["parameters"].map("{:,}".format)}
    for extra in ("seed", "seeds"):
        if extra in frame:
            columns[extra.capitalize()] = frame[extra]
    for metric, title in METRICS.items():
        bounds = zip(frame[metric], frame[f"{metric}_low"], frame[f"{metric}_high"], strict=True)
        columns[title] = [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in bounds]
    return pd.DataFrame(columns)


def plot_history(run: Run) -> Figure:
    """Loss terms and validation mR by epoch, the chosen epoch marked."""
    history = run.metrics["history"]
    losses = pd.DataFrame([{"epoch": entry["epoch"], **entry["loss"]} for entry in history if "loss" in entry])
    figure, (left, right) = mpl.pyplot.subplots(1, 2, figsize=(TWO_COLUMNS, 2.4))
    if not losses.empty:
        names = {"cross": "image–text", "image": "image–image′", "text": "text–text′", "total": "total"}
        long = losses.rename(columns=names).melt("epoch", var_name="term", value_name="loss")
        sns.lineplot(long, x="epoch", y="loss", hue="term", style="term", markers=True, dashes=False, ax=left)
        sns.move_legend(left, "lower center", bbox_to_anchor=(0.5, 1), ncol=4, title=None, columnspacing=1, fontsize=7)
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot([e["epoch"] for e in history], [e.get("validation_mr", np.nan) for e in history], marker="o")
    chosen = run.metrics["chosen_epoch"]
    right.axvline(chosen, color="0.4", linestyle=":", label=f"chosen: epoch {chosen}")
    right.set(xlabel="epoch (0 = before training)", ylabel="validation mR (%)")
    right.legend()
    for axes in (left, right):
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    return figure


def plot_recalls(summary: pd.DataFrame) -> Figure:
    """The six recalls and mR of each row, with 95 % intervals; a frame with ``*_low`` and ``*_high`` columns."""
    figure, panels = mpl.pyplot.subplots(
        1, len(METRICS), sharey=True, figsize=(TWO_COLUMNS, 0.75 + 0.19 * len(summary))
    )
    rows = np.arange(len(summary))
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        whiskers = [summary[metric] - summary[f"{metric}_low"], summary[f"{metric}_high"] - summary[metric]]
        axes.errorbar(
            summary[metric], rows, xerr=np.clip(whiskers, 0, None), marker="o", markersize=3.5, linestyle="none",
            elinewidth=1, color=sns.color_palette("colorblind")[0]
        )  # fmt: skip
        axes.set_title(f"{title} (%)", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(3, integer=True))
    panels[0].set_yticks(rows, short_names(summary["method"]))
    panels[0].invert_yaxis()
    return figure


def plot_cost(summary: pd.DataFrame) -> Figure:
    """mR against trained parameters (log axis, with a place for none), with 95 % intervals.

    Methods of nearly equal size are moved apart, by a few points at most, where they would hide one another.
    """
    figure, axes = mpl.pyplot.subplots(figsize=(TWO_COLUMNS, max(2.8, 0.6 + 0.19 * len(summary))))
    trained = summary.loc[summary["parameters"] > 0, "parameters"]
    trained = trained if len(trained) else pd.Series([1])
    smallest, largest = (int(f(np.log10(x))) for f, x in ((np.floor, trained.min()), (np.ceil, trained.max())))
    markers = "osD^vP*Xhp<>d8H"
    names, steps = short_names(summary["method"]), _aside(summary["parameters"])
    for i, (name, step, row) in enumerate(zip(names, steps, summary.to_dict("records"), strict=True)):
        whiskers = np.clip([[row["mr"] - row["mr_low"]], [row["mr_high"] - row["mr"]]], 0, None)
        aside = ScaledTranslation(step * 2.5 / 72, 0, figure.dpi_scale_trans)  # 2.5 points, less than a marker
        axes.errorbar(
            row["parameters"], row["mr"], whiskers, marker=markers[i % len(markers)], linestyle="none", capsize=2,
            elinewidth=0.8, markersize=4.5, color=sns.color_palette("colorblind")[i % 10], label=name,
            transform=axes.transData + aside
        )  # fmt: skip
    low, high = summary["mr_low"].min(), summary["mr_high"].max()
    axes.set_xscale("symlog", linthresh=10**smallest, linscale=0.5)
    axes.set_xticks([0, *(10**power for power in range(smallest, largest + 1))])
    axes.set(xlabel="trained parameters", ylabel="test mR (%)", xlim=(-(10**smallest) / 5, 2 * trained.max()))
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))  # matplotlib does not count moved points
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7)
    return figure


def _aside(sizes: pd.Series) -> np.ndarray:
    """How many places to move each of some numbers aside, so that neighbours within a fourth stand side by side."""
    order = np.argsort(sizes.to_numpy(), kind="stable")
    ordered = sizes.to_numpy(dtype=float)[order]
    new = np.concatenate([[True], ordered[1:] > 1.25 * ordered[:-1]])
    steps = np.empty(len(sizes))
    for places in np.split(order, np.flatnonzero(new)[1:]):
        steps[places] = (np.arange(len(places)) - (len(places) - 1) / 2) * min(1, 4 / len(places))
    return steps


def short_names(names: Sequence[str]) -> list[str]:
    """Names of runs without their loss, where the method alone tells them apart."""
    methods = [name.split(" + ")[0] for name in names]
    return [method if methods.count(method) == 1 else name for name, method in zip(names, methods, strict=True)]
