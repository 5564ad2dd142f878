"""Validation mR by epoch for every run of a comparison, and whether it still rises at the end."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from petl_core.evaluation.comparison import counted, signed
from petl_core.evaluation.grouping import Group


def learning_curves(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per validated epoch of a trained run: key, seed, epoch (0 before training), validation_mr and chosen."""
    rows = [
        {
            "key": group.key,
            "seed": run.config.seed,
            "epoch": entry["epoch"],
            "validation_mr": entry["validation_mr"],
            "chosen": entry["epoch"] == run.metrics["chosen_epoch"],
        }
        for group in groups
        for run in group.runs
        for entry in run.metrics["history"]
        if "validation_mr" in entry
    ]
    return pd.DataFrame(rows, columns=["key", "seed", "epoch", "validation_mr", "chosen"])


def still_climbing(curves: pd.DataFrame) -> str:
    """Whether longer training might have helped, from :func:`learning_curves`, in words; empty without trained runs."""
    last_is_best, gains = [], []
    for _, curve in curves.sort_values("epoch").groupby(["key", "seed"], sort=False):
        last_fifth = max(1, round(len(curve) / 5))
        last_is_best.append(bool(curve["chosen"].iloc[-1]))
        gains.append(curve["validation_mr"].iloc[-1] - curve["validation_mr"].iloc[-1 - last_fifth])
    if not gains:
        return ""
    gain = signed(float(np.median(gains)))
    best_last = f"Best at the last epoch: {sum(last_is_best)} of {counted(len(gains), 'run')}"
    return f"{best_last}; the last fifth of the epochs brought {gain} points (median run)."
