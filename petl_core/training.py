"""The training loop: a batch's rows -> embeddings -> terms of the loss -> step -> checkpoint.

Order, dropout and scene labels depend only on the seed and the epoch, so a resumed run repeats an uninterrupted one.
"""

import contextlib
import logging
import math
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.checkpoint import checkpoint
from tqdm.auto import tqdm

from petl_core import losses, recycling, retrieval
from petl_core.adapters import AdaptedCLIP, second_view
from petl_core.config import RunConfig
from petl_core.data import scene_labels
from petl_core.errors import ConfigError
from petl_core.files import write_atomically
from petl_core.inputs import (
    PreparedSplit,
    embed,
    embed_image_rows,
    embed_images,
    embed_text_rows,
    embed_texts,
    prepare_captions,
    read_images,
    read_texts,
)
from petl_core.recycling import Pairs, Queue, SlowCopy

log = logging.getLogger(__name__)

MOMENTUM = 0.99  # of the slow copy, at each step
SCENE_STREAM = 1  # scene labels have their own random numbers, so that they do not change the order of batches
LARGEST_LOGIT_SCALE = 100  # of a learned temperature (CLIP, Radford et al. 2021, section 2.5)


@dataclass
class TrainState:
    """A model in training, and everything that its steps change."""

    config: RunConfig
    model: AdaptedCLIP
    optimizer: torch.optim.Optimizer
    queue: Queue
    slow_copy: SlowCopy | None  # of the trained weights, if it encodes the queue's keys
    history: list[dict] = field(default_factory=list)  # one entry per epoch; epoch 0 is before training

    @classmethod
    def start(cls, config: RunConfig, model: AdaptedCLIP, width: int) -> "TrainState":
        """The state before the first step; ``width`` is d of the model's embeddings."""
        optimizer = torch.optim.AdamW(model.trainable().values(), config.learning_rate, weight_decay=0.0)
        queue = Queue(config.queue_size, width).to(model.device)
        slow = config.queue_size and config.queue_keys == "ema"
        return cls(config, model, optimizer, queue, SlowCopy(model.trainable(), MOMENTUM) if slow else None)


