"""What more negatives bring, by their source: a queue in addition to the batch, or a larger batch.

In one epoch a larger batch takes fewer steps, so it is compared twice: after the same number of samples (the same
epochs), and after the same number of steps (more epochs).
"""

import pandas as pd

from petl_core.evaluation.ablation import Ablation

FACTORS = ("temperature", "batch_size", "epochs", "queue_size", "queue")  # of the ablation that by_source reads
SOURCES = {
    "own": "queue, own keys",
    "ema": "queue, slow keys",
    "samples": "larger batch, as many samples",
    "steps": "larger batch, as many steps",
}


def by_source(ablation: Ablation) -> pd.DataFrame:
    """The table of an ablation over ``FACTORS``, by the source of negatives.

    At each temperature everything is compared with the smallest batch without a queue. It has source "none", and is
    also the first point of both lines of larger batches. Only queues with the settings of the first queue are included;
    their keys may differ.

    Returns:
        Rows of the table in a new order, some more than once, with two more columns: source (a key of ``SOURCES``, or
        "none") and negatives (the size of the queue, or of the batch).
    """
    trained = ablation.table[ablation.table["epochs"].notna()]
    queues = trained.loc[trained["queue_size"] > 0, "queue"]
    settings_of_first = _without_keys(queues.iloc[0]) if len(queues) else ()
    parts = []
    for _, rows in trained.groupby("temperature", sort=False):
        # The smallest batch, and larger ones after as many samples and after as many steps.
        without_queue = rows[rows["queue_size"] == 0].sort_values(["batch_size", "epochs"])
        smallest, larger = without_queue[:1], without_queue[1:]
        parts.append(smallest.assign(source="none", negatives=smallest["batch_size"]))
        has_as_many_samples = larger["epochs"].isin(smallest["epochs"])
        for source, part in (("samples", larger[has_as_many_samples]), ("steps", larger[~has_as_many_samples])):
            if len(part):
                line = pd.concat([smallest, part])
                parts.append(line.assign(source=source, negatives=line["batch_size"]))

        # Queues, by their keys.
        queued = rows[rows["queue_size"] > 0].sort_values("queue_size")
        queued = queued.loc[[_without_keys(queue) == settings_of_first for queue in queued["queue"]]]
        keys = [dict(queue).get("queue_keys", "own") for queue in queued["queue"]]
        parts.append(queued.assign(source=keys, negatives=queued["queue_size"]))
    return pd.concat(parts, ignore_index=True)


def _without_keys(queue: tuple) -> tuple:
    """The settings of a queue, pairs of name and value, without its keys."""
    return tuple((name, value) for name, value in queue if name != "queue_keys")
