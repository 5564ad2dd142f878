"""A retrieval data set in memory: images, their captions and scene labels, in a training and a test split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from petl_core.files import sha256_of_all


@dataclass(frozen=True, eq=False)
class Split:
    """N images and their M captions; an image may have any number of captions, in train even none."""

    images: tuple[Path, ...]  # (N,)
    captions: tuple[str, ...]  # (M,) none blank
    image_of: np.ndarray  # (M,) int64, the index of each caption's image
    scenes: tuple[str | None, ...]  # (N,) "dense residential", or None if the data set names no scene
    blank_of: tuple[int, ...] = ()  # the image of each blank caption that was dropped while reading

    @property
    def blank(self) -> int:
        """How many blank captions were dropped while reading."""
        return len(self.blank_of)

    @property
    def captions_per_image(self) -> np.ndarray:
        """(N,) int64, how many captions each image has."""
        return np.bincount(self.image_of, minlength=len(self.images))

    def with_blank_captions(self) -> Split:
        """The split with the blank captions that were dropped, after the others."""
        image_of = np.concatenate([self.image_of, np.array(self.blank_of, dtype=np.int64)])
        return Split(self.images, (*self.captions, *[""] * self.blank), image_of, self.scenes)

    def subset(self, images: Sequence[int] | np.ndarray) -> Split:
        """Some of the images, in this order, with their captions, in their old order.

        Raises:
            IndexError: an index is out of range.
            ValueError: an index is repeated.
        """
        chosen = np.asarray(images, dtype=np.int64)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self.images):
            raise IndexError(f"image indices must be in 0 .. {len(self.images) - 1}")
        if len(np.unique(chosen)) != len(chosen):
            raise ValueError("an image index is repeated in the subset")
        new_index = np.full(len(self.images), -1, dtype=np.int64)
        new_index[chosen] = np.arange(len(chosen))
        kept = np.flatnonzero(new_index[self.image_of] >= 0)
        return Split(
            images=tuple(self.images[i] for i in chosen),
            captions=tuple(self.captions[j] for j in kept),
            image_of=new_index[self.image_of[kept]],
            scenes=tuple(self.scenes[i] for i in chosen),
            blank_of=tuple(int(new_index[i]) for i in self.blank_of if new_index[i] >= 0),
        )


@dataclass(frozen=True, eq=False)
class RetrievalData:
    """A data set's two splits, as released."""

    name: str
    root: Path  # the data set's own folder
    train: Split  # training + validation, as released
    test: Split

    def fingerprint(self) -> str:
        """Digest of file names, scenes, captions and splits; it depends neither on pixels nor on the folder's place."""
        content = [
            [[self.image_name(path) for path in split.images], split.scenes, split.captions, split.image_of.tolist()]
            for split in (self.train, self.test)
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def image_digest(self) -> str:
        """Digest of the content of all image files, in the order of the splits; cheap to compute again."""
        return sha256_of_all([*self.train.images, *self.test.images])

    def image_name(self, path: Path) -> str:
        """An image's name as the caption lists have it: its path inside the image folder, with forward slashes."""
        return "/".join(path.relative_to(self.root).parts[1:])


def split_validation(train: Split, fraction: float = 0.2, seed: int = 0) -> tuple[Split, Split]:
    """Split validation off a training split, by image: (training, validation), both in the order of the files.

    ``fraction`` counts captioned images; others always stay in training. The same seed holds out the same images.

    Raises:
        ValueError: the fraction is out of range, or there are too few images.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, not {fraction}")
    captioned = np.flatnonzero(train.captions_per_image)
    size = max(1, round(fraction * len(captioned)))
    if size >= len(captioned):
        raise ValueError(f"{len(captioned)} captioned images are too few to hold out {fraction:.0%} of them")
    held_out = np.random.default_rng(seed).permutation(captioned)[:size]
    rest = np.setdiff1d(np.arange(len(train.images)), held_out)
    return train.subset(rest), train.subset(np.sort(held_out))


def caption_key(caption: str) -> str:
    """What CLIP's tokeniser sees of a caption: lower case, white space collapsed.

    >>> caption_key(" Two  Ponds .") == caption_key("two ponds .")
    True
    """
    return " ".join(caption.lower().split())
