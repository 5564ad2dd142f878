"""A split as tensors, and the encoders that turn it into embeddings.

Copies of an image or caption are held once, so that they get identical embeddings.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from petl_core.adapters import AdaptedCLIP, SideMethod
from petl_core.backbone import Backbone, caption_lengths, trim
from petl_core.data import Split, caption_key, scene_labels

ENCODE_BATCH = 128

Encoder = Callable[[], torch.Tensor]  # () -> (B, d), the same inputs at each call


@dataclass(frozen=True)
class Inputs:
    """The inputs of a whole split: each distinct image as pixels or taps, each distinct caption as tokens."""

    tokens: torch.Tensor  # (distinct captions, length) long
    row_of_image: dict[Path, int]
    row_of_caption: dict[str, int]  # by caption_key
    pixels: np.ndarray | None = None  # (distinct images, 3, H, W) uint8; None if there are taps instead
    image_taps: np.ndarray | None = None  # (distinct images, ...) of a side method
    text_taps: np.ndarray | None = None  # (distinct captions, ...) of a side method, at the length of ``tokens``

    def part(self, split: Split, scene_template: str = "") -> "PreparedSplit":
        """The split of these inputs, or a part of it; with a template, its captions with scene labels, too."""
        labelled = None
        if scene_template:
            labelled = self._rows_of_captions(scene_labels.labelled_captions(split))
        return PreparedSplit(
            inputs=self,
            image_rows=torch.tensor([self.row_of_image[path] for path in split.images]),
            caption_rows=self._rows_of_captions(split.captions),
            image_of=torch.as_tensor(split.image_of),
            labelled_rows=labelled,
            scenes=split.scenes,
        )

    def _rows_of_captions(self, captions: Sequence[str]) -> torch.Tensor:
        return torch.tensor([self.row_of_caption[caption_key(caption)] for caption in captions])


@dataclass(frozen=True)
class PreparedSplit:
    """N images and M captions of a split, as rows of the inputs that hold them."""

    inputs: Inputs
    image_rows: torch.Tensor  # (N,) long: row of each image
    caption_rows: torch.Tensor  # (M,) long: row of each caption
    image_of: torch.Tensor  # (M,) long: each caption's image
    labelled_rows: torch.Tensor | None = None  # (M,) long: row of each caption with its scene label
    scenes: tuple[str | None, ...] = ()  # (N,) label of each image


def prepare(split: Split, backbone: Backbone, progress: bool = False, scene_template: str = "") -> PreparedSplit:
    """Decode and tokenise a split for a backbone; with a template, its captions with scene labels, too."""
    pixels = backbone.pixels(split.images, progress)
    first, rows = distinct([hashlib.sha256(image).digest() for image in pixels.numpy()])
    tokens, row_of_caption = tokenise(split, backbone, scene_template)
    row_of_image = dict(zip(split.images, rows.tolist(), strict=True))
    return Inputs(tokens, row_of_image, row_of_caption, pixels=pixels[first].numpy()).part(split, scene_template)


def tokenise(split: Split, backbone: Backbone, scene_template: str = "") -> tuple[torch.Tensor, dict[str, int]]:
    """Tokens (D, context) of a split's distinct captions, labelled ones included, and the row of each by its key."""
    captions = captions_of(split, scene_template)
    keys = [caption_key(caption) for caption in captions]
    first, rows = distinct(keys)
    return backbone.tokens([captions[i] for i in first]), dict(zip(keys, rows.tolist(), strict=True))


def captions_of(split: Split, scene_template: str = "") -> list[str]:
    """A split's captions; with a template, followed by its captions with scene labels."""
    return [*split.captions, *(scene_labels.labelled_captions(split) if scene_template else ())]


def image_encoder(model: AdaptedCLIP, split: PreparedSplit, rows: torch.Tensor) -> Encoder:
    """Encodes the distinct images ``rows`` (B,) at each call, (B, d) normalised; a side method's tower runs once."""
    if split.inputs.image_taps is not None:
        taps = _read(split.inputs.image_taps, rows).to(model.device)
    else:
        images = model.backbone.normalise(_read(split.inputs.pixels, rows).to(model.device))
        if not isinstance(model.method, SideMethod):
            return partial(model.encode_image, images, normalize=True)
        taps = model.tap_image(images)
    return partial(model.image_from_taps, taps, normalize=True)


