"""Published results, as printed in ``data/published.csv``; shown next to measured ones, never mixed with them."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from petl_core import tables
from petl_core.config import RunConfig
from petl_core.files import ROOT
from petl_core.retrieval import METRICS

FILE = ROOT / "data" / "published.csv"
ROUNDING = 0.011  # error of a mean of six figures that were rounded to two digits
CLIP_BASED = ("clip_finetuning", "prompt", "adapter")  # values of the column "group"

# What most rows used, as the file says it and as a RunConfig does; a row with another model is not like for like.
BACKBONE, PRETRAINING = "CLIP ViT-B/32", "WIT-400M (OpenAI CLIP)"
OUR_BACKBONE = ("ViT-B-32-quickgelu", "openai")

# Why a row must be read with care: a column of rows(), its mark and what the mark means.
MARKS = {
    "contradicts_mr": ("†", "contradicts its own recalls"),
    "other_backbone": ("‡", f"backbone other than {BACKBONE}"),
    "chosen_on_test": ("§", "epoch chosen on the test set"),
    "other_pretraining": ("¶", "pre-training unknown or other than OpenAI CLIP's"),
    "second_hand": ("∥", "copied from others, not compared with what printed it"),
}

PRINTED_NAMES = {  # of methods in PE-RSITR's tables; CMER is more than its Focus-Adapter
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

# How PE-RSITR's release trains (``train.py`` and ``utils.py`` at commit dd24050), except for what may differ.
RELEASED = RunConfig(
    method="mrs",
    contrast="triplet",
    w_image=1.0,
    w_text=1.0,
    pairs="captions",
    batch_size=16,
    learning_rate=2e-4,
    schedule="step",
    blank_captions=True,
    select="validation",
)
FREE = ("dataset", "backbone", "pretrained", "epochs", "seed", "audit", "temperature")  # the triplet has no temperature

TRAINED_ON = {  # by patterns of weights files, of which the first match counts
    r"remoteclip": (
        "RemoteCLIP was trained on RSICD, RSITMD and UCM among others, so its results there are not zero-shot and what "
        "is validation here may be training there; its authors removed near-copies of test images by perceptual hash "
        "(arXiv:2306.11029; issue 13 of its repository, where a reader found copies that the published list missed)."
    ),
    r"rs5m.*(ret-2|rsicd|rsitmd)": (
        "This GeoRSCLIP was fine-tuned on the training sets of RSICD or RSITMD, so its results there are not zero-shot "
        "and what is validation here may be training there; where both were joined (RET-2), copies were removed as in "
        "RemoteCLIP (arXiv:2306.11300, table II)."
    ),
    r"rs5m|georsclip": (
        "GeoRSCLIP was trained on RS5M (pairs from the web, FMoW, BigEarthNet, MillionAID), which by its authors holds "
        "no part of the training sets of RSICD and RSITMD (arXiv:2306.11300, section VI-B)."
    ),
}


def rows(dataset: str = "", groups: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of ``data/published.csv``, whose columns ``data/README.md`` explains, and what must be known to read them.

    Args:
        dataset: rsicd, rsitmd or ucm; all by default.
        groups: of methods, such as ``CLIP_BASED``; all by default.

    Returns:
        The columns of the file, of which the method is ``row``, a boolean for each of ``MARKS``, and ``marks``, which
        :func:`legend` explains.
    """
    frame = pd.read_csv(FILE).rename(columns={"method": "row"})
    mean = frame[[metric for metric in METRICS if metric != "mr"]].mean(axis=1)
    frame["contradicts_mr"] = (mean - frame["mr"]).abs() > ROUNDING
    frame["other_backbone"] = frame["backbone"] != BACKBONE
    frame["chosen_on_test"] = frame["chosen_on"] == "test"
    frame["other_pretraining"] = frame["pretraining"] != PRETRAINING
    frame["second_hand"] = frame["url"] == "unknown"
    marks = [frame[column].map({True: mark, False: ""}) for column, (mark, _) in MARKS.items()]
    frame["marks"] = sum(marks[1:], marks[0])
    kept = (frame["dataset"] == dataset) | (not dataset)
    return frame[kept & (frame["group"].isin(groups) | (not groups))].reset_index(drop=True)


def legend(marks: pd.Series) -> str:
    """What the marks in a column mean: "† contradicts its own recalls; ..."; empty if there are none."""
    used = set("".join(marks.dropna()))
    return "; ".join(f"{mark} {meaning}" for mark, meaning in MARKS.values() if mark in used)


def matched(frame: pd.DataFrame, by: str = "row") -> pd.DataFrame:
    """Our rows beside the published rows that they reproduce.

    Args:
        frame: of :func:`petl_core.tables.frame`, of one data set. A column ``printed`` names the published method of
            each run; by default it follows from the run's method (``PRINTED_NAMES``).
        by: the column that names our rows.

    Returns:
        :func:`petl_core.tables.summary` with ``printed``, ``printed_mr`` (NaN if nothing is printed for the row on this
        data set), ``marks``, ``apart`` (our mR minus theirs), ``inside`` (whether theirs is inside our interval) and
        ``like_for_like``: the same backbone and weights, and, of MRS-Adapter, whose loss alone is known, the same loss.
    """
    runs = frame.drop_duplicates(by).set_index(by)
    table = tables.summary(frame, by)
    ours = runs.loc[table[by]].reset_index()
    table["printed"] = ours["printed"] if "printed" in ours else ours["method"].map(PRINTED_NAMES)
    theirs = rows(ours["dataset"].iloc[0]).rename(columns={"row": "printed", "mr": "printed_mr"})
    table = table.merge(theirs[["printed", "printed_mr", "marks", *MARKS]], on="printed", how="left")
    same_model = (ours["backbone"] == OUR_BACKBONE[0]) & (ours["pretrained"] == OUR_BACKBONE[1])
    loss = ["contrast", "w_cross", "w_image", "w_text"]
    same_loss = (ours["method"] != "mrs") | (ours[loss] == [getattr(RELEASED, field) for field in loss]).all(axis=1)
    their_model = table["other_backbone"].eq(False) & table["other_pretraining"].eq(False)
    table["like_for_like"] = same_model & same_loss & their_model
    table["apart"] = table["mr"] - table["printed_mr"]
    inside = table["printed_mr"].between(table["mr_low"], table["mr_high"]).astype(object)
    table["inside"] = inside.where(table["printed_mr"].notna(), None)
    return table.drop(columns=list(MARKS))


def is_as_released(config: RunConfig) -> bool:
    """Whether a run was trained by PE-RSITR's released recipe, except for ``FREE`` fields."""
    return config == RELEASED.replace(**{field: getattr(config, field) for field in FREE})


def training_data_warning(pretrained: str) -> str:
    """What a caption must say about a backbone's training data; empty if its weights file is not known by name.

    >>> training_data_warning("weights/RemoteCLIP-ViT-B-32.pt")[:46]
    'RemoteCLIP was trained on RSICD, RSITMD and UC'
    """
    name = Path(pretrained).name.lower()
    return next((sentence for pattern, sentence in TRAINED_ON.items() if re.search(pattern, name)), "")
