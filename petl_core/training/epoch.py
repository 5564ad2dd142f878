"""One epoch of training: its batches, the loss of each, its learning rates."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from tqdm.auto import tqdm

from petl_core import losses
from petl_core.adapters import AdaptedCLIP, second_view
from petl_core.config import RunConfig
from petl_core.data import scene_labels
from petl_core.recycling import Pairs
from petl_core.training.encoding import Encoder, PreparedSplit, image_encoder, text_encoder
from petl_core.training.gradient_cache import embed_in_chunks
from petl_core.training.scenes import SceneTerm, balanced_rows
from petl_core.training.state import TrainState

# Scene labels have their own stream of random numbers, so that they do not change the order of batches.
SCENE_STREAM = 1

LARGEST_LOGIT_SCALE = 100  # of a learned temperature (CLIP, Radford et al. 2021, section 2.5)


def train_epoch(state: TrainState, train: PreparedSplit) -> dict[str, float]:
    """Train the next epoch; returns the mean of each loss term over its steps.

    Order and dropout depend only on the seed and the epoch, so a resumed run repeats an uninterrupted one.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    config, epoch = state.config, state.epoch
    torch.manual_seed(config.seed * 1_000_003 + epoch)
    scene_rng = np.random.default_rng([config.seed, epoch, SCENE_STREAM])
    batches = list(epoch_batches(train, config, epoch))
    scene_term = SceneTerm.of(state.model, train) if config.scene_weight else None
    state.model.train()

    sums: dict[str, float] = {}
    bar = tqdm(batches, f"epoch {epoch}/{config.epochs}", disable=not state.progress, unit="step", mininterval=1)
    for step, rows in enumerate(bar):
        rate = learning_rate(config, epoch - 1 + step / len(batches))
        terms = batch_loss(state, train, rows, scene_rng, scene_term)
        if not torch.isfinite(terms["total"]):
            raise FloatingPointError(
                f"loss is {terms['total'].item()} at epoch {epoch}, step {step + 1}: lower learning_rate "
                f"(now {rate:.2g}) or raise temperature"
            )
        _update(state, terms["total"], rate)
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        bar.set_postfix(loss=f"{sums['total'] / (step + 1):.3f}")
    return {name: total / len(batches) for name, total in sums.items()}


def epoch_batches(train: PreparedSplit, config: RunConfig, epoch: int) -> Iterator[torch.Tensor]:
    """Rows of captions, (B,) each, in this epoch's order: all, one per image, or one per image drawn by scene."""
    rng = np.random.default_rng([config.seed, epoch])
    if config.scene_balance:
        rows = balanced_rows(train, rng)
    elif config.pairs == "images":
        rows = one_caption_per_image(train, rng)
    else:
        rows = rng.permutation(len(train.image_of))
    yield from in_batches(rows, config.batch_size)


def one_caption_per_image(train: PreparedSplit, rng: np.random.Generator) -> np.ndarray:
    """(N,) rows of captions: a random one of each image, in random order."""
    rows = rng.permutation(len(train.image_of))
    # The first of an image's captions in random order is a random one.
    _, first = np.unique(train.image_of.numpy()[rows], return_index=True)
    return rng.permutation(rows[first])


def in_batches(rows: np.ndarray, batch_size: int) -> Iterator[torch.Tensor]:
    """Rows (B,) at a time; a last batch of one is left out, since a single pair has no negative."""
    for start in range(0, len(rows), batch_size):
        if len(rows) - start > 1:
            yield torch.from_numpy(rows[start : start + batch_size])


