"""``index(folder, model)``: the images of a folder as embeddings on disk, made once and then kept up to date.

An image is known by its content: renaming or copying a file encodes nothing, and copies get one embedding.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import filelock
import numpy as np
import torch
from tqdm.auto import tqdm

from petl_core.adapters import AdaptedCLIP
from petl_core.data import DataError
from petl_core.files import sha256_cached
from petl_core.paths import resolve
from petl_core.search import models, reading
from petl_core.search.options import IndexOptions
from petl_core.search.scanning import Stamp, scan
from petl_core.search.store import TILE, File, Part, Store, Whole
from petl_core.search.tiles import Window, windows
from petl_core.training.encoding import ENCODE_BATCH
from petl_core.validation import ConfigError

FORMAT = 1  # raised whenever the same images would be read, cut or kept differently
TILES_PER_JOB = 32  # tiles of one image that a thread reads in one go
JOBS_AHEAD = 8  # such jobs that may wait for the encoder

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Index:
    """The images of a folder as embeddings; later calls of :func:`index` leave it as it is."""

    folder: Path
    options: IndexOptions
    embeddings: np.ndarray  # (R, d) float32, normalised, memory-mapped; in the order of paths, then of tiles
    tiles: np.ndarray  # (R,) records: content, x, y, width, height, lon, lat
    contents: dict[str, str]  # the digest of each image, by its path in the folder
    unreadable: dict[str, str]  # why, by path in the folder
    encoded: int  # tiles encoded by this call


def index(
    folder: str | Path,
    model: AdaptedCLIP,
    cache_root: str | Path = "runs/search",
    options: IndexOptions | None = None,
    progress: bool = True,
) -> Index:
    """The index of a folder: read if it is up to date; otherwise what is new or changed is encoded first.

    A killed call is taken up where it stopped. Another model, or other options, have an index of their own. Processes
    that ask for one index at once make it once.

    Args:
        folder: of images (JPEG, PNG, TIFF, GeoTIFF), at any depth.
        model: whose image tower encodes them.
        cache_root: folder of all indexes.
        options: how images are cut and stretched; the defaults of :class:`IndexOptions` if None.
        progress: show bars on stderr.

    Raises:
        ConfigError: no folder, no image that can be read, or rasters without rasterio.
        OSError: the disk is full.
    """
    folder, options = resolve(folder).resolve(), options or IndexOptions()
    about = {
        "format": FORMAT,
        "folder": str(folder),
        "model": models.fingerprint(model),
        "options": asdict(options),
    }
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    root = resolve(cache_root)
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / f".{name}.lock"), ThreadPoolExecutor() as pool:
        return _Work(folder, options, Store(root / name, about), pool, progress).run(model)


class _Looked(NamedTuple):
    """What was found out about a file."""

    content: str = ""  # digest
    source: reading.Source | None = None  # None where nothing is to be read
    reason: str = ""  # why it cannot be read


class _Tile(NamedTuple):
    """A tile, ready to be encoded."""

    record: tuple  # of TILE
    input: torch.Tensor  # (3, H, W)


@dataclass(frozen=True)
class _Work:
    """The making of an index."""

    folder: Path
    options: IndexOptions
    store: Store
    pool: ThreadPoolExecutor
    progress: bool

    def run(self, model: AdaptedCLIP) -> Index:
        # What there is, and what has changed since.
        stamps = scan(self.folder)
        whole = self.store.whole()
        known = whole.files if whole else {}
        looked = self._look_at_all(stamps, known)

        # Encode what is new, and keep it batch by batch: a kill then loses little.
        reasons: dict[str, str] = {}  # by content
        tiles = self._read_all(model, looked, reasons)
        encoded = 0
        while batch := list(islice(tiles, ENCODE_BATCH)):
            records = np.array([tile.record for tile in batch], dtype=TILE)
            self.store.add_part(records, models.embed(model, [tile.input for tile in batch]))
            encoded += len(batch)

        # Make a whole of it, unless it is one.
        parts = self.store.parts()
        embedded = {file.content for file in known.values()}.union(*(_contents(part) for part in parts))
        files, unreadable = {}, {}
        for path, found in looked.items():
            reason = found.reason or reasons.get(found.content, "")
            if reason or found.content not in embedded:
                unreadable[path] = reason or "holds no data"
            else:
                files[path] = File(stamps[path], found.content)
        if not files:
            path, reason = next(iter(unreadable.items()))
            raise ConfigError(f"{self.folder}: no image can be read; first {path}: {reason}")
        if whole is None or parts or files != known:
            order = _order(whole, parts, files)
            whole = self.store.publish([*([whole.part] if whole else []), *parts], order, files)
        contents = {path: file.content for path, file in files.items()}
        return Index(self.folder, self.options, whole.part.rows, whole.part.tiles, contents, unreadable, encoded)

    def _look_at_all(self, stamps: dict[str, Stamp], known: dict[str, File]) -> dict[str, _Looked]:
        """Every file, in order; only those are opened that are not known, or not by this stamp."""
        new = [path for path, stamp in stamps.items() if path not in known or known[path].stamp != stamp]
        look = partial(self._look, {file.content for file in known.values()})
        bar = tqdm(self.pool.map(look, new), "new files", len(new), disable=not (self.progress and new), unit="file")
        looked = dict(zip(new, bar, strict=True))
        return {path: looked[path] if path in looked else _Looked(known[path].content) for path in stamps}

    def _look(self, embedded: set[str], name: str) -> _Looked:
        path = self.folder / name
        try:
            content = sha256_cached(path)[:32]
            return _Looked(content, None if content in embedded else reading.look(path, self.options))
        except (OSError, DataError) as error:
            return _Looked(reason=_reason(path, error))

    def _read_all(self, model: AdaptedCLIP, looked: dict[str, _Looked], reasons: dict[str, str]) -> Iterator[_Tile]:
        """The tiles to be encoded, read ahead by threads; ``reasons`` is told what cannot be read."""
        done: set[tuple[str, int, int]] = set()  # by a call that was killed
        for part in self.store.parts():
            done.update((record["content"].decode(), int(record["x"]), int(record["y"])) for record in part.tiles)
        sources = {found.content: found.source for found in looked.values() if found.source}
        jobs = []
        for content, source in sources.items():
            cut = windows(source.width, source.height, self.options.tile, self.options.overlap)
            left = [window for window in cut if (content, window.x, window.y) not in done]
            jobs += [(content, source, left[i : i + TILES_PER_JOB]) for i in range(0, len(left), TILES_PER_JOB)]

        def read(job: tuple[str, reading.Source, list[Window]]) -> list[_Tile]:
            content, source, wanted = job
            return [
                _Tile((content, *window, *source.centre(window)), models.as_input(model, image))
                for window, image in zip(wanted, source.read(wanted), strict=True)
                if image is not None
            ]

        count = sum(len(wanted) for _, _, wanted in jobs)
        with tqdm(total=count, desc="tiles", disable=not (self.progress and count), unit="tile") as bar:
            for (content, source, wanted), future in _ahead(self.pool, read, jobs):
                try:
                    yield from future.result()
                except DataError as error:
                    reasons[content] = _reason(source.path, error)
                bar.update(len(wanted))


def _ahead(pool: ThreadPoolExecutor, function: Callable[[T], R], jobs: Iterable[T]) -> Iterator[tuple[T, Future[R]]]:
    """Each job in order with its result to be, some of them under way already; few, since results take memory."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    for job in jobs:
        waiting.append((job, pool.submit(function, job)))
        if len(waiting) > JOBS_AHEAD:
            yield waiting.popleft()
    yield from waiting


def _order(whole: Whole | None, parts: list[Part], files: dict[str, File]) -> np.ndarray:
    """The rows of the next whole index, counted over the last one and all parts: by path, then from top left."""
    tiles = np.concatenate([*([whole.part.tiles] if whole else []), *(part.tiles for part in parts)])
    distinct, number = np.unique(tiles["content"], return_inverse=True)
    place = {content: i for i, content in enumerate(dict.fromkeys(file.content for file in files.values()))}
    rank = np.array([place.get(content.decode(), -1) for content in distinct])[number]
    if whole:  # parts outlive the whole they went into where a kill came between
        twice = np.isin(tiles["content"], np.unique(whole.part.tiles["content"]))
        twice[: len(whole.part.tiles)] = False
        rank[twice] = -1
    kept = np.flatnonzero(rank >= 0)
    return kept[np.lexsort((tiles["x"][kept], tiles["y"][kept], rank[kept]))]


def _contents(part: Part) -> set[str]:
    return {content.decode() for content in np.unique(part.tiles["content"])}


def _reason(path: Path, error: Exception) -> str:
    return str(error).removeprefix(f"{path}: ")
