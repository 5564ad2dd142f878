"""Selection audit: what test mR the choice of the epoch decides. No run, and no other table, uses it.

Several published codes keep the epoch that is best on the test split; ours choose on validation. Here stands what
either choice, and no choice, would have printed for the same runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from petl_core.evaluation.grouping import Group
from petl_core.evaluation.names import MINUS


def selection_audit(groups: Sequence[Group]) -> pd.DataFrame:
    """One row a trained group, means over its seeds.

    Returns:
        key, seeds, and test mR (percent) at the epoch that is best on validation, on test (an optimistic figure) and
        last: on_validation, on_test, last; and optimism, on_test less on_validation, in points.
    """
    rows = []
    for group in groups:
        audits = [run.metrics["selection_audit"] for run in group.runs]
        if not all(audits):  # not trained
            continue
        chosen = [audit[run.metrics["chosen_epoch"]] for audit, run in zip(audits, group.runs, strict=True)]
        means = pd.DataFrame(
            {"on_validation": chosen, "on_test": [max(audit) for audit in audits], "last": [a[-1] for a in audits]}
        ).mean()
        row = {"key": group.key, "seeds": len(group.runs), **means}
        rows.append({**row, "optimism": row["on_test"] - row["on_validation"]})
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
