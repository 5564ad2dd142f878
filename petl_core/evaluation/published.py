"""Published figures, as printed; they stand beside measured ones, never among them."""

import pandas as pd

from petl_core.paths import ROOT
from petl_core.plots.figures import METRICS

TABLE = ROOT / "data" / "published.csv"
ROUNDING = 0.011  # of a mean of six figures that were rounded to two digits


def results(dataset: str | None = None) -> pd.DataFrame:
    """Rows of ``data/published.csv``: data set, method, parameters (millions), recalls and mR (%), source.

    ``contradicts_mr`` marks the rows whose printed mR is not the mean of their six printed recalls.
    """
    frame = pd.read_csv(TABLE)
    recalls = frame[[metric for metric in METRICS if metric != "mr"]]
    frame["contradicts_mr"] = (recalls.mean(axis=1) - frame["mr"]).abs() > ROUNDING
    return frame if dataset is None else frame[frame["dataset"] == dataset].reset_index(drop=True)


def table(dataset: str, groups: tuple[str, ...] = ("clip_finetuning", "prompt", "adapter")) -> pd.DataFrame:
    """The published CLIP-based rows of a data set, readable; † marks a row that contradicts its own mR."""
    frame = results(dataset)
    frame = frame[frame["group"].isin(groups)]
    mark = frame["contradicts_mr"].map({True: " †", False: ""})
    columns = {
        "Method": frame["method"],
        "Backbone": frame["backbone"],
        "Parameters (M)": frame["trainable_params_m"].map(lambda count: "" if pd.isna(count) else f"{count:g}"),
        **{title: frame[metric].map("{:.2f}".format) for metric, title in METRICS.items()},
        "Source": frame["source"],
    }
    columns["mR"] = columns["mR"] + mark
    return pd.DataFrame(columns).reset_index(drop=True)
