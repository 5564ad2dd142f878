"""``Gallery``: images to search by text or by image, from your own folder or a data set's split::

    gallery = Gallery.of_folder("imagery", models.of_run("runs/HASH"))
    hits = gallery.search_text("a harbor with many boats", k=5)
    gallery.picture(hits[0])
    gallery.search_image(hits[0].path, k=5, window=hits[0].window)

A relative path starts at the project's root.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from petl_core.adapters import AdaptedCLIP
from petl_core.data import Split, caption_key, read_image
from petl_core.data.images import Window
from petl_core.errors import ConfigError
from petl_core.files import resolve
from petl_core.inputs import embed_captions, embed_image_rows, prepare
from petl_core.search import models
from petl_core.search.index import index
from petl_core.search.options import IndexOptions


class Hit(NamedTuple):
    """An image, or a window of it, that a query finds."""

    path: Path
    score: float  # cosine of its embedding and the query's
    window: Window | None = None  # None: the whole image
    lon: float | None = None  # of the window's centre, in degrees; None if not known
    lat: float | None = None
    scene: str | None = None
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gallery:
    """Images as embeddings of one model, ready to be searched.

    Attributes:
        model: which made the embeddings and encodes the queries.
        embeddings: (R, d) float32, normalised.
        hits_of: row and its score -> the images, or windows, that it is the embedding of; several if there are copies.
        options: how image files are read.
        unreadable: files that are left out, and why.
        skipped: images of kinds that are not read: how many, by suffix.
        encoded: how many embeddings were new.
    """

    model: AdaptedCLIP
    embeddings: np.ndarray
    hits_of: Callable[[int, float], list[Hit]]
    options: IndexOptions = field(default_factory=IndexOptions)
    unreadable: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    encoded: int = 0

    @classmethod
    def of_folder(
        cls,
        folder: str | Path,
        model: AdaptedCLIP,
        cache_root: str | Path = "runs/search",
        options: IndexOptions | None = None,
        progress: bool = True,
    ) -> "Gallery":
        """The images of a folder; arguments and errors are those of :func:`petl_core.search.index.index`."""
        options = options or IndexOptions()
        made = index(folder, model, cache_root, options, progress)
        paths: dict[bytes, list[Path]] = {}
        for path, content in made.contents.items():
            paths.setdefault(content.encode(), []).append(made.folder / path)

        def hits_of(row: int, score: float) -> list[Hit]:
            content, x, y, width, height, lon, lat, _ = made.rows[row].item()
            place = (None, None) if isnan(lon) else (lon, lat)
            return [Hit(path, score, Window(x, y, width, height), *place) for path in paths[content]]

        embeddings = made.rows["embedding"]
        return cls(model, embeddings, hits_of, options, made.unreadable, made.skipped, made.encoded)

    @classmethod
    def of_split(
        cls, split: Split, model: AdaptedCLIP, progress: bool = True, cache_root: str | Path = "runs/cache"
    ) -> "Gallery":
        """The images of a data set's whole split, with their scenes and captions."""
        prepared = prepare(split, model, resolve(cache_root), progress=progress).part(split)
        rows = torch.arange(int(prepared.image_rows.max()) + 1)
        row_of = prepared.image_rows.numpy()  # (N,) the row of each image

        def hits_of(row: int, score: float) -> list[Hit]:
            return [
                Hit(
                    split.images[image],
                    score,
                    scene=split.scenes[image],
                    captions=tuple(split.captions[i] for i in np.flatnonzero(split.image_of == image)),
                )
                for image in np.flatnonzero(row_of == row)
            ]

        embeddings = embed_image_rows(model, prepared, rows).numpy()
        return cls(model, embeddings, hits_of, encoded=len(rows))

    def search_text(self, query: str, k: int = 10) -> list[Hit]:
        """The k best images, or windows, for a text, best first; a ConfigError for an empty text, or k < 1."""
        if not query.strip():
            raise ConfigError("the query is empty; say what to look for")
        return self.nearest_to(embed_captions(self.model, [query])[0], k)

    def search_image(self, path: str | Path, k: int = 10, window: Window | None = None) -> list[Hit]:
        """The k images, or windows, most like an image file or a window of it, best first.

        Raises:
            ConfigError: k < 1.
            petl_core.data.DataError: the file cannot be read.
        """
        picture = read_image(resolve(path), self.options, window)
        return self.nearest_to(models.embed_picture(self.model, picture), k)

    def nearest_to(self, query: np.ndarray, k: int = 10) -> list[Hit]:
        """The k images, or windows, nearest to an embedding (d,), best first; a ConfigError for k < 1."""
        if k < 1:
            raise ConfigError(f"k = {k!r} must be at least 1")
        return [hit for row, score in nearest(self.embeddings, query, k) for hit in self.hits_of(row, score)][:k]

    def picture(self, hit: Hit) -> Image.Image:
        """What a hit shows, as RGB."""
        return read_image(hit.path, self.options, hit.window)


@dataclass(frozen=True)
class Captions:
    """Distinct captions (T,) and their normalised embeddings (T, d) float32, searched by image."""

    texts: tuple[str, ...]
    embeddings: np.ndarray

    @classmethod
    def of(cls, captions: Sequence[str], model: AdaptedCLIP) -> "Captions":
        """Any captions, each encoded once."""
        first = {caption_key(caption): caption for caption in reversed(captions)}
        texts = tuple(first[key] for key in dict.fromkeys(caption_key(caption) for caption in captions))
        return cls(texts, embed_captions(model, texts))

    def nearest_to(self, query: np.ndarray, k: int = 10) -> list[tuple[str, float]]:
        """The k captions nearest to an embedding (d,), best first, with their cosines."""
        return [(self.texts[row], score) for row, score in nearest(self.embeddings, query, k)]


def nearest(rows: np.ndarray, query: np.ndarray, k: int) -> list[tuple[int, float]]:
    """The k rows (R, d) of highest scalar product with a query (d,), and that product, best first."""
    best = (torch.from_numpy(np.asarray(rows)) @ torch.from_numpy(query)).topk(min(k, len(rows)))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