def fit(
    state: TrainState,
    train: PreparedSplit,
    validation: PreparedSplit,
    folder: Path,
    inputs: dict[str, str],
    progress: bool = False,
) -> None:
    """Train all epochs, or go on from a checkpoint; the model is left at its last epoch, or its best on validation.

    Args:
        state: as started; its history is complete afterwards.
        train, validation: disjoint parts of the training split.
        folder: of the run, for ``checkpoint.pt`` and, if epochs are compared, ``epochs/<n>.safetensors``.
        inputs: digests of data, images and backbone; a checkpoint started with others is refused.
        progress: show bars on stderr.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    config, model = state.config, state.model
    compares_epochs = config.select == "validation" or config.audit
    _resume(state, folder / "checkpoint.pt", inputs)
    for epoch in range(len(state.history), config.epochs + 1):
        started = time.perf_counter()
        entry: dict[str, Any] = {"epoch": epoch}
        if epoch:  # 0 is before training
            entry["loss"] = train_epoch(state, train, epoch, progress)
            entry["seconds"] = time.perf_counter() - started
            log.info("epoch %d: loss %.4f", epoch, entry["loss"]["total"])
        if compares_epochs:
            entry["validation_mr"] = mean_recall(model, validation)
            weights = {name: weight.detach().cpu().contiguous() for name, weight in model.trainable().items()}
            write_atomically(epoch_file(folder, epoch), partial(save_file, weights))
        if epoch and config.queue_size:
            entry["drift"] = _drift(state, train)
        state.history.append(entry)
        if epoch:
            _save(state, folder / "checkpoint.pt", inputs)
    if config.select == "validation":
        load_epoch(model, folder, max(state.history, key=lambda entry: entry["validation_mr"])["epoch"])


def train_epoch(state: TrainState, train: PreparedSplit, epoch: int, progress: bool = False) -> dict[str, float]:
    """Train one epoch, from 1; returns the mean of each term of the loss over its steps."""
    config, model = state.config, state.model
    torch.manual_seed(config.seed * 1_000_003 + epoch)
    scene_rng = np.random.default_rng([config.seed, epoch, SCENE_STREAM])
    scene_classes = _scene_classes(model, train) if config.scene_weight else None
    batches = list(epoch_batches(train, config, epoch))
    model.train()

    sums: dict[str, float] = {}
    bar = tqdm(batches, f"epoch {epoch}/{config.epochs}", disable=not progress, unit="step", mininterval=1)
    for step, rows in enumerate(bar):
        rate = learning_rate(config, epoch - 1 + step / len(batches))
        terms = batch_loss(state, train, rows, scene_rng, scene_classes)
        if not torch.isfinite(terms["total"]):
            raise FloatingPointError(
                f"loss is {terms['total'].item()} at epoch {epoch}, step {step + 1}: lower learning_rate "
                f"(now {rate:.2g}) or raise temperature"
            )
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.zero_grad(set_to_none=True)
        terms["total"].backward()
        state.optimizer.step()
        if config.learn_temperature:
            with torch.no_grad():
                model.clip.logit_scale.clamp_(max=math.log(LARGEST_LOGIT_SCALE))
        if state.slow_copy:
            state.slow_copy.update()
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        bar.set_postfix(loss=f"{sums['total'] / (step + 1):.3f}")
    return {name: total / len(batches) for name, total in sums.items()}


def batch_loss(
    state: TrainState,
    train: PreparedSplit,
    rows: torch.Tensor,
    scene_rng: np.random.Generator,
    scene_classes: tuple[Any, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """The terms of the loss of the captions ``rows`` (B,) and their images, and their total; fills the queue.

    With ``gradient_cache`` the batch is embedded in chunks, and the backward pass holds the activations of one chunk
    at a time: each is embedded again, with the random numbers of the first time (GradCache, Gao et al. 2021).
    """
    config, model = state.config, state.model
    image_rows, caption_rows = train.image_rows[train.image_of[rows]], train.caption_rows[rows]
    read_rows = caption_rows
    if config.scene_probability and train.labelled_rows is not None:  # some captions are read with their scene label
        labelled = torch.from_numpy(scene_rng.random(len(rows)) < config.scene_probability)
        read_rows = torch.where(labelled, train.labelled_rows[rows], caption_rows)

    # What is read: pixels and tokens, or the taps of a side method, which no gradient leaves.
    size = config.gradient_cache or len(rows)
    images = [read_images(model, train.inputs, part) for part in image_rows.split(size)]
    texts = [read_texts(model, train.inputs, part) for part in read_rows.split(size)]

    # The embeddings of the batch, and second views: the same weights, with elements of the token embeddings dropped.
    def embed_all(encode: Callable, chunks: list) -> torch.Tensor:  # (B, d)
        if config.gradient_cache:
            return torch.cat([checkpoint(encode, chunk, use_reentrant=False) for chunk in chunks])
        return torch.cat([encode(chunk) for chunk in chunks])

    def view_of(encode: Callable, chunk: Any) -> torch.Tensor:
        with second_view(model, config.view_dropout):
            return encode(chunk)

    encode_images, encode_texts = partial(embed_images, model), partial(embed_texts, model)
    batches = {"images": embed_all(encode_images, images), "texts": embed_all(encode_texts, texts)}
    views = losses.views_needed(config.terms)
    if "image_views" in views:
        batches["image_views"] = embed_all(partial(view_of, encode_images), images)
    if "text_views" in views:
        batches["text_views"] = embed_all(partial(view_of, encode_texts), texts)

    # L_batch: HMMC, a weighted sum of contrasts.
    temperature = temperature_of(model, config)
    if config.contrast == "triplet":
        contrast, contrast_to_queue = losses.triplet, losses.triplet_to_queue
    else:
        contrast = partial(losses.infonce, temperature=temperature)
        contrast_to_queue = partial(losses.infonce_to_queue, temperature=temperature)
    exclude = {}
    if config.mask_false_negatives:
        masks = losses.false_negatives(image_rows, caption_rows)
        exclude = {name: mask.to(model.device) for name, mask in masks.items()}
    terms = losses.hmmc(batches, contrast, config.terms, exclude)

    # L_scene: cross-entropy of both modalities over the scenes, whose prompts are encoded again at each step.
    if scene_classes:
        prompts, class_of = scene_classes
        prompted, classes = encode_texts(prompts), class_of[train.image_of[rows].to(class_of.device)]
        of_images, of_texts = (
            losses.class_cross_entropy(batches[name], prompted, classes, temperature) for name in ("images", "texts")
        )
        terms["scene"] = (of_images + of_texts) / 2
        terms["total"] = terms["total"] + config.scene_weight * terms["scene"]

    # L_queue: negatives of past batches, which this one joins afterwards, encoded by the model or its slow copy.
    if config.queue_size:
        batch = keys = Pairs(batches["images"], batches["texts"], image_rows, caption_rows)
        if state.slow_copy:
            with _encoding_keys(state):
                slow_images = torch.cat([encode_images(chunk) for chunk in images])
                slow_texts = torch.cat([encode_texts(chunk) for chunk in texts])
            keys = Pairs(slow_images, slow_texts, image_rows, caption_rows)
        terms["queue"] = state.queue.loss(batch, keys, contrast_to_queue)
        terms["total"] = terms["total"] + config.queue_weight * terms["queue"]
        state.queue.enqueue(keys)
    return terms


def temperature_of(model: AdaptedCLIP, config: RunConfig) -> float | torch.Tensor:
    """What cosines are divided by: the configured temperature, or the model's own if it is learned."""
    return 1 / model.clip.logit_scale.exp() if config.learn_temperature else config.temperature


