"""The look of every plot: sizes of an IEEE page, colours safe for colour-blind readers, markers, whiskers, legends.

A method has one colour and marker in all figures: the colour is its family's, the marker its own. How it was trained
shows in the filling: open for the triplet, a dark edge for terms beyond image-text, half filled with a queue or scene
labels.
"""

import zlib
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform

from petl_core.evaluation.names import loss_terms
from petl_core.runs.folder import Run

K = TypeVar("K", bound=Hashable)
Look = dict[str, Any]  # properties of a marker

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # inches
SMALL = 6.5  # points, of text within a plot
MARKERS = "osD^vP*Xhp<>d8H"
DASHES = ("-", "--", "-.", ":")
POINTS_PER_INCH = 72
REFERENCE = {"color": "0.35", "linestyle": "--", "linewidth": 0.8}  # a line to compare with

BLUE, ORANGE, GREEN, RED, PINK, BROWN, *_ = sns.color_palette("colorblind").as_hex()
FAMILIES: dict[str, tuple[str, dict[str, str]]] = {  # colour, and the markers of its methods by their keys
    "zero-shot": ("#7f7f7f", {"zero_shot": "x"}),
    "prompts": (ORANGE, {"coop": "v", "vpt": "^", "vl_prompt": "d"}),
    "adapters": (
        BLUE,
        {"mrs": "o", "adapter": "s", "convpass": "D", "adaptformer": "h", "cross_modal": "P", "uniadapter": "X"},
    ),
    "reparametrisation and bias": (PINK, {"lora": ">", "bitfit": "<"}),
    "heads": (RED, {"linear_probe": "p", "clip_adapter": "8"}),
    "side networks": (GREEN, {"focus": "D", "lst": "s"}),
    "full fine-tuning": ("#1a1a1a", {"full": "o"}),
}


def use_style() -> None:
    """Set seaborn's and matplotlib's defaults for the plots of the study."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind", font_scale=0.95)
    mpl.rcParams.update(
        {
            "figure.dpi": 120,
            "axes.labelsize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7,
            "legend.title_fontsize": 7,
            "lines.linewidth": 1.2,
            "axes.linewidth": 0.6,
            "grid.linewidth": 0.5,
            "grid.color": "0.88",
            "figure.constrained_layout.use": True,
            "savefig.dpi": 300,
            "pdf.fonttype": 42,  # embed TrueType: journals refuse Type 3
            "axes.titlesize": 8,
            "legend.frameon": False,
        }
    )


def method_look(method: str) -> Look:
    """Colour and marker of a method by its key; of a method that has none, always the same ones."""
    for colour, markers in FAMILIES.values():
        if method in markers:
            return {"color": colour, "marker": markers[method]}
    return {"color": BROWN, "marker": MARKERS[zlib.crc32(method.encode()) % len(MARKERS)]}


def run_look(run: Run) -> Look:
    """The look of a run's method: open for the triplet, a strong edge for more terms, half filled for CMER's parts."""
    config, look = run.config, method_look(run.config.method)
    look |= {"markerfacecolor": look["color"], "markeredgecolor": look["color"], "markeredgewidth": 0.9}
    if config.epochs == 0:
        return look
    is_open, has_more_terms = config.contrast == "triplet", set(loss_terms(config)) != {"cross"}
    if is_open:
        look |= {"markerfacecolor": "white", "markeredgewidth": 1.8 if has_more_terms else 0.9}
    elif has_more_terms:
        look["markeredgecolor"] = "black"
    if config.queue_size or config.scene_probability or config.scene_weight:
        look |= {"fillstyle": "left", "markerfacecoloralt": "white"}
    return look


def looks(runs: Mapping[K, Run]) -> dict[K, Look]:
    """The look of each key by the run that stands for it."""
    return {key: run_look(run) for key, run in runs.items()}


def marker_and_colour(i: int) -> Look:
    """How the i-th of several series that are no methods is told from the others."""
    return {"marker": MARKERS[i % len(MARKERS)], "color": sns.color_palette("colorblind")[i % 10]}


def looks_beside_methods() -> list[Look]:
    """:func:`marker_and_colour`, without the looks that methods have, for series that stand beside some."""
    looks = [marker_and_colour(i) for i in range(len(MARKERS))]
    of_methods = {(colour, marker) for colour, markers in FAMILIES.values() for marker in markers.values()}
    return [look for look in looks if (to_hex(look["color"]), look["marker"]) not in of_methods]


def whiskers(frame: pd.DataFrame, metric: str) -> np.ndarray:
    """(2, rows) distances from a metric down to its ``*_low`` and up to its ``*_high``, as ``errorbar`` takes them."""
    return np.clip([frame[metric] - frame[f"{metric}_low"], frame[f"{metric}_high"] - frame[metric]], 0, None)


def limits_with_margin(frame: pd.DataFrame, metric: str) -> tuple[float, float]:
    """Of an axis that shows a metric with its interval; matplotlib does not count points that were moved."""
    low, high = frame[f"{metric}_low"].min(), frame[f"{metric}_high"].max()
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def moved(axes: Axes, right: float = 0, up: float = 0) -> Transform:
    """The axes' data coordinates, moved by some points, so that nothing lies on its neighbour."""
    inches = right / POINTS_PER_INCH, up / POINTS_PER_INCH
    return axes.transData + ScaledTranslation(*inches, axes.figure.dpi_scale_trans)


def legend_above(figure: Figure, title: str) -> None:
    """One legend above all panels, with every line once."""
    entries: dict = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    # Lines for reference come last; series are error bars, which are containers.
    entries = dict(sorted(entries.items(), key=lambda entry: isinstance(entry[1], Line2D)))
    # One row where that is wide enough, else as many columns as the longest entry allows.
    inches = [0.5 + 0.048 * len(label) for label in entries] or [1]
    width = figure.get_figwidth()
    columns = len(entries) if sum(inches) < width else max(1, int(width // max(inches)))
    figure.legend(
        entries.values(), entries.keys(), title=title, loc="outside upper center", ncol=columns, columnspacing=1.2
    )
