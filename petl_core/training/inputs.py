"""Inputs of a whole split from the cache: pixels for any method, taps for a side method, which then runs no tower.

Seeds share them, as they train on parts of one split. Taps are stored in float16, which is exact to 1 part in 2,048
from 6e-5 to 65,504, eight times better than bfloat16; losses of training from taps agree with those of training from
pixels to 1e-3.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from petl_core.adapters import AdaptedCLIP
from petl_core.backbone import Backbone, input_dtype, trim
from petl_core.data import Split, caption_key
from petl_core.errors import ConfigError
from petl_core.files import sha256_of_all
from petl_core.training.cache import Rows, load_or_make
from petl_core.training.encoding import ENCODE_BATCH, Inputs, captions_of, distinct, tokenise

FORMAT = 2  # raised whenever the same inputs would be read or laid out differently
HALF = np.dtype("<f2")
SAMPLE = 64  # captions whose tokens distinguish tokenizers of one class


def cached_pixels(
    split: Split, backbone: Backbone, root: Path, progress: bool = False, scene_template: str = ""
) -> Inputs:
    """A whole training or test split as a backbone's inputs: images, decoded and resized once, and captions.

    Args:
        split: whole; parts of it are taken from the result.
        backbone: gives the preprocessing and the tokenizer.
        root: folder of the cache.
        progress: show bars on stderr.
        scene_template: also tokenise each caption with its scene label.

    Raises:
        petl_core.data.DataError: an image cannot be read.
        OSError: naming folder, need and free space when the disk is too small.
    """

    def decode() -> Rows:
        pixels = backbone.pixels(split.images, progress).numpy()
        first, rows = distinct([hashlib.sha256(image).digest() for image in pixels])
        chunks = (pixels[first[i : i + ENCODE_BATCH]] for i in range(0, len(first), ENCODE_BATCH))
        return Rows(rows.numpy(), chunks)

    pixels, row_of = load_or_make(root, _image_inputs(split, backbone), decode)
    tokens, row_of_caption = cached_tokens(split, backbone, root, scene_template)
    return Inputs(tokens, dict(zip(split.images, row_of.tolist(), strict=True)), row_of_caption, pixels=pixels)


def cached_tokens(
    split: Split, backbone: Backbone, root: Path, scene_template: str = ""
) -> tuple[torch.Tensor, dict[str, int]]:
    """The result of :func:`petl_core.training.encoding.tokenise`, computed once."""
    captions = captions_of(split, scene_template)
    tokenizer = backbone.tokenizer
    inputs = {
        "format": FORMAT,
        "captions": hashlib.sha256("\n".join(captions).encode()).hexdigest(),
        "tokenizer": type(tokenizer).__name__,
        "name": getattr(getattr(tokenizer, "tokenizer", None), "name_or_path", ""),  # Hugging Face's
        "sample": _digest(backbone.tokens(captions[:SAMPLE])),
    }

    def make() -> Rows:
        tokens, row_of_caption = tokenise(split, backbone, scene_template)
        return Rows(np.array([row_of_caption[caption_key(caption)] for caption in captions]), [tokens.numpy()])

    tokens, row_of = load_or_make(root, inputs, make)
    rows = {caption_key(caption): row for caption, row in zip(captions, row_of.tolist(), strict=True)}
    return torch.from_numpy(np.array(tokens)), rows


def cached_taps(split: Split, model: AdaptedCLIP, root: Path, progress: bool = False) -> Inputs:
    """The taps of a whole training or test split for ``model``, which has a side method.

    Args:
        split: whole; parts of it are taken from the result.
        model: only what its method taps matters, not what it has learned.
        root: folder of the cache.
        progress: show bars on stderr.

    Raises:
        ConfigError: a tap is too large for half precision.
        OSError: naming folder, need and free space when the disk is too small.
    """
    backbone = model.backbone
    tokens, row_of_caption = cached_tokens(split, backbone, root)
    tokens = trim(tokens, model.clip)
    tower = {
        "backbone": model.backbone_fingerprint,
        "precision": str(input_dtype(model.clip)),
    }
    specs = model.method.tap_specs

    def tap_images() -> Rows:
        pixels = cached_pixels(split, backbone, root, progress)
        row_of = np.array([pixels.row_of_image[path] for path in split.images])

        def tap(rows: torch.Tensor) -> torch.Tensor:
            return model.tap_image(backbone.normalise(torch.from_numpy(pixels.pixels[rows.numpy()]).to(model.device)))

        return Rows(row_of, _in_chunks(tap, len(pixels.pixels), progress))

    def tap_texts() -> Rows:
        def tap(rows: torch.Tensor) -> torch.Tensor:
            return model.tap_text(tokens[rows].to(model.device))

        return Rows(np.arange(len(tokens)), _in_chunks(tap, len(tokens), progress))

    image_inputs = {**tower, **_image_inputs(split, backbone), "taps": specs["image"]}
    text_inputs = {**tower, "format": FORMAT, "tokens": _digest(tokens), "taps": specs["text"]}
    image_taps, row_of_image = load_or_make(root, image_inputs, tap_images)
    text_taps, _ = load_or_make(root, text_inputs, tap_texts)
    rows = dict(zip(split.images, row_of_image.tolist(), strict=True))
    return Inputs(tokens, rows, row_of_caption, image_taps=image_taps, text_taps=text_taps)


def _image_inputs(split: Split, backbone: Backbone) -> dict:
    """What pixels depend on: the bytes of the images and the transform, but not names and folders."""
    return {
        "format": FORMAT,
        "images": sha256_of_all(split.images),
        "preprocessing": backbone.preprocessing,
    }


def _in_chunks(tap: Callable[[torch.Tensor], torch.Tensor], count: int, progress: bool) -> Iterator[np.ndarray]:
    batches = torch.arange(count).split(ENCODE_BATCH)
    for rows in tqdm(batches, "features", disable=not progress, unit="batch", mininterval=1):
        yield _half(tap(rows))


def _half(taps: torch.Tensor) -> np.ndarray:
    half = taps.to("cpu", torch.float16)
    if not half.isfinite().all():
        largest = taps.abs().max().item()
        raise ConfigError(f"features reach {largest:.3g}, too large for half precision; set cache_features = False")
    return half.numpy().astype(HALF, copy=False)


def _digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(f"{tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes()).hexdigest()
