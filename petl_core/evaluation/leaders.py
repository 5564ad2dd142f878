"""Which values of a table are bold: in each column, those that may be the true best."""

from collections.abc import Sequence

import pandas as pd

from petl_core.evaluation import comparison
from petl_core.evaluation.grouping import Group
from petl_core.evaluation.names import METRICS

BOLD = (
    "Bold: the best mean of the column, and those of several seeds that are not significantly below it (5% level, "
    "adjusted by Bonferroni)."
)


def leaders(groups: Sequence[Group], summary: pd.DataFrame) -> pd.DataFrame:
    """Which groups lead in each metric.

    This is Gupta's subset selection: a group is out if it is significantly below the best mean, at 5 % divided by the
    number of rivals (Bonferroni). So where all can be judged, the truly best group is left out with a probability of at
    most 5 %, although the best mean was picked from the same data. A group with too few seeds to be judged leads only
    with the best mean; one whose seeds differ much may lead although its mean is low. Where no trained group is out,
    none leads, since that would tell nothing.

    Source: Gupta, "On some multiple decision (selection and ranking) rules" (Technometrics, 1965).

    Args:
        groups: finished ones.
        summary: of :func:`comparison.summary`, of the same groups.

    Returns:
        One row per group, and a boolean column for each title of ``METRICS``.
    """
    columns = {}
    for metric, title in METRICS.items():
        best = groups[int(summary[metric].argmax())]
        judged = [group for group in groups if _can_be_judged(group, best)]
        found = comparison.differences(judged, [best], metric)
        not_below = {best.key, *found["key"][found["p"] * len(found) >= comparison.SIGNIFICANCE]}
        tells = any(group.is_trained and group.key not in not_below for group in groups)
        columns[title] = [tells and group.key in not_below for group in groups]
    return pd.DataFrame(columns)


def _can_be_judged(group: Group, best: Group) -> bool:
    """Whether they have as many seeds in common as a verdict needs; an untrained group has them all."""
    if not (group.is_trained and best.is_trained):
        return max(len(group.runs), len(best.runs)) >= comparison.SEEDS_FOR_A_VERDICT
    common = {run.config.seed for run in group.runs} & {run.config.seed for run in best.runs}
    return len(common) >= comparison.SEEDS_FOR_A_VERDICT
