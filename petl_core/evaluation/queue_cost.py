"""What recycled negatives cost: seconds and bytes that a full queue adds to a training step, by its size."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

from petl_core.measuring import MIB, saved_bytes, seconds_of
from petl_core.recycling import Pairs, Queue
from petl_core.validation import ConfigError


def measure_queue_costs(
    sizes: Sequence[int], batch_size: int = 32, width: int = 512, steps: int = 5, device: str | torch.device = "cpu"
) -> pd.DataFrame:
    """Time what a full queue of recycled negatives adds to a step: its loss, gradients to the batch, enqueueing.

    A round takes every size in turn, so that whatever else the machine does disturbs all alike, and each after a step
    of its own that is not timed: a small queue would else pay for what the large one before it left in the caches.

    Args:
        sizes: entries of each modality, at least 1.
        batch_size: image-text pairs a step.
        width: d of the embeddings.
        steps: timed for each size.
        device: "cpu", "cuda" or "cuda:1".

    Returns:
        One row a size: ``size``, ``seconds`` (median) with the quartiles ``seconds_low`` and ``seconds_high``,
        ``stored_mib`` (what the queue holds all the time) and ``backward_mib`` (what its loss keeps for the backward
        pass, :func:`petl_core.measuring.saved_bytes`).

    Raises:
        ConfigError: a size, batch or number of steps below 1.
    """
    if not sizes or min(sizes) < 1 or batch_size < 1 or steps < 1:
        raise ConfigError("queue costs: sizes, batch_size and steps must be at least 1")
    trials = [_Trial(size, batch_size, width, torch.device(device)) for size in sizes]
    rounds = [[trial.seconds() for trial in trials] for _ in range(steps)]
    low, median, high = np.percentile(rounds, [25, 50, 75], axis=0)
    return pd.DataFrame(
        {
            "size": sizes,
            "seconds": median,
            "seconds_low": low,
            "seconds_high": high,
            "stored_mib": [trial.stored_mib() for trial in trials],
            "backward_mib": [trial.backward_mib() for trial in trials],
        }
    )


def readable_queue_costs(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of :func:`measure_queue_costs` as a table to print."""
    quartiles = zip(frame["seconds"], frame["seconds_low"], frame["seconds_high"], strict=True)
    return pd.DataFrame(
        {
            "Queue size": frame["size"].map("{:,}".format),
            "Step (ms)": [f"{1e3 * m:.3g} [{1e3 * low:.3g}, {1e3 * high:.3g}]" for m, low, high in quartiles],
            "Stored (MiB)": frame["stored_mib"].map("{:,.2f}".format),
            "Kept for the backward pass (MiB)": frame["backward_mib"].map("{:,.2f}".format),
        }
    )


class _Trial:
    """A full queue and a batch of other pairs."""

    def __init__(self, size: int, batch_size: int, width: int, device: torch.device):
        self.device = device
        self.queue = Queue(size, width).to(device)
        self.queue.enqueue(_random_pairs(range(size), width, device))
        self.batch = _random_pairs(range(size, size + batch_size), width, device)
        self.embeddings = [self.batch.images.requires_grad_(), self.batch.texts.requires_grad_()]

    def seconds(self) -> float:
        self._step()
        return seconds_of(self._step, self.device)

    def stored_mib(self) -> float:
        return sum(buffer.nbytes for buffer in self.queue.buffers()) / MIB

    def backward_mib(self) -> float:
        return saved_bytes(self._loss, (*self.queue.buffers(), *vars(self.batch).values())) / MIB

    def _step(self) -> None:
        torch.autograd.grad(self._loss(), self.embeddings)
        self.queue.enqueue(self.batch)

    def _loss(self) -> torch.Tensor:
        return self.queue.loss(self.batch, self.batch)


def _random_pairs(ids: range, width: int, device: torch.device) -> Pairs:
    images, texts = (normalize(torch.randn(len(ids), width, device=device), dim=-1) for _ in range(2))
    numbers = torch.tensor(ids, device=device)
    return Pairs(images, texts, numbers, numbers)
