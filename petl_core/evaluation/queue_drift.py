"""How far the stored features of a queue are from what its encoder would make now."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from petl_core.evaluation.factors import factor_value, queue_settings
from petl_core.runs.folder import Run


def queue_drift(runs: Sequence[Run], factors: Sequence[str]) -> pd.DataFrame:
    """The drift of each run's queue after each epoch; empty if no run has a queue.

    Returns:
        One row per run, epoch, modality and range of ages: key (the run's hash), epoch, modality, age_from, age_to (in
        steps), cosine (of a stored feature to a fresh one), count, and a column per factor.
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
    """:func:`queue_drift` of the largest queues, with own and with slow keys (factor "queue").

    Besides their keys, these queues have default settings and the same weight: that of the first one whose weight is
    not 0. Queues of weight 0 come first, if there are any: they do not influence the model, so their features show how
    far it moves by itself.
    """
    # Runs with the largest queue, and the weight to show.
    largest = max((run.config.queue_size for run in runs), default=0)
    of_largest = [run for run in runs if run.config.queue_size == largest > 0]
    weights = [run.config.queue_weight for run in of_largest if run.config.queue_weight]
    with_weight = [run for run in of_largest if weights and run.config.queue_weight == weights[0]]

    # The three kinds of queues to compare.
    only_watched = [run for run in of_largest if not run.config.queue_weight and not _changed_settings(run)]
    own_keys = [run for run in with_weight if not _changed_settings(run)]
    slow_keys = [run for run in with_weight if _changed_settings(run) == {"queue_keys": "ema"}]
    return queue_drift([*only_watched, *own_keys, *slow_keys], ["queue"])


def _changed_settings(run: Run) -> dict[str, Any]:
    """The settings of a run's queue, except its size and weight, that differ from their defaults."""
    return {name: value for name, value in queue_settings(run.config) if name != "queue_weight"}
