"""Everything that training changes, and the checkpoint that keeps it."""

import contextlib
import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from petl_core.adapters import AdaptedCLIP
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import write_atomically
from petl_core.recycling import Queue, SlowCopy

log = logging.getLogger(__name__)


@dataclass
class TrainState:
    """A run in training: its configuration, and what every step or epoch changes."""

    config: RunConfig
    model: AdaptedCLIP
    optimizer: torch.optim.Optimizer
    queue: Queue
    slow_copy: SlowCopy | None = None  # of the trained weights, if it encodes the queue's keys
    history: list[dict] = field(default_factory=list)  # one entry per epoch; epoch 0 is before training
    progress: bool = False  # show bars on stderr

    @classmethod
    def start(cls, config: RunConfig, model: AdaptedCLIP, width: int, progress: bool = False) -> "TrainState":
        """The state before the first step; ``width`` is d of the model's embeddings."""
        parameters = model.trainable().values()
        optimizer = torch.optim.AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay)
        queue = Queue(config.queue_size, width).to(model.device)
        slow = config.queue_size and config.queue_keys == "ema"
        slow_copy = SlowCopy(model.trainable(), config.queue_momentum) if slow else None
        return cls(config, model, optimizer, queue, slow_copy, progress=progress)

    @property
    def epoch(self) -> int:
        """The epoch to train next, from 1; 0 until the untrained model is validated."""
        return len(self.history)

    @property
    def goes_on(self) -> bool:
        """Whether there is an epoch left to train, and patience for it."""
        config, last = self.config, self.history[-1]
        waited = last["epoch"] - best_epoch(self.history)["epoch"]
        out_of_patience = config.patience and "validation_mr" in last and waited >= config.patience
        return last["epoch"] < config.epochs and not out_of_patience

    @property
    def validates(self) -> bool:
        """Whether the epoch to train next ends with a validation, and may be chosen."""
        return self.epoch % self.config.validation_interval == 0 or self.epoch == self.config.epochs

    @contextlib.contextmanager
    def encoding_keys(self) -> Iterator[None]:
        """Within this context the model encodes keys for the queue, in evaluation mode and without a graph."""
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad(), self.slow_copy.in_place() if self.slow_copy else contextlib.nullcontext():
                yield
        finally:
            self.model.train(training)

    def save(self, path: Path, inputs: dict[str, str]) -> None:
        """Write a checkpoint of a run on these inputs (digests of data, images and backbone)."""
        state = {
            "identity": {"config": self.config.hash, **inputs},
            "history": self.history,
            "weights": {name: p.detach() for name, p in self.model.trainable().items()},
            "optimizer": self.optimizer.state_dict(),
            "queue": self.queue.state_dict(),
            "slow_copy": self.slow_copy.weights if self.slow_copy else {},
        }
        write_atomically(path, lambda temporary: _save(state, temporary))

    def resume(self, path: Path, inputs: dict[str, str]) -> None:
        """Continue from a checkpoint, if there is one.

        Raises:
            ConfigError: it is broken, or was started with another configuration or other inputs.
        """
        if not path.exists():
            return
        identity = {"config": self.config.hash, **inputs}
        try:
            state = torch.load(path, map_location=self.model.device, weights_only=True)
            if changed := [name for name, value in identity.items() if state["identity"].get(name) != value]:
                raise ValueError(f"it was started with other {', '.join(changed)}")
            self.model.load_state_dict(state["weights"], strict=False)
            self.optimizer.load_state_dict(state["optimizer"])
            self.queue.load_state_dict(state["queue"])
            if self.slow_copy:
                self.slow_copy.load(state["slow_copy"])
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            raise ConfigError(
                f"checkpoint {path} cannot be resumed ({error}); delete it to train from the start"
            ) from error
        self.history = state["history"]
        log.info("resuming %s after epoch %d", path.parent.name, self.epoch - 1)


def _save(state: dict, path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:  # also of a full disk
        raise OSError(str(error)) from error


def best_epoch(history: list[dict]) -> dict:
    """The earliest epoch with the highest validation mR, among those that were validated."""
    return max(history, key=lambda entry: entry.get("validation_mr", 0.0))