def learning_rate(config: RunConfig, epochs_done: float) -> float:
    """The rate after a number of epochs, whole or not: constant, a cosine to zero, or PE-RSITR's steps.

    PE-RSITR's release (``utils.py``, line 212, at commit dd24050) multiplies the rate by 0.7 before the 20th epoch.
    """
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "step":
        return config.learning_rate * 0.7 ** ((int(epochs_done) + 1) // 20)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * epochs_done / config.epochs))


def queue_weight(config: RunConfig, step: int) -> float:
    """The weight of the queue term after a number of steps of the run: zero, then a ramp to ``queue_weight``."""
    if step < config.queue_warmup:
        return 0.0
    ramped = (step - config.queue_warmup) / config.queue_ramp if config.queue_ramp else 1.0
    return config.queue_weight * min(1.0, ramped)


def batch_loss(
    state: TrainState,
    train: PreparedSplit,
    rows: torch.Tensor,
    scene_rng: np.random.Generator,
    scene_term: SceneTerm | None = None,
) -> dict[str, torch.Tensor]:
    """The loss terms of the captions ``rows`` (B,) and their images, and their total; fills the queue."""
    config, model = state.config, state.model
    image_rows = train.image_rows[train.image_of[rows]]
    caption_rows = train.caption_rows[rows]
    read_rows = caption_rows
    if config.scene_probability:
        labelled = torch.from_numpy(scene_labels.draw_labelled(len(rows), config.scene_probability, scene_rng))
        read_rows = torch.where(labelled, train.labelled_rows[rows], caption_rows)

    # The batch, and the second views that the terms with a weight need.
    size = config.gradient_cache or len(rows)
    encoders = {
        "images": [image_encoder(model, train, part) for part in image_rows.split(size)],
        "texts": [text_encoder(model, train, part) for part in read_rows.split(size)],
    }
    views = _view_encoders(state, encoders, losses.views_needed(config.terms))
    batches = {name: _embed(state, chunks) for name, chunks in (encoders | views).items()}  # (B, d) each

    # L_batch: HMMC.
    exclude = losses.false_negatives(image_rows, caption_rows) if config.mask_false_negatives else {}
    masks = {name: mask.to(model.device) for name, mask in exclude.items()}
    terms = losses.hmmc(batches, _contrast(model, config), config.terms, masks)

    # L_scene: classes.
    if scene_term:
        terms["scene"] = scene_term.loss(batches, train.image_of[rows], temperature_of(model, config))
        terms["total"] = terms["total"] + config.scene_weight * terms["scene"]

    # L_queue: negatives of past batches, which this one joins afterwards.
    if config.queue_size:
        batch = Pairs(batches["images"], batches["texts"], image_rows, caption_rows)
        keys = _keys(state, batch, encoders)
        terms["queue"] = state.queue.loss(batch, keys, _contrast(model, config, to_queue=True))
        terms["total"] = terms["total"] + queue_weight(config, state.queue.steps) * terms["queue"]
        state.queue.enqueue(keys)
    return terms


def _view_encoders(state: TrainState, encoders: dict[str, list[Encoder]], needed: set[str]) -> dict[str, list[Encoder]]:
    """Encoders of the second views that are needed, by name, with the same weights."""
    views = {}
    for name, chunks in (("image_views", encoders["images"]), ("text_views", encoders["texts"])):
        if name in needed:
            views[name] = [partial(_encode_view, state, chunk) for chunk in chunks]
    return views


def _encode_view(state: TrainState, encode: Encoder) -> torch.Tensor:
    with second_view(state.model, state.config.view_dropout):
        return encode()


def _embed(state: TrainState, chunks: list[Encoder]) -> torch.Tensor:
    """(B, d) with a graph; with GradCache, one that the backward pass rebuilds."""
    if state.config.gradient_cache:
        return embed_in_chunks(chunks, state.model.device)
    return torch.cat([encode() for encode in chunks])


def _keys(state: TrainState, batch: Pairs, encoders: dict[str, list[Encoder]]) -> Pairs:
    """A batch as it will be queued: encoded by the model itself, or by its slow copy."""
    if not state.slow_copy:
        return batch
    with state.encoding_keys():
        images, texts = (torch.cat([encode() for encode in encoders[name]]) for name in ("images", "texts"))
    return replace(batch, images=images, texts=texts)


def _contrast(model: AdaptedCLIP, config: RunConfig, to_queue: bool = False) -> losses.Contrast:
    """The configured contrast: of two batches, or of a batch and the queue."""
    if config.contrast == "triplet":
        return partial(losses.triplet_to_queue if to_queue else losses.triplet, margin=config.margin)
    infonce = losses.infonce_to_queue if to_queue else losses.infonce
    return partial(infonce, temperature=temperature_of(model, config))


def temperature_of(model: AdaptedCLIP, config: RunConfig) -> float | torch.Tensor:
    """What cosines are divided by: the configured temperature, or the model's own if it is learned."""
    return 1 / model.clip.logit_scale.exp() if config.learn_temperature else config.temperature


def _update(state: TrainState, loss: torch.Tensor, rate: float) -> None:
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    if state.config.learn_temperature:
        with torch.no_grad():
            state.model.clip.logit_scale.clamp_(max=math.log(LARGEST_LOGIT_SCALE))
    if state.slow_copy:
        state.slow_copy.update()
