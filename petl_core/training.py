"""One epoch of training and one pass of encoding, over a split that was decoded and tokenised once."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from tqdm import tqdm

from petl_core import losses
from petl_core.adapters import AdaptedCLIP
from petl_core.backbone import Backbone, token_dropout, trim
from petl_core.config import RunConfig
from petl_core.data import Split, caption_key

ENCODE_BATCH = 128


@dataclass(frozen=True)
class Prepared:
    """A split as tensors. Copies of an image or caption are held once, so that they get identical embeddings."""

    pixels: torch.Tensor  # (distinct images, 3, H, W) uint8
    tokens: torch.Tensor  # (distinct captions, context) long
    pixels_of: torch.Tensor  # (N,) long: row of each image
    tokens_of: torch.Tensor  # (M,) long: row of each caption
    image_of: torch.Tensor  # (M,) long: each caption's image


def prepare(split: Split, backbone: Backbone, progress: bool = False) -> Prepared:
    """Decode and tokenise a split for a backbone."""
    pixels = backbone.pixels(split.images, progress)
    first_image, pixels_of = _distinct([image.numpy().tobytes() for image in pixels])
    first_caption, tokens_of = _distinct([caption_key(caption) for caption in split.captions])
    return Prepared(
        pixels=pixels[first_image],
        tokens=backbone.tokens([split.captions[i] for i in first_caption]),
        pixels_of=pixels_of,
        tokens_of=tokens_of,
        image_of=torch.as_tensor(split.image_of),
    )


def train_epoch(
    model: AdaptedCLIP,
    backbone: Backbone,
    train: Prepared,
    config: RunConfig,
    optimizer,
    epoch: int,
    device: torch.device,
    progress: bool = False,
) -> dict[str, float]:
    """Train for epoch 1, 2, ...; returns the mean of each loss term over the epoch's steps.

    Order and dropout depend on the seed and the epoch alone, so a resumed run repeats an uninterrupted one.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(config.seed * 1_000_003 + epoch)
    model.train()
    batches = list(epoch_batches(train, config.batch_size, config.pairs, config.seed, epoch))
    sums: dict[str, float] = {}
    bar = tqdm(batches, f"epoch {epoch}/{config.epochs}", disable=not progress, unit="step", mininterval=1)
    for step, rows in enumerate(bar):
        rate = learning_rate(config, epoch - 1 + step / len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        terms = batch_loss(model, backbone, train, rows, config, device)
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
) -> dict[str, torch.Tensor]:
    """The HMMC terms and their total for the captions ``rows`` (B,) and their images."""
    image_rows = train.pixels_of[train.image_of[rows]]
    caption_rows = train.tokens_of[rows]
    images = backbone.normalise(train.pixels[image_rows].to(device))
    tokens = trim(train.tokens[caption_rows]).to(device)
    v = model.encode_image(images, normalize=True)  # (B, d)
    t = model.encode_text(tokens, normalize=True)
    with token_dropout(model.clip, config.view_dropout):
        v_view = model.encode_image(images, normalize=True) if config.w_image else None
        t_view = model.encode_text(tokens, normalize=True) if config.w_text else None
    exclude = losses.false_negatives(image_rows, caption_rows) if config.mask_false_negatives else {}
    return losses.hmmc(
        v, t, v_view, t_view,
        contrast=contrast(model, config),
        weights=(config.w_cross, config.w_image, config.w_text),
        exclude={name: mask.to(device) for name, mask in exclude.items()},
    )  # fmt: skip


def contrast(model: AdaptedCLIP, config: RunConfig):
    """The configured contrast of two batches of embeddings."""
    if config.contrast == "triplet":
        return partial(losses.triplet, margin=config.margin)
    temperature = 1 / model.clip.logit_scale.exp() if config.learn_temperature else config.temperature
    return partial(losses.infonce, temperature=temperature)


@torch.no_grad()
def embed(
    model: AdaptedCLIP, backbone: Backbone, split: Prepared, device: torch.device, progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Normalised float32 embeddings of a split: images (N, d) and captions (M, d)."""
    model.eval()

    def encode(encoder, rows: torch.Tensor, name: str) -> torch.Tensor:
        batches = tqdm(rows.split(ENCODE_BATCH), name, disable=not progress, unit="batch", mininterval=1)
        return torch.cat([encoder(batch).cpu() for batch in batches])

    images = encode(
        lambda batch: model.encode_image(backbone.normalise(batch.to(device)), normalize=True),
        split.pixels,
        "images",
    )
    texts = encode(lambda batch: model.encode_text(trim(batch).to(device), normalize=True), split.tokens, "captions")
    return images[split.pixels_of].numpy(), texts[split.tokens_of].numpy()


def _distinct(items: Sequence) -> tuple[list[int], torch.Tensor]:
    """Where each distinct item first stands, and for every item the number of its distinct one."""
    number: dict = {}
    rows = [number.setdefault(item, len(number)) for item in items]
    first = {row: i for i, row in reversed(list(enumerate(rows)))}
    return [first[row] for row in range(len(number))], torch.tensor(rows)
