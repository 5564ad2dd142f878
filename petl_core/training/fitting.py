"""Training of a run: a checkpoint after each epoch, the weights after each validated one, and the best at the end."""

import logging
import time
from functools import partial
from pathlib import Path

from petl_core import recycling, retrieval
from petl_core.adapters import AdaptedCLIP
from petl_core.training import epoch
from petl_core.training.encoding import PreparedSplit, embed, embed_images, embed_texts
from petl_core.training.epoch_weights import EpochWeights
from petl_core.training.state import TrainState, best_epoch

log = logging.getLogger(__name__)


def fit(
    state: TrainState, train: PreparedSplit, validation: PreparedSplit, folder: Path, inputs: dict[str, str]
) -> EpochWeights:
    """Train all epochs, or continue from a checkpoint, and leave the model at its best epoch.

    Stops after ``patience`` epochs without a better validation mR. An epoch without a validation cannot be chosen.

    Args:
        state: as started; its history is complete afterwards.
        train, validation: disjoint parts of the training split.
        folder: of the run, for its checkpoint and the weights of its epochs.
        inputs: digests of data, images and backbone; a checkpoint started with others is refused.

    Returns:
        The trained weights after each validated epoch.
    """
    config, model = state.config, state.model
    saved = EpochWeights(folder / "epoch_weights")
    state.resume(folder / "checkpoint.pt", inputs)
    if not state.history:
        state.history.append({"epoch": 0, "validation_mr": validation_mr(model, validation)})
        saved.save(0, model)
    while state.goes_on:
        started = time.perf_counter()
        terms = epoch.train_epoch(state, train)
        trained = time.perf_counter()
        entry = {"epoch": state.epoch, "loss": terms, "seconds": trained - started}
        log.info("epoch %d: loss %.4f", entry["epoch"], terms["total"])
        if state.validates:
            entry["validation_mr"] = validation_mr(model, validation)
            entry["validation_seconds"] = time.perf_counter() - trained
            log.info("epoch %d: validation mR %.2f", entry["epoch"], entry["validation_mr"])
            saved.save(entry["epoch"], model)
        if config.queue_size:
            entry["drift"] = _drift(state, train)
        state.history.append(entry)
        state.save(folder / "checkpoint.pt", inputs)
    saved.load(best_epoch(state.history)["epoch"], model)
    return saved


def validation_mr(model: AdaptedCLIP, validation: PreparedSplit) -> float:
    """Mean recall on the validation part, in percent."""
    scores = retrieval.similarity(*embed(model, validation))
    return retrieval.evaluate(scores, validation.image_of.numpy())["strict"]["mr"]


def _drift(state: TrainState, train: PreparedSplit) -> list[dict]:
    """How far the queue's features are from fresh ones: rows of :func:`petl_core.recycling.drift`."""
    encode_images, encode_texts = partial(embed_images, state.model, train), partial(embed_texts, state.model, train)
    with state.encoding_keys():
        return recycling.drift(state.queue, encode_images, encode_texts).to_dict("records")
