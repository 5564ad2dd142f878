"""One epoch of training and one pass of encoding, over a split that was decoded and tokenised once."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from petl_core import losses, recycling
from petl_core.adapters import AdaptedCLIP, SideMethod, second_view
from petl_core.backbone import Backbone, trim
from petl_core.config import RunConfig
from petl_core.data import Split, caption_key, scene_labels

ENCODE_BATCH = 128


@dataclass(frozen=True)
class Prepared:
    """A split as tensors. Copies of an image or caption are held once, so that they get identical embeddings.

    With taps from :mod:`petl_core.features` it may be a part of what is held; rows without an image or caption are
    never read.
    """

    pixels: torch.Tensor | None  # (distinct images, 3, H, W) uint8; None where taps stand for them
    tokens: torch.Tensor  # (distinct captions, context) long
    pixels_of: torch.Tensor  # (N,) long: row of each image
    tokens_of: torch.Tensor  # (M,) long: row of each caption
    image_of: torch.Tensor  # (M,) long: each caption's image
    augmented_of: torch.Tensor | None = None  # (M,) long: row of each caption with its scene label
    image_taps: np.ndarray | None = None  # (distinct images, ...) of a side method
    text_taps: np.ndarray | None = None  # (distinct captions, ...) of a side method, at the length of ``tokens``


def prepare(split: Split, backbone: Backbone, progress: bool = False, scene_template: str = "") -> Prepared:
    """Decode and tokenise a split for a backbone; with a template, its captions with scene labels, too."""
    pixels = backbone.pixels(split.images, progress)
    first_image, pixels_of = distinct([image.numpy().tobytes() for image in pixels])
    captions = [*split.captions, *(scene_labels.augment(split, scene_template) if scene_template else ())]
    first_caption, rows = distinct([caption_key(caption) for caption in captions])
    count = len(split.captions)
    return Prepared(
        pixels=pixels[first_image],
        tokens=backbone.tokens([captions[i] for i in first_caption]),
        pixels_of=pixels_of,
        tokens_of=rows[:count],
        image_of=torch.as_tensor(split.image_of),
        augmented_of=rows[count:] if scene_template else None,
    )


def train_epoch(
    model: AdaptedCLIP,
    backbone: Backbone,
    train: Prepared,
    config: RunConfig,
    optimizer,
    epoch: int,
    device: torch.device,
    queue: recycling.Queue,
    progress: bool = False,
) -> dict[str, float]:
    """Train for epoch 1, 2, ...; returns the mean of each loss term over the epoch's steps.

    Order and dropout depend on the seed and the epoch alone, so a resumed run repeats an uninterrupted one.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(config.seed * 1_000_003 + epoch)
    model.train()
    scene_rng = np.random.default_rng([config.seed, epoch, 1])
    batches = list(epoch_batches(train, config.batch_size, config.pairs, config.seed, epoch))
    sums: dict[str, float] = {}
    bar = tqdm(batches, f"epoch {epoch}/{config.epochs}", disable=not progress, unit="step", mininterval=1)
    for step, rows in enumerate(bar):
        rate = learning_rate(config, epoch - 1 + step / len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        terms = batch_loss(model, backbone, train, rows, config, device, queue, scene_rng)
        if not torch.isfinite(terms["total"]):
            raise FloatingPointError(
                f"loss is {terms['total'].item()} at epoch {epoch}, step {step + 1}: lower learning_rate "
                f"(now {rate:.2g}) or raise temperature"
            )
        optimizer.zero_grad(set_to_none=True)
        terms["total"].backward()
        optimizer.step()
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        bar.set_postfix(loss=f"{sums['total'] / (step + 1):.3f}")
    return {name: total / len(batches) for name, total in sums.items()}


def epoch_batches(train: Prepared, batch_size: int, pairs: str, seed: int, epoch: int) -> Iterator[torch.Tensor]:
    """Rows of captions, (B,) each, in this epoch's order: every caption, or one drawn for every image."""
    rng = np.random.default_rng([seed, epoch])
    rows = rng.permutation(len(train.image_of))
    if pairs == "images":  # the first of an image's captions in random order is a random one
        _, first = np.unique(train.image_of.numpy()[rows], return_index=True)
        rows = rng.permutation(rows[first])
    for start in range(0, len(rows), batch_size):
        if len(rows) - start > 1:  # a single pair has no negative
            yield torch.from_numpy(rows[start : start + batch_size])


def learning_rate(config: RunConfig, epochs_done: float) -> float:
    """Cosine to zero, or the released steps: x0.7 after every 20 epochs."""
    if config.schedule == "step":
        return config.learning_rate * 0.7 ** (int(epochs_done) // 20)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * epochs_done / config.epochs))


def batch_loss(
    model: AdaptedCLIP,
    backbone: Backbone,
    train: Prepared,
    rows: torch.Tensor,
    config: RunConfig,
    device: torch.device,
    queue: recycling.Queue,
    scene_rng: np.random.Generator,
) -> dict[str, torch.Tensor]:
    """The HMMC terms and their total for the captions ``rows`` (B,) and their images."""
    image_rows = train.pixels_of[train.image_of[rows]]
    caption_rows = train.tokens_of[rows]
    encode_images = image_encoder(model, backbone, train, image_rows, device)
    token_rows = caption_rows
    if config.scene_probability:
        augmented = torch.from_numpy(scene_labels.choose(rows, config.scene_probability, scene_rng))
        token_rows = torch.where(augmented, train.augmented_of[rows], caption_rows)
    encode_texts = text_encoder(model, train, token_rows, device)
    v, t = encode_images(), encode_texts()  # (B, d)
    with second_view(model, config.view_dropout) if config.w_image or config.w_text else contextlib.nullcontext():
        v_view = encode_images() if config.w_image else None
        t_view = encode_texts() if config.w_text else None
    exclude = losses.false_negatives(image_rows, caption_rows) if config.mask_false_negatives else {}
    terms = losses.hmmc(
        v, t, v_view, t_view,
        contrast=contrast(model, config),
        weights=(config.w_cross, config.w_image, config.w_text),
        exclude={name: mask.to(device) for name, mask in exclude.items()},
    )  # fmt: skip
    if queue.size:
        terms["queue"] = queue.loss(v, t, image_rows, caption_rows, contrast(model, config, recycling))
        terms["total"] = terms["total"] + config.queue_weight * terms["queue"]
        queue.enqueue(v, t, image_rows, caption_rows)
    return terms


def contrast(model: AdaptedCLIP, config: RunConfig, family=losses):
    """The configured contrast: of two batches (``losses``), or of a batch and the queue (``recycling``)."""
    if config.contrast == "triplet":
        return partial(family.triplet, margin=config.margin)
    temperature = 1 / model.clip.logit_scale.exp() if config.learn_temperature else config.temperature
    return partial(family.infonce, temperature=temperature)


def image_encoder(
    model: AdaptedCLIP, backbone: Backbone, split: Prepared, rows: torch.Tensor, device: torch.device
) -> Callable[[], torch.Tensor]:
    """Encodes the distinct images ``rows`` (B,) at each call, (B, d) normalised; a side method's tower runs once."""
    if split.image_taps is not None:
        taps = _read(split.image_taps, rows).to(device)
    else:
        images = backbone.normalise(split.pixels[rows].to(device))
        if not isinstance(model.method, SideMethod):
            return partial(model.encode_image, images, normalize=True)
        taps = model.tap_image(images)
    return partial(model.image_from_taps, taps, normalize=True)


def text_encoder(
    model: AdaptedCLIP, split: Prepared, rows: torch.Tensor, device: torch.device
) -> Callable[[], torch.Tensor]:
    """Encodes the distinct captions ``rows`` (B,) at each call, (B, d) normalised; a side method's tower runs once."""
    tokens = trim(split.tokens[rows], model.clip).to(device)
    if split.text_taps is not None:
        taps = _read(split.text_taps, rows)
        if taps.dim() > 2:  # the last rows are the tokens', of which the batch is shorter than the split
            taps = taps[:, : taps.shape[1] - (split.tokens.shape[1] - tokens.shape[1])]
        taps = taps.to(device)
    elif not isinstance(model.method, SideMethod):
        return partial(model.encode_text, tokens, normalize=True)
    else:
        taps = model.tap_text(tokens)
    return partial(model.text_from_taps, taps, tokens, normalize=True)


def embed(
    model: AdaptedCLIP, backbone: Backbone, split: Prepared, device: torch.device, progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Normalised float32 embeddings of a split: images (N, d) and captions (M, d)."""
    images = embed_images(model, backbone, split, split.pixels_of, device, progress)
    return images.numpy(), embed_texts(model, split, split.tokens_of, device, progress).numpy()


def embed_images(model, backbone, split, rows, device, progress=False) -> torch.Tensor:
    """(B, d) on the CPU, of the distinct images at ``rows`` (B,), each encoded once."""
    return _embed(model, lambda some: image_encoder(model, backbone, split, some, device), rows, "images", progress)


def embed_texts(model, split, rows, device, progress=False) -> torch.Tensor:
    """(B, d) on the CPU, of the distinct captions at ``rows`` (B,), each encoded once."""
    return _embed(model, lambda some: text_encoder(model, split, some, device), rows, "captions", progress)


@torch.no_grad()
def _embed(model, encoder_of: Callable, rows: torch.Tensor, name: str, progress: bool) -> torch.Tensor:
    model.eval()
    used, row_of = rows.unique(return_inverse=True)
    batches = tqdm(used.split(ENCODE_BATCH), name, disable=not progress, unit="batch", mininterval=1)
    return torch.cat([encoder_of(batch)().cpu() for batch in batches])[row_of]


def distinct(items: Sequence) -> tuple[list[int], torch.Tensor]:
    """Where each distinct item first stands, and for every item the number of its distinct one."""
    number: dict = {}
    rows = [number.setdefault(item, len(number)) for item in items]
    first = {row: i for i, row in reversed(list(enumerate(rows)))}
    return [first[row] for row in range(len(number))], torch.tensor(rows)


def _read(taps: np.ndarray, rows: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.asarray(taps[rows.numpy()]))
