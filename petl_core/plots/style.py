"""What all plots share: sizes of an IEEE page, colours safe for colour-blind readers, markers, whiskers, legends.

A method has the same look in all figures: the colour of its family, and a marker of its own. The filling of the marker
shows how it was trained: open with the triplet loss, with a dark edge for terms beyond image-text, half filled with a
queue or scene labels.
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
REFERENCE_LINE = {"color": "0.35", "linestyle": "--", "linewidth": 0.8}

BLUE, ORANGE, GREEN, RED, PINK, BROWN, *_ = sns.color_palette("colorblind").as_hex()
FAMILIES: dict[str, tuple[str, dict[str, str]]] = {  # colour, and the markers of its methods by key
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
    """Colour and marker of a method by its key; those of a method that is not in ``FAMILIES`` depend on its name."""
    for colour, markers in FAMILIES.values():
        if method in markers:
            return {"color": colour, "marker": markers[method]}
    return {"color": BROWN, "marker": MARKERS[zlib.crc32(method.encode()) % len(MARKERS)]}


def run_look(run: Run) -> Look:
    """The look of a run's method, with a filling and an edge that show the contrast, terms, queue and labels."""
    config, look = run.config, method_look(run.config.method)
    look |= {"markerfacecolor": look["color"], "markeredgecolor": look["color"], "markeredgewidth": 0.9}
    if config.epochs == 0:
        return look
    has_more_terms = set(loss_terms(config)) != {"cross"}
    if config.contrast == "triplet":
        look["markerfacecolor"] = "white"
        if has_more_terms:
            look["markeredgewidth"] = 1.8
    elif has_more_terms:
        look["markeredgecolor"] = "black"
    if config.queue_size or config.scene_probability or config.scene_weight:
        look |= {"fillstyle": "left", "markerfacecoloralt": "white"}
    return look


def looks(runs: Mapping[K, Run]) -> dict[K, Look]:
    """The look of each key's run."""
    return {key: run_look(run) for key, run in runs.items()}


def marker_and_colour(i: int) -> Look:
    """The look of the i-th of several series that are not methods."""
    return {"marker": MARKERS[i % len(MARKERS)], "color": sns.color_palette("colorblind")[i % 10]}


def looks_unlike_methods() -> list[Look]:
    """Looks of :func:`marker_and_colour` that no method has, for series in the same plot as methods."""
    of_methods = set()
    for colour, markers in FAMILIES.values():
        of_methods |= {(colour, marker) for marker in markers.values()}
    looks = [marker_and_colour(i) for i in range(len(MARKERS))]
    return [look for look in looks if (to_hex(look["color"]), look["marker"]) not in of_methods]


def whiskers(frame: pd.DataFrame, metric: str) -> np.ndarray:
    """(2, rows) distances from a metric down to its ``*_low`` and up to its ``*_high``, for ``errorbar``."""
    return np.clip([frame[metric] - frame[f"{metric}_low"], frame[f"{metric}_high"] - frame[metric]], 0, None)


def limits_with_margin(frame: pd.DataFrame, metric: str) -> tuple[float, float]:
    """Limits of an axis for a metric with its interval; matplotlib's own limits ignore markers that were moved."""
    low, high = frame[f"{metric}_low"].min(), frame[f"{metric}_high"].max()
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def moved(axes: Axes, right: float = 0, up: float = 0) -> Transform:
    """The data coordinates of the axes, moved by some typographic points, so that markers do not overlap."""
    inches = right / POINTS_PER_INCH, up / POINTS_PER_INCH
    return axes.transData + ScaledTranslation(*inches, axes.figure.dpi_scale_trans)


def legend_above(figure: Figure, title: str) -> None:
    """One legend above all panels, with one entry per label."""
    # The entries; reference lines are the last, after the series, which are containers of error bars.
    entries: dict = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    entries = dict(sorted(entries.items(), key=lambda entry: isinstance(entry[1], Line2D)))

    # One row if the figure is wide enough, otherwise as many columns as the longest entry allows.
    inches = [0.5 + 0.048 * len(label) for label in entries] or [1]
    width = figure.get_figwidth()
    columns = max(1, int(width // max(inches)))
    if sum(inches) < width:
        columns = len(entries)
    figure.legend(
        entries.values(), entries.keys(), title=title, loc="outside upper center", ncol=columns, columnspacing=1.2
    )
