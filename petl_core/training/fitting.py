"""Training of a run, epoch by epoch: a checkpoint after each, and in the end the weights of the best on validation."""

import logging
import time
from functools import partial
from pathlib import Path

from petl_core import recycling, retrieval
from petl_core.adapters import AdaptedCLIP
from petl_core.training import epoch
from petl_core.training.encoding import PreparedSplit, embed, embed_images, embed_texts
from petl_core.training.state import TrainState

log = logging.getLogger(__name__)


def fit(
    state: TrainState, train: PreparedSplit, validation: PreparedSplit, save_to: Path, inputs: dict[str, str]
) -> None:
    """Train to the last epoch, or go on from a checkpoint, and leave the model at its best epoch.

    Args:
        state: as started; its history is complete afterwards.
        train, validation: disjoint parts of the training split.
        save_to: file of the checkpoint.
        inputs: digests of data, images and backbone; a checkpoint begun with others is refused.
    """
    config, model = state.config, state.model
    state.resume(save_to, inputs)
    if not state.history:
        state.finish_epoch({"epoch": 0, "validation_mr": validation_mr(model, validation)})
    while state.epoch <= config.epochs:
        started = time.perf_counter()
        terms = epoch.train_epoch(state, train)
        trained = time.perf_counter()
        entry = {"epoch": state.epoch, "loss": terms, "seconds": trained - started}
        entry["validation_mr"] = validation_mr(model, validation)
        entry["validation_seconds"] = time.perf_counter() - trained
        if config.queue_size and state.epoch == config.epochs:
            entry["drift"] = _drift(state, train)
        log.info("epoch %d: loss %.4f, validation mR %.2f", entry["epoch"], terms["total"], entry["validation_mr"])
        state.finish_epoch(entry)
        state.save(save_to, inputs)
    model.load_state_dict(state.best, strict=False)


def validation_mr(model: AdaptedCLIP, validation: PreparedSplit) -> float:
    """Mean recall on the validation part, in percent."""
    scores = retrieval.similarity(*embed(model, validation))
    return retrieval.evaluate(scores, validation.image_of.numpy())["strict"]["mr"]


def _drift(state: TrainState, train: PreparedSplit) -> list[dict]:
    """How far the queue's features are from fresh ones: rows of :func:`petl_core.recycling.drift`."""
    encoders = (partial(embed, state.model, train) for embed in (embed_images, embed_texts))
    return recycling.drift(state.queue, *encoders).to_dict("records")