def text_encoder(model: AdaptedCLIP, split: PreparedSplit, rows: torch.Tensor) -> Encoder:
    """Encodes the distinct captions ``rows`` (B,) at each call, (B, d) normalised; a side method's tower runs once."""
    tokens = trim(split.inputs.tokens[rows], model.clip).to(model.device)
    if split.inputs.text_taps is not None:
        taps = _read(split.inputs.text_taps, rows)
        if taps.dim() > 2:  # the last rows are the tokens', and the batch is shorter than the split
            taps = taps[:, : taps.shape[1] - (split.inputs.tokens.shape[1] - tokens.shape[1])]
        taps = taps.to(model.device)
    elif not isinstance(model.method, SideMethod):
        return partial(model.encode_text, tokens, normalize=True)
    else:
        taps = model.tap_text(tokens)
    return partial(model.text_from_taps, taps, tokens, normalize=True)


def embed(model: AdaptedCLIP, split: PreparedSplit, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Normalised float32 embeddings of a split: images (N, d) and captions (M, d)."""
    images = embed_images(model, split, split.image_rows, progress)
    return images.numpy(), embed_texts(model, split, split.caption_rows, progress).numpy()


def embed_images(model: AdaptedCLIP, split: PreparedSplit, rows: torch.Tensor, progress: bool = False) -> torch.Tensor:
    """(B, d) on the CPU, of the distinct images at ``rows`` (B,), each encoded once."""
    used = rows.unique()
    embedded = _embed(partial(image_encoder, model, split), model, used, "images" if progress else "")
    return embedded[_places(used, rows)]


def embed_texts(model: AdaptedCLIP, split: PreparedSplit, rows: torch.Tensor, progress: bool = False) -> torch.Tensor:
    """(B, d) on the CPU, of the distinct captions at ``rows`` (B,), each encoded once."""
    used = rows.unique()
    lengths = caption_lengths(split.inputs.tokens[used], model.clip)
    used = used[lengths.argsort(stable=True)]  # captions of similar length share a batch and need little padding
    embedded = _embed(partial(text_encoder, model, split), model, used, "captions" if progress else "")
    return embedded[_places(used, rows)]


def embed_captions(model: AdaptedCLIP, captions: Sequence[str]) -> np.ndarray:
    """(M, d) normalised float32 embeddings of any captions; copies get identical ones."""
    prepared = prepare_captions(model, captions)
    return embed_texts(model, prepared, prepared.caption_rows).numpy()


def prepare_captions(model: AdaptedCLIP, captions: Sequence[str]) -> PreparedSplit:
    """Any captions, tokenised for a model; a split without images."""
    first, rows = distinct([caption_key(caption) for caption in captions])
    tokens = model.backbone.tokens([captions[i] for i in first])
    return PreparedSplit(Inputs(tokens, {}, {}), image_rows=rows[:0], caption_rows=rows, image_of=rows[:0])


def distinct(items: Sequence) -> tuple[list[int], torch.Tensor]:
    """Where each distinct item first appears, and for every item the number of its distinct one.

    >>> distinct(["a", "b", "a"])
    ([0, 1], tensor([0, 1, 0]))
    """
    number: dict = {}
    first = []
    for i, item in enumerate(items):
        if item not in number:
            number[item] = len(number)
            first.append(i)
    return first, torch.tensor([number[item] for item in items])


@torch.no_grad()
def _embed(
    encoder_of: Callable[[torch.Tensor], Encoder], model: AdaptedCLIP, used: torch.Tensor, bar: str
) -> torch.Tensor:
    """(U, d) embeddings of the rows ``used`` (U,), in their order."""
    model.eval()
    batches = tqdm(used.split(ENCODE_BATCH), bar, disable=not bar, unit="batch", mininterval=1)
    return torch.cat([encoder_of(batch)().cpu() for batch in batches])


def _places(used: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The place of each of ``rows`` (B,) in ``used`` (U,), whose numbers are distinct."""
    order = used.argsort()
    return order[torch.searchsorted(used[order], rows)]


def _read(array: np.ndarray, rows: torch.Tensor) -> torch.Tensor:
    """Rows (B,) of an array, which may be memory-mapped, as a new tensor."""
    return torch.from_numpy(np.asarray(array[rows.numpy()]))
