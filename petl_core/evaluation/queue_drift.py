"""How far queues of recycled negatives have drifted from the model that filled them."""

from collections.abc import Sequence

import pandas as pd

from petl_core.evaluation.factors import factor_value
from petl_core.runs.folder import Run


def queue_drift(runs: Sequence[Run], factors: Sequence[str]) -> pd.DataFrame:
    """The drift of each run's queue at the end of training; empty where no run has a queue.

    Returns:
        One row a run, modality and range of ages: key (the run's hash), modality, age (the middle of the range, in
        steps), age_from, age_to, cosine (of a stored feature to a fresh one), count, and a column a factor.
    """
    frames = []
    for run in runs:
        frame = pd.DataFrame(run.metrics["history"][-1].get("drift", []))
        if len(frame):
            values = {factor: factor_value(run, factor) for factor in factors}
            frames.append(frame.assign(key=run.config.hash, **values))
    if not frames:
        return pd.DataFrame(columns=["key", "modality", "age", "age_from", "age_to", "cosine", "count", *factors])
    drift = pd.concat(frames, ignore_index=True)
    return drift.assign(age=(drift["age_from"] + drift["age_to"]) / 2)
