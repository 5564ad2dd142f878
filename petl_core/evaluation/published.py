"""Published figures, as printed; they stand beside measured ones, never among them."""

from collections.abc import Sequence

import pandas as pd

from petl_core.evaluation.names import METRICS
from petl_core.paths import ROOT

FILE = ROOT / "data" / "published.csv"
ROUNDING = 0.011  # of a mean of six figures that were rounded to two digits
CLIP_BASED = ("clip_finetuning", "prompt", "adapter")  # values of the column "group"


def printed_figures(dataset: str | None = None, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows of ``data/published.csv``: data set, method, parameters (millions), recalls and mR (%), source.

    ``contradicts_mr`` marks the rows whose printed mR is not the mean of their six printed recalls.

    Args:
        dataset: rsicd, rsitmd or ucm; all of them without.
        groups: of methods, such as ``CLIP_BASED``; all of them without.
    """
    frame = pd.read_csv(FILE)
    recalls = frame[[metric for metric in METRICS if metric != "mr"]]
    frame["contradicts_mr"] = (recalls.mean(axis=1) - frame["mr"]).abs() > ROUNDING
    if dataset is not None:
        frame = frame[frame["dataset"] == dataset]
    if groups is not None:
        frame = frame[frame["group"].isin(groups)]
    return frame.reset_index(drop=True)


def readable_figures(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`printed_figures` to print; † marks one that contradicts its own mR."""
    columns = {
        "Method": frame["method"],
        "Backbone": frame["backbone"],
        "Parameters (M)": frame["trainable_params_m"].map(lambda count: "" if pd.isna(count) else f"{count:g}"),
        **{title: frame[metric].map("{:.2f}".format) for metric, title in METRICS.items()},
        "Source": frame["source"],
    }
    columns[METRICS["mr"]] += frame["contradicts_mr"].map({True: " †", False: ""})
    return pd.DataFrame(columns)
