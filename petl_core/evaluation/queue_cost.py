"""What recycled negatives cost: seconds and bytes that a full queue adds to a training step, by its size."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

from petl_core.errors import ConfigError
from petl_core.measuring import MIB, activation_bytes, seconds_of
from petl_core.recycling import Pairs, Queue
from petl_core.runs.experiment import find_device


def measure_queue_costs(
    sizes: Sequence[int], batch_size: int = 32, width: int = 512, steps: int = 5, device: str = "cpu"
) -> pd.DataFrame:
    """Time what a full queue of recycled negatives adds to a step: its loss, gradients to the batch, enqueueing.

    Each round measures every size in turn, so that other work on the machine disturbs all alike. Each timed step
    follows an untimed one of the same size; otherwise a small queue would pay for caches that a large one has filled.

    Args:
        sizes: entries of each modality, at least 1.
        batch_size: image-text pairs per step.
        width: d of the embeddings.
        steps: timed per size.
        device: "cpu", "cuda", "cuda:1" or "auto".

    Returns:
        One row per size: ``size``, ``seconds`` (median) with the quartiles ``seconds_low`` and ``seconds_high``,
        ``stored_mib`` (what the queue holds all the time) and ``activation_mib`` (what its loss saves for the backward
        pass, :func:`petl_core.measuring.activation_bytes`).

    Raises:
        ConfigError: a size, batch or number of steps below 1, or no such device.
    """
    if not sizes or min(sizes) < 1 or batch_size < 1 or steps < 1:
        raise ConfigError("queue costs: sizes, batch_size and steps must be at least 1")
    trials = [_Trial(size, batch_size, width, find_device(device)) for size in sizes]
    rounds = [[trial.seconds() for trial in trials] for _ in range(steps)]
    low, median, high = np.percentile(rounds, [25, 50, 75], axis=0)
    return pd.DataFrame(
        {
            "size": sizes,
            "seconds": median,
            "seconds_low": low,
            "seconds_high": high,
            "stored_mib": [trial.stored_mib() for trial in trials],
            "activation_mib": [trial.activation_mib() for trial in trials],
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
            "Activations (MiB)": frame["activation_mib"].map("{:,.2f}".format),
        }
    )


class _Trial:
    """A full queue, and a batch of pairs that are not in it."""

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

    def activation_mib(self) -> float:
        return activation_bytes(self._loss, (*self.queue.buffers(), *vars(self.batch).values())) / MIB

    def _step(self) -> None:
        torch.autograd.grad(self._loss(), self.embeddings)
        self.queue.enqueue(self.batch)

    def _loss(self) -> torch.Tensor:
        return self.queue.loss(self.batch, self.batch)


def _random_pairs(ids: range, width: int, device: torch.device) -> Pairs:
    images, texts = (normalize(torch.randn(len(ids), width, device=device), dim=-1) for _ in range(2))
    numbers = torch.tensor(ids, device=device)
    return Pairs(images, texts, numbers, numbers)
