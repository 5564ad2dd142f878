"""What more negatives bring, by where they come from: a queue beside the batch, or a larger batch.

A larger batch makes fewer steps of as many samples, so it is compared twice: at as many samples, which is as many
epochs, and at as many steps, which takes more of them.
"""

import pandas as pd

from petl_core.evaluation.ablation import Ablation

FACTORS = ("temperature", "batch_size", "epochs", "queue_size", "queue")  # of an ablation to be read here
SOURCES = {
    "own": "queue, own keys",
    "ema": "queue, slow keys",
    "samples": "larger batch, as many samples",
    "steps": "larger batch, as many steps",
}


def by_source(ablation: Ablation) -> pd.DataFrame:
    """The table of an ablation over ``FACTORS``, by the source of negatives.

    At each temperature the smallest batch without a queue is what all else is compared with: source "none", and the
    first point of both kinds of larger batches. Queues count where their settings, but for the keys, are the first's.

    Returns:
        Rows of the table in a new order, some several times, with source (a key of ``SOURCES``, or "none") and
        negatives (entries of the queue, or of the batch) beside.
    """
    trained = ablation.table[ablation.table["epochs"].notna()]
    queues = trained.loc[trained["queue_size"] > 0, "queue"]
    shared = _but_for_keys(queues.iloc[0]) if len(queues) else ()
    parts = []
    for _, rows in trained.groupby("temperature", sort=False):
        without = rows[rows["queue_size"] == 0].sort_values(["batch_size", "epochs"])
        smallest, larger = without[:1], without[1:]
        as_many_samples = larger["epochs"].isin(smallest["epochs"])
        parts.append(smallest.assign(source="none", negatives=smallest["batch_size"]))
        for source, part in (("samples", larger[as_many_samples]), ("steps", larger[~as_many_samples])):
            if len(part):
                line = pd.concat([smallest, part])
                parts.append(line.assign(source=source, negatives=line["batch_size"]))
        queued = rows[rows["queue_size"] > 0].sort_values("queue_size")
        queued = queued[[_but_for_keys(queue) == shared for queue in queued["queue"]]]
        keys = [dict(queue).get("queue_keys", "own") for queue in queued["queue"]]
        parts.append(queued.assign(source=keys, negatives=queued["queue_size"]))
    return pd.concat(parts, ignore_index=True)


def _but_for_keys(queue: tuple) -> tuple:
    """The settings of a queue, (name, value) each, without who encodes it."""
    return tuple((name, value) for name, value in queue if name != "queue_keys")
