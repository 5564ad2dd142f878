"""Published figures, as printed; they stand beside measured ones, never among them."""

import pandas as pd

from petl_core.evaluation.names import METRICS
from petl_core.paths import ROOT

FILE = ROOT / "data" / "published.csv"
ROUNDING = 0.011  # of a mean of six figures that were rounded to two digits
CLIP_BASED = ("clip_finetuning", "prompt", "adapter")  # values of the column "group"


def printed_figures(dataset: str | None = None) -> pd.DataFrame:
    """Rows of ``data/published.csv``: data set, method, parameters (millions), recalls and mR (%), source.

    ``contradicts_mr`` marks the rows whose printed mR is not the mean of their six printed recalls.
    """
    frame = pd.read_csv(FILE)
    recalls = frame[[metric for metric in METRICS if metric != "mr"]]
    frame["contradicts_mr"] = (recalls.mean(axis=1) - frame["mr"]).abs() > ROUNDING
    return frame if dataset is None else frame[frame["dataset"] == dataset].reset_index(drop=True)


def readable_figures(dataset: str, groups: tuple[str, ...] = CLIP_BASED) -> pd.DataFrame:
    """The published CLIP-based rows of a data set, to print; † marks a row that contradicts its own mR."""
    frame = printed_figures(dataset)
    frame = frame[frame["group"].isin(groups)]
    columns = {
        "Method": frame["method"],
        "Backbone": frame["backbone"],
        "Parameters (M)": frame["trainable_params_m"].map(lambda count: "" if pd.isna(count) else f"{count:g}"),
        **{title: frame[metric].map("{:.2f}".format) for metric, title in METRICS.items()},
        "Source": frame["source"],
    }
    columns[METRICS["mr"]] += frame["contradicts_mr"].map({True: " †", False: ""})
    return pd.DataFrame(columns).reset_index(drop=True)