def learning_rate(config: RunConfig, epochs_done: float) -> float:
    """The rate after a number of epochs, whole or not: a cosine to zero, or PE-RSITR's steps.

    PE-RSITR's release (``utils.py``, line 212, at commit dd24050) multiplies the rate by 0.7 before the 20th epoch.
    """
    if config.schedule == "step":
        return config.learning_rate * 0.7 ** ((int(epochs_done) + 1) // 20)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * epochs_done / config.epochs))


# Batches.


def epoch_batches(train: PreparedSplit, config: RunConfig, epoch: int) -> Iterator[torch.Tensor]:
    """Rows of captions, (B,) each, in this epoch's order: all, one per image, or one per image drawn by scene."""
    rng = np.random.default_rng([config.seed, epoch])
    if config.scene_balance:
        rows = balanced_rows(train, rng)
    elif config.pairs == "images":
        rows = one_caption_per_image(train, rng)
    else:
        rows = rng.permutation(len(train.image_of))
    return in_batches(rows, config.batch_size)


def one_caption_per_image(train: PreparedSplit, rng: np.random.Generator) -> np.ndarray:
    """(N,) rows of captions: a random one of each image, in random order."""
    rows = rng.permutation(len(train.image_of))
    # The first of an image's captions in random order is a random one.
    _, first = np.unique(train.image_of.numpy()[rows], return_index=True)
    return rng.permutation(rows[first])


def balanced_rows(train: PreparedSplit, rng: np.random.Generator) -> np.ndarray:
    """(N,) rows of captions, drawn evenly from the scenes of the N captioned images, each scene once in every round.

    Images of a scene take turns: small scenes repeat theirs, each time with a random caption, and large scenes do not
    show all of theirs in an epoch. Images without a label together form one more scene.
    """
    image_of = train.image_of.numpy()
    images = np.unique(image_of)
    _, scene_of = np.unique([train.scenes[image] or "" for image in images], return_inverse=True)

    def in_turns(items: np.ndarray, count: int) -> np.ndarray:  # all in random order, again and again
        return np.concatenate([rng.permutation(items) for _ in range(-(-count // len(items)))])[:count]

    scene_at = in_turns(np.arange(scene_of.max() + 1), len(images))
    image_at = np.empty(len(images), dtype=np.int64)
    for scene in range(scene_of.max() + 1):
        places = np.flatnonzero(scene_at == scene)
        if len(places):
            image_at[places] = in_turns(images[scene_of == scene], len(places))

    # A caption of each image.
    rows = np.argsort(image_of, kind="stable")
    first, count = np.searchsorted(image_of[rows], image_at), np.bincount(image_of)[image_at]
    return rows[first + rng.integers(count)]


def in_batches(rows: np.ndarray, batch_size: int) -> Iterator[torch.Tensor]:
    """Rows (B,) at a time; a last batch of one is left out, since a single pair has no negative."""
    for start in range(0, len(rows), batch_size):
        if len(rows) - start > 1:
            yield torch.from_numpy(rows[start : start + batch_size])


def _scene_classes(model: AdaptedCLIP, train: PreparedSplit) -> tuple[Any, torch.Tensor]:
    """The prompts of the training scenes, as :func:`read_texts` gives them, and the class (N,) of each image."""
    names = scene_labels.scene_classes(train.scenes)
    prompts = prepare_captions(model, scene_labels.class_prompts(names))
    classes = torch.from_numpy(scene_labels.class_indices(train.scenes, names)).to(model.device)
    return read_texts(model, prompts.inputs, prompts.caption_rows), classes


# What is measured between epochs.


def mean_recall(model: AdaptedCLIP, split: PreparedSplit) -> float:
    """mR in percent."""
    scores = retrieval.similarity(*embed(model, split))
    return retrieval.evaluate(scores, split.image_of.numpy())["strict"]["mr"]


def _drift(state: TrainState, train: PreparedSplit) -> list[dict]:
    """How far the queue's features are from fresh ones: rows of :func:`petl_core.recycling.drift`."""
    images, texts = partial(embed_image_rows, state.model, train), partial(embed_text_rows, state.model, train)
    with _encoding_keys(state):
        return recycling.drift(state.queue, images, texts).to_dict("records")


@contextlib.contextmanager
def _encoding_keys(state: TrainState) -> Iterator[None]:
    """Within this context the model encodes keys for the queue, in evaluation mode and without a graph."""
    training = state.model.training
    state.model.eval()
    try:
        with torch.no_grad(), state.slow_copy.in_place() if state.slow_copy else contextlib.nullcontext():
            yield
    finally:
        state.model.train(training)


# What is kept on disk.


def epoch_file(folder: Path, epoch: int) -> Path:
    """The trained weights after an epoch of a run that compares its epochs."""
    return folder / "epochs" / f"{epoch}.safetensors"


def load_epoch(model: AdaptedCLIP, folder: Path, epoch: int) -> None:
    """Bring a model back to the end of an epoch."""
    model.load_state_dict(load_file(epoch_file(folder, epoch)), strict=False)


def _save(state: TrainState, path: Path, inputs: dict[str, str]) -> None:
    content = {
        "identity": {"config": state.config.hash, **inputs},
        "history": state.history,
        "weights": {name: parameter.detach() for name, parameter in state.model.trainable().items()},
        "optimizer": state.optimizer.state_dict(),
        "queue": state.queue.state_dict(),
        "slow_copy": state.slow_copy.weights if state.slow_copy else {},
    }

    def write(temporary: Path) -> None:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # also of a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write)


def _resume(state: TrainState, path: Path, inputs: dict[str, str]) -> None:
    """Go on from a checkpoint, if there is one that was started with the same configuration and inputs."""
    if not path.exists():
        return
    try:
        saved = torch.load(path, map_location=state.model.device, weights_only=True)
        identity = {"config": state.config.hash, **inputs}
        if changed := [name for name, value in identity.items() if saved["identity"].get(name) != value]:
            raise ValueError(f"it was started with other {', '.join(changed)}")
        state.model.load_state_dict(saved["weights"], strict=False)
        state.optimizer.load_state_dict(saved["optimizer"])
        state.queue.load_state_dict(saved["queue"])
        if state.slow_copy:
            state.slow_copy.load(saved["slow_copy"])
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"checkpoint {path} cannot be resumed ({error}); delete it to train from the start"
        ) from error
    state.history = saved["history"]
    log.info("resuming %s after epoch %d", path.parent.name, len(state.history) - 1)
