"""``index(folder, model)``: the images of a folder as embeddings on disk, made once and then kept up to date.

An image is identified by its content: renaming or copying a file encodes nothing, and copies share one embedding.
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
from petl_core.errors import ConfigError
from petl_core.files import resolve, sha256_cached
from petl_core.search import models, reading
from petl_core.search.options import IndexOptions
from petl_core.search.scanning import Stamp, scan
from petl_core.search.store import TILE, EmbeddedTiles, File, Snapshot, Store
from petl_core.search.tiles import Window, windows
from petl_core.training.encoding import ENCODE_BATCH

FORMAT = 1  # raised whenever the same images would be read, cut or stored differently
TILES_PER_JOB = 32  # tiles of one image that a thread reads at once
JOBS_AHEAD = 8  # such jobs that may wait for the encoder

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Index:
    """The images of a folder as embeddings; later calls of :func:`index` do not change it."""

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
    """The index of a folder: read if it is up to date; otherwise new and changed images are encoded first.

    After a kill, the next call resumes. Each model and each set of options has its own index. Processes that want the
    same index at the same time make it once.

    Args:
        folder: of images (JPEG, PNG, TIFF, GeoTIFF), at any depth.
        model: whose image tower encodes them.
        cache_root: folder of all indexes.
        options: how images are cut and stretched; the defaults of :class:`IndexOptions` if None.
        progress: show bars on stderr.

    Raises:
        ConfigError: not a folder, no image that can be read, or rasters without rasterio.
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
        return _Indexer(folder, options, Store(root / name, about), pool, progress).run(model)


class _Probe(NamedTuple):
    """What is known about a file before its pixels are read."""

    content: str = ""  # digest
    source: reading.Source | None = None  # None if it need not, or cannot, be read
    reason: str = ""  # why it cannot be read


class _Tile(NamedTuple):
    """A tile, ready to be encoded."""

    record: tuple  # of TILE
    input: torch.Tensor  # (3, H, W)


@dataclass(frozen=True)
class _Indexer:
    """Brings an index up to date."""

    folder: Path
    options: IndexOptions
    store: Store
    pool: ThreadPoolExecutor
    progress: bool

    def run(self, model: AdaptedCLIP) -> Index:
        # Find out what has changed since the last snapshot.
        stamps = scan(self.folder)
        snapshot = self.store.snapshot()
        known = snapshot.files if snapshot else {}
        probes = self._probe_all(stamps, known)

        # Encode what is new, and store each batch: a kill then loses little.
        reasons: dict[str, str] = {}  # by content
        tiles = self._read_all(model, probes, reasons)
        encoded = 0
        while batch := list(islice(tiles, ENCODE_BATCH)):
            records = np.array([tile.record for tile in batch], dtype=TILE)
            self.store.add_batch(records, models.embed(model, [tile.input for tile in batch]))
            encoded += len(batch)

        # Separate the files that have an embedding from those that cannot be read.
        batches = self.store.batches()
        embedded = {file.content for file in known.values()}.union(*(_contents(batch) for batch in batches))
        files, unreadable = {}, {}
        for path, probe in probes.items():
            reason = probe.reason or reasons.get(probe.content, "")
            if reason or probe.content not in embedded:
                unreadable[path] = reason or "holds no data"
            else:
                files[path] = File(stamps[path], probe.content)
        if not files:
            path, reason = next(iter(unreadable.items()))
            raise ConfigError(f"{self.folder}: no image can be read; first {path}: {reason}")

        # Publish a new snapshot, unless the last one is still right.
        if snapshot is None or batches or files != known:
            order = _order(snapshot, batches, files)
            snapshot = self.store.publish([*([snapshot.embedded] if snapshot else []), *batches], order, files)
        contents = {path: file.content for path, file in files.items()}
        rows, records = snapshot.embedded.rows, snapshot.embedded.tiles
        return Index(self.folder, self.options, rows, records, contents, unreadable, encoded)

    def _probe_all(self, stamps: dict[str, Stamp], known: dict[str, File]) -> dict[str, _Probe]:
        """Every file, in order; only files that are new, or whose stamp has changed, are opened."""
        new = [path for path, stamp in stamps.items() if path not in known or known[path].stamp != stamp]
        probe = partial(self._probe, {file.content for file in known.values()})
        bar = tqdm(self.pool.map(probe, new), "new files", len(new), disable=not (self.progress and new), unit="file")
        probed = dict(zip(new, bar, strict=True))
        return {path: probed[path] if path in probed else _Probe(known[path].content) for path in stamps}

    def _probe(self, embedded: set[str], name: str) -> _Probe:
        path = self.folder / name
        try:
            content = sha256_cached(path)[:32]
            return _Probe(content, None if content in embedded else reading.probe(path, self.options))
        except (OSError, DataError) as error:
            return _Probe(reason=_reason(path, error))

    def _read_all(self, model: AdaptedCLIP, probes: dict[str, _Probe], reasons: dict[str, str]) -> Iterator[_Tile]:
        """The tiles to be encoded, prefetched by threads; why an image cannot be read is added to ``reasons``."""
        done: set[tuple[str, int, int]] = set()  # by a call that was killed
        for batch in self.store.batches():
            done.update((record["content"].decode(), int(record["x"]), int(record["y"])) for record in batch.tiles)
        sources = {probe.content: probe.source for probe in probes.values() if probe.source}
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
            for (content, source, wanted), future in _prefetch(self.pool, read, jobs):
                try:
                    yield from future.result()
                except DataError as error:
                    reasons[content] = _reason(source.path, error)
                bar.update(len(wanted))


def _prefetch(pool: ThreadPoolExecutor, function: Callable[[T], R], jobs: Iterable[T]) -> Iterator[tuple[T, Future[R]]]:
    """Each job, in order, with its future; only a few jobs run ahead, since results take memory."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    for job in jobs:
        waiting.append((job, pool.submit(function, job)))
        if len(waiting) > JOBS_AHEAD:
            yield waiting.popleft()
    yield from waiting


def _order(snapshot: Snapshot | None, batches: list[EmbeddedTiles], files: dict[str, File]) -> np.ndarray:
    """The rows of the next snapshot, counted over the last one and all batches: by path, then from top left."""
    # Rank each image by the first path that has its content; -1 for images that are gone.
    tiles = np.concatenate([*([snapshot.embedded.tiles] if snapshot else []), *(batch.tiles for batch in batches)])
    contents = dict.fromkeys(file.content for file in files.values())
    rank_of = {content: rank for rank, content in enumerate(contents)}
    distinct, number = np.unique(tiles["content"], return_inverse=True)
    rank = np.array([rank_of.get(content.decode(), -1) for content in distinct])[number]

    # Drop batches that are in the snapshot already: a kill came before they were removed.
    if snapshot:
        repeated = np.isin(tiles["content"], np.unique(snapshot.embedded.tiles["content"]))
        repeated[: len(snapshot.embedded.tiles)] = False
        rank[repeated] = -1

    # Sort what is left.
    kept = np.flatnonzero(rank >= 0)
    return kept[np.lexsort((tiles["x"][kept], tiles["y"][kept], rank[kept]))]


def _contents(batch: EmbeddedTiles) -> set[str]:
    return {content.decode() for content in np.unique(batch.tiles["content"])}


def _reason(path: Path, error: Exception) -> str:
    return str(error).removeprefix(f"{path}: ")
