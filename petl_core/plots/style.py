"""The look of every plot: sizes of an IEEE page, colours safe for colour-blind readers, markers, whiskers."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # inches
MARKERS = "osD^vP*Xhp<>d8H"
DASHES = ("-", "--", "-.", ":")


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


def whiskers(frame: pd.DataFrame, metric: str) -> np.ndarray:
    """(2, rows) distances from a metric down to its ``*_low`` and up to its ``*_high``, as ``errorbar`` takes them."""
    return np.clip([frame[metric] - frame[f"{metric}_low"], frame[f"{metric}_high"] - frame[metric]], 0, None)
