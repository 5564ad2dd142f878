"""Training of a run, epoch by epoch: checkpoints, and the weights of the best validation epoch."""

import logging
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import torch

from petl_core import recycling, retrieval
from petl_core.adapters import AdaptedCLIP
from petl_core.backbone import Backbone
from petl_core.config import RunConfig
from petl_core.files import write_atomically
from petl_core.training import encoding as training
from petl_core.validation import ConfigError

log = logging.getLogger(__name__)


def fit(
    config: RunConfig,
    model: AdaptedCLIP,
    frozen: Backbone,
    prepare: Callable[[], list[training.Prepared]],
    checkpoint: Path,
    inputs: dict[str, str],
    device: torch.device,
    progress: bool,
) -> tuple[list[dict], dict[str, float]]:
    """Train, leaving ``model`` at its best epoch; returns the history (epoch 0 is before training) and seconds.

    ``prepare()`` gives the training and the validation part; a checkpoint begun with other ``inputs`` is refused.
    """
    if config.epochs == 0 or not model.trainable():
        return [{"epoch": 0}], {"prepare": 0.0, "train": 0.0}
    started = time.perf_counter()
    train, validation = prepare()
    prepare_seconds = time.perf_counter() - started
    optimizer = torch.optim.AdamW(model.trainable().values(), config.learning_rate, weight_decay=config.weight_decay)

    def validate() -> float:
        scores = retrieval.similarity(*training.embed(model, frozen, validation, device))
        return retrieval.evaluate(scores, validation.image_of.numpy())["strict"]["mr"]

    def drift() -> list[dict]:
        table = recycling.drift(
            queue,
            lambda ids: training.embed_images(model, frozen, train, ids, device),
            lambda ids: training.embed_texts(model, train, ids, device),
        )
        return table.to_dict("records")

    width = training.embed_texts(model, train, train.tokens_of[:1], device).shape[1]
    queue = recycling.Queue(config.queue_size, width, config.queue_warmup).to(device)
    identity = {"config": config.hash, **inputs}
    history, best = _resume(checkpoint, identity, model, optimizer, queue, device)
    if not history:
        history, best = [{"epoch": 0, "validation_mr": validate()}], _weights(model)
    for epoch in range(len(history), config.epochs + 1):
        started = time.perf_counter()
        terms = training.train_epoch(model, frozen, train, config, optimizer, epoch, device, queue, progress)
        seconds = time.perf_counter() - started
        history.append({"epoch": epoch, "validation_mr": validate(), "loss": terms, "seconds": seconds})
        if config.queue_size and epoch == config.epochs:
            history[-1]["drift"] = drift()
        log.info("epoch %d: loss %.4f, validation mR %.2f", epoch, terms["total"], history[-1]["validation_mr"])
        if best_epoch(history)["epoch"] == epoch:
            best = _weights(model)
        state = {
            "identity": identity,
            "history": history,
            "weights": _weights(model),
            "best": best,
            "optimizer": optimizer.state_dict(),
            "queue": queue.state_dict(),
        }
        write_atomically(checkpoint, lambda path, state=state: torch.save(state, path))
    model.load_state_dict(best, strict=False)
    return history, {"prepare": prepare_seconds, "train": sum(h.get("seconds", 0.0) for h in history)}


def _resume(path: Path, identity: dict[str, str], model, optimizer, queue, device) -> tuple[list[dict], dict]:
    """History and best weights of an interrupted run, whose state is put into model and optimizer; else empty."""
    if not path.exists():
        return [], {}
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if changed := [name for name, value in identity.items() if state["identity"].get(name) != value]:
            raise ValueError(f"it was begun with other {', '.join(changed)}")
        model.load_state_dict(state["weights"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        queue.load_state_dict(state["queue"])
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"checkpoint {path} cannot be resumed ({error}); delete it to train from the start"
        ) from error
    log.info("resuming %s after epoch %d", path.parent.name, len(state["history"]) - 1)
    return state["history"], state["best"]


def best_epoch(history: list[dict]) -> dict:
    """The earliest epoch with the highest validation mR."""
    return max(history, key=lambda entry: entry.get("validation_mr", 0.0))


def _weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.trainable().items()}
