"""Selection audit: how test mR depends on the way the epoch is chosen. No run, and no other table, uses it.

Several published codes keep the epoch that is best on the test split; our runs choose on validation. The audit shows
what either choice, and simply taking the last epoch, gives for the same runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from petl_core.evaluation.grouping import Group
from petl_core.evaluation.names import MINUS


def selection_audit(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per trained group, means over its seeds.

    Returns:
        key, seeds; test mR (percent) at the epoch that is best on validation (on_validation), at the one that is best
        on test, which is optimistic (on_test), and at the last one (last); and the points that on_test is above
        on_validation (optimism).
    """
    rows = []
    for group in groups:
        audits = [run.metrics["selection_audit"] for run in group.runs]
        if not all(audits):  # not trained
            continue
        on_validation = np.mean([run.metrics["scores"]["strict"]["mr"] for run in group.runs])
        on_test = np.mean([max(audit) for audit in audits])
        last = np.mean([audit[-1] for audit in audits])
        rows.append([group.key, len(group.runs), on_validation, on_test, last, on_test - on_validation])
    return pd.DataFrame(rows, columns=["key", "seeds", "on_validation", "on_test", "last", "optimism"])


def readable_audit(audit: pd.DataFrame, names: Mapping[Any, str]) -> pd.DataFrame:
    """A frame of :func:`selection_audit` to print."""
    return pd.DataFrame(
        {
            "Method": [names[key] for key in audit["key"]],
            "Seeds": audit["seeds"],
            "mR, epoch chosen on validation": audit["on_validation"].map("{:.2f}".format),
            "on test": audit["on_test"].map("{:.2f}".format),
            "last epoch": audit["last"].map("{:.2f}".format),
            "Optimism of choosing on test": audit["optimism"].map("{:+.2f}".format).str.replace("-", MINUS),
        }
    )
