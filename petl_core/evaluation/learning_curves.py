"""Validation mR by epoch, of every run of a comparison."""

from collections.abc import Sequence

import pandas as pd

from petl_core.evaluation.grouping import Group


def learning_curves(groups: Sequence[Group]) -> pd.DataFrame:
    """One row a trained group, seed and epoch: key, seed, epoch (0 before training), validation_mr and chosen."""
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
