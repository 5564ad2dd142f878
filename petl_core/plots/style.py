"""The look of every plot: sizes of an IEEE page, colours safe for colour-blind readers, markers, whiskers, legends."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # inches
MARKERS = "osD^vP*Xhp<>d8H"
DASHES = ("-", "--", "-.", ":")
POINTS_PER_INCH = 72


def use_style() -> None:
    """Set seaborn's and matplotlib's defaults for the plots of the study."""
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


def marker_and_colour(i: int) -> dict[str, Any]:
    """How the i-th of several series is told from the others."""
    return {"marker": MARKERS[i % len(MARKERS)], "color": sns.color_palette("colorblind")[i % 10]}


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
    columns = 2 if figure.get_figwidth() < TWO_COLUMNS else 4
    figure.legend(
        entries.values(), entries.keys(), title=title, loc="outside upper center", fontsize=7, title_fontsize=7,
        ncol=columns
    )  # fmt: skip
