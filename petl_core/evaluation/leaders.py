"""Which values of a table stand in bold: the best of each column, and those right behind it."""

from collections.abc import Sequence

import pandas as pd

from petl_core.evaluation import comparison
from petl_core.evaluation.grouping import Group
from petl_core.evaluation.names import METRICS

BOLD = "Bold: the best, and those behind it down to the first that is significantly below (5% level, adjusted by Holm)."


def leaders(groups: Sequence[Group], summary: pd.DataFrame) -> pd.DataFrame:
    """Which groups lead in each metric.

    A column is one family of comparisons with its best group. In descending order, groups lead until one is
    significantly below the best, or cannot be judged for want of seeds: a mean that varies much does not lead for that.

    Args:
        groups: finished ones.
        summary: of :func:`comparison.summary`, of the same groups.

    Returns:
        One row a group, a boolean column for each title of ``METRICS``.
    """
    columns = {}
    for metric, title in METRICS.items():
        best = groups[int(summary[metric].argmax())]
        judged = [group for group in groups if _can_be_judged(group, best)]
        found = comparison.differences(judged, [best], metric)
        alike = {best.key} | {row.key for row in found.itertuples() if row.significant is False}
        leading = set()
        for place in summary[metric].argsort()[::-1]:
            if groups[place].key not in alike:
                break
            leading.add(groups[place].key)
        columns[title] = [group.key in leading for group in groups]
    return pd.DataFrame(columns)


def _can_be_judged(group: Group, best: Group) -> bool:
    """Whether they have the seeds in common that a verdict takes; an untrained group has all of them."""
    if not (group.is_trained and best.is_trained):
        return max(len(group.runs), len(best.runs)) >= comparison.SEEDS_FOR_A_VERDICT
    common = {run.config.seed for run in group.runs} & {run.config.seed for run in best.runs}
    return len(common) >= comparison.SEEDS_FOR_A_VERDICT
