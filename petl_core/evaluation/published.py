"""Published results, as printed; shown next to measured ones, never mixed with them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from petl_core.evaluation.comparison import signed
from petl_core.evaluation.names import METRICS, NO_VALUE
from petl_core.files import ROOT

FILE = ROOT / "data" / "published.csv"
ROUNDING = 0.011  # error of a mean of six figures that were rounded to two digits
CLIP_BASED = ("clip_finetuning", "prompt", "adapter")  # values of the column "group"

# The model of the full study; a row with another one is not like for like.
BACKBONE = "CLIP ViT-B/32"
BACKBONE_PARAMETERS = 151_277_313
PRETRAINING = "WIT-400M (OpenAI CLIP)"

# Why a row must be read with care: a column of printed_figures, its mark and what the mark means.
MARKS = {
    "contradicts_mr": ("†", "contradicts its own recalls"),
    "other_backbone": ("‡", f"backbone other than {BACKBONE}"),
    "chosen_on_test": ("§", "epoch chosen on the test set"),
    "other_pretraining": ("¶", "pre-training unknown or other than OpenAI CLIP's"),
    "second_hand": ("∥", "copied from others, not compared with what printed it"),
}

# Methods in PE-RSITR's tables, by their keys in METHODS. CMER is not among them: it is more than its Focus-Adapter.
PRINTED_NAMES = {
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
    "mrs": "MRS-Adapter + HMMC",
}


def printed_figures(dataset: str | None = None, groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows of ``data/published.csv``, whose columns ``data/README.md`` explains, with a boolean column for each mark.

    Args:
        dataset: rsicd, rsitmd or ucm; all by default.
        groups: of methods, such as ``CLIP_BASED``; all by default.
    """
    frame = pd.read_csv(FILE)
    recalls = frame[[metric for metric in METRICS if metric != "mr"]]
    frame["contradicts_mr"] = (recalls.mean(axis=1) - frame["mr"]).abs() > ROUNDING
    frame["other_backbone"] = frame["backbone"] != BACKBONE
    frame["chosen_on_test"] = frame["chosen_on"] == "test"
    frame["other_pretraining"] = frame["pretraining"] != PRETRAINING
    frame["second_hand"] = frame["url"] == "unknown"
    if dataset is not None:
        frame = frame[frame["dataset"] == dataset]
    if groups is not None:
        frame = frame[frame["group"].isin(groups)]
    return frame.reset_index(drop=True)


def readable_figures(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`printed_figures` to print, with marks after mR; :func:`legend` explains them."""
    columns = {
        "Method": frame["method"],
        "Backbone": frame["backbone"],
        "Parameters (M)": frame["trainable_params_m"].map(lambda count: NO_VALUE if pd.isna(count) else f"{count:.2f}"),
        **{title: frame[metric].map("{:.2f}".format) for metric, title in METRICS.items()},
        "Source": frame["source"] + (", " + frame["table"]).fillna(""),
    }
    columns[METRICS["mr"]] += _marks(frame)
    return pd.DataFrame(columns)


def legend(frame: pd.DataFrame) -> str:
    """The marks in a frame of :func:`printed_figures` or :func:`matched`, as a sentence that follows another.

    Empty if there are none.
    """
    parts = [f"{mark} {meaning}" for column, (mark, meaning) in MARKS.items() if frame[column].any()]
    return f" {'; '.join(parts)}." if parts else ""


def matched(summary: pd.DataFrame, printed: Mapping[Any, str], dataset: str) -> pd.DataFrame:
    """A summary with the printed mR of each row's published method (``printed_mr``) and a column for each mark.

    Args:
        summary: of :func:`comparison.summary`.
        printed: names of published methods by its keys, as in ``PRINTED_NAMES``; "" for a row that has none.
        dataset: that our runs were tested on. If nothing is printed for it, or for a row, printed_mr is NaN.
    """
    figures = printed_figures(dataset)[["method", "mr", *MARKS]]
    figures = figures.rename(columns={"method": "printed", "mr": "printed_mr"})
    frame = summary.assign(printed=summary["key"].map(printed)).merge(figures, on="printed", how="left")
    return frame.assign(**{column: frame[column].eq(True) for column in MARKS})


def readable_matched(frame: pd.DataFrame, names: Mapping[Any, str]) -> pd.DataFrame:
    """Published mR next to ours, to print; :func:`legend` explains the marks.

    Rows of one method with different losses are compared with the same published result.

    Args:
        frame: of :func:`matched`.
        names: of its keys.
    """
    ours = zip(frame["mr"], frame["mr_low"], frame["mr_high"], strict=True)
    is_printed = frame["printed_mr"].notna()
    return pd.DataFrame(
        {
            "Method": [names[key] for key in frame["key"]],
            "Published mR": (frame["printed_mr"].map("{:.2f}".format) + _marks(frame)).where(is_printed, NO_VALUE),
            "Our mR": [f"{mr:.2f} [{low:.2f}, {high:.2f}]" for mr, low, high in ours],
            "Difference": (frame["mr"] - frame["printed_mr"]).map(signed).where(is_printed, NO_VALUE),
            "Seeds": frame["seeds"],
        }
    )


def _marks(frame: pd.DataFrame) -> pd.Series:
    """The marks of each row, each after a space."""
    marks = pd.Series("", index=frame.index)
    for column, (mark, _) in MARKS.items():
        marks += frame[column].map({True: f" {mark}", False: ""})
    return marks
