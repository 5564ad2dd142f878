"""How far queues of recycled negatives drift from what encodes their keys."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from petl_core.evaluation.factors import factor_value, queue_settings
from petl_core.runs.folder import Run


def queue_drift(runs: Sequence[Run], factors: Sequence[str]) -> pd.DataFrame:
    """The drift of each run's queue after each epoch; empty where no run has a queue.

    Returns:
        One row a run, epoch, modality and range of ages: key (the run's hash), epoch, modality, age_from, age_to (in
        steps), cosine (of a stored feature to a fresh one), count, and a column a factor.
    """
    columns = ["key", "epoch", "modality", "age_from", "age_to", "cosine", "count", *factors]
    rows = []
    for run in runs:
        values = {factor: factor_value(run, factor) for factor in factors}
        for entry in run.metrics["history"]:
            known = {"key": run.config.hash, "epoch": entry["epoch"], **values}
            rows += [{**known, **drift} for drift in entry.get("drift", [])]
    return pd.DataFrame(rows, columns=columns)


def drift_by_keys(runs: Sequence[Run]) -> pd.DataFrame:
    """:func:`queue_drift` of the largest queue by its keys (factor "queue"), all but its weight at its default.

    The weight is that of the first such queue that counts. Beside them stands a queue of weight 0, where there is one:
    how its features drift is the model's own doing.
    """
    queued = [run for run in runs if run.config.queue_size]
    largest = max((run.config.queue_size for run in queued), default=0)
    of_largest = [run for run in queued if run.config.queue_size == largest]
    counted = next((run.config.queue_weight for run in of_largest if run.config.queue_weight), None)
    wanted = ((0.0, ()), (counted, ()), (counted, (("queue_keys", "ema"),)))
    shown = [run for one in wanted for run in of_largest if (run.config.queue_weight, _but_for_weight(run)) == one]
    return queue_drift(shown, ["queue"])


def _but_for_weight(run: Run) -> tuple[tuple[str, Any], ...]:
    return tuple((name, value) for name, value in queue_settings(run.config) if name != "queue_weight")
