"""``Gallery``: images to search by text or by image, from your own folder or a data set's split::

    gallery = Gallery.of_folder("imagery", models.of_run("runs/HASH"))
    hits = gallery.search_text("a harbor with many boats", k=5)
    gallery.picture(hits[0])
    gallery.search_image(hits[0].path, k=5, window=hits[0].window)

A relative path starts at the project's root.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from petl_core.adapters import AdaptedCLIP
from petl_core.data import Split
from petl_core.errors import ConfigError
from petl_core.files import resolve
from petl_core.search import models, reading
from petl_core.search.exact import nearest
from petl_core.search.index import Index, index
from petl_core.search.options import IndexOptions
from petl_core.search.tiles import Window
from petl_core.training import encoding
from petl_core.parameters import require_at_least


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
        encoded: how many embeddings were new.
    """

    model: AdaptedCLIP
    embeddings: np.ndarray
    hits_of: Callable[[int, float], list[Hit]]
    options: IndexOptions = field(default_factory=IndexOptions)
    unreadable: dict[str, str] = field(default_factory=dict)
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
        made = index(folder, model, cache_root, options, progress)
        return cls(model, made.embeddings, _FolderHits(made), made.options, made.unreadable, made.encoded)

    @classmethod
    def of_split(cls, split: Split, model: AdaptedCLIP, progress: bool = True) -> "Gallery":
        """The images of a data set's split, with their scenes and captions."""
        prepared = encoding.prepare(split, model.backbone, progress)
        rows = torch.arange(int(prepared.image_rows.max()) + 1)
        embeddings = encoding.embed_images(model, prepared, rows, progress).numpy()
        return cls(model, embeddings, _SplitHits(split, prepared.image_rows.numpy()), encoded=len(rows))

    def search_text(self, query: str, k: int = 10) -> list[Hit]:
        """The k best images, or windows, for a text, best first.

        Raises:
            ConfigError: an empty text, or k < 1.
        """
        if not query.strip():
            raise ConfigError("the query is empty; say what to look for")
        return self.nearest_to(encoding.embed_captions(self.model, [query])[0], k)

    def search_image(self, path: str | Path, k: int = 10, window: Window | None = None) -> list[Hit]:
        """The k images, or windows, most like an image file or a window of it, best first.

        Raises:
            ConfigError: k < 1.
            petl_core.data.DataError: the file cannot be read.
        """
        image = reading.read_whole(resolve(path), self.options, window)
        return self.nearest_to(models.embed_picture(self.model, image), k)

    def nearest_to(self, query: np.ndarray, k: int = 10) -> list[Hit]:
        """The k images, or windows, nearest to an embedding (d,), best first.

        Raises:
            ConfigError: k < 1.
        """
        require_at_least(1, k=k)
        found = zip(*nearest(self.embeddings, query, k), strict=True)
        return [hit for row, score in found for hit in self.hits_of(int(row), float(score))][:k]

    def picture(self, hit: Hit) -> Image.Image:
        """What a hit shows, as RGB."""
        return reading.read_whole(hit.path, self.options, hit.window)


class _FolderHits:
    """The images that the rows of an index belong to."""

    def __init__(self, made: Index):
        self._tiles = made.tiles
        self._paths: dict[bytes, list[Path]] = {}
        for path, content in made.contents.items():
            self._paths.setdefault(content.encode(), []).append(made.folder / path)

    def __call__(self, row: int, score: float) -> list[Hit]:
        content, x, y, width, height, lon, lat = self._tiles[row].item()
        place = (None, None) if isnan(lon) else (lon, lat)
        return [Hit(path, score, Window(x, y, width, height), *place) for path in self._paths[content]]


class _SplitHits:
    """The images that the rows of an embedded split belong to."""

    def __init__(self, split: Split, row_of: np.ndarray):
        self._split = split
        self._row_of = row_of  # (N,) the row of each image

    def __call__(self, row: int, score: float) -> list[Hit]:
        return [self._hit(int(image), score) for image in np.flatnonzero(self._row_of == row)]

    def _hit(self, image: int, score: float) -> Hit:
        captions = tuple(self._split.captions[i] for i in np.flatnonzero(self._split.image_of == image))
        return Hit(self._split.images[image], score, scene=self._split.scenes[image], captions=captions)
