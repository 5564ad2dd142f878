"""An index on disk: batches as they are encoded, and a snapshot made of them.

    about.json            what the index is of: its digest names the folder
    parts/1.rows.npy      a batch: (B, d) float32 embeddings
    parts/1.tiles.npy     (B,) the tiles they are embeddings of; written last: once it exists, the batch counts
    whole-1/rows.bin      a snapshot: (R, d) float32, every embedding
    whole-1/tiles.npy     (R,) the tiles they are embeddings of
    whole-1/files.json    shape (R, d), and the stamp and content of every file

A snapshot is written to a temporary folder and renamed when complete; older ones and its batches are then removed. So a
killed process leaves the last snapshot, if there was one, and the batches encoded since.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from petl_core.files import read_json, write_atomically, write_json
from petl_core.search.scanning import Stamp

log = logging.getLogger(__name__)

TILE = np.dtype(
    [
        ("content", "S32"),
        ("x", "<i4"),
        ("y", "<i4"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("lon", "<f8"),
        ("lat", "<f8"),
    ]
)
CHUNK = 4096  # rows copied at once


class File(NamedTuple):
    """A file as it was when its content was read."""

    stamp: Stamp
    content: str  # digest: TILE's content, as text


class EmbeddedTiles(NamedTuple):
    """Tiles and their embeddings."""

    tiles: np.ndarray  # (R,) TILE
    rows: np.ndarray  # (R, d) float32, memory-mapped


class Snapshot(NamedTuple):
    """A complete index."""

    embedded: EmbeddedTiles
    files: dict[str, File]  # by path in the folder


class Store:
    """The folder of an index.

    Args:
        folder: is made if it does not exist.
        about: what the index is of, as JSON.
    """

    def __init__(self, folder: Path, about: dict):
        self._folder = folder
        self._batches = folder / "parts"
        self._batches.mkdir(parents=True, exist_ok=True)
        if not (folder / "about.json").exists():
            write_json(folder / "about.json", about)
        for left_by_a_killed_process in folder.glob(".whole-*"):
            shutil.rmtree(left_by_a_killed_process)

    def snapshot(self) -> Snapshot | None:
        """The newest snapshot that can be read; None if there is none."""
        for number in sorted(self._numbers(), reverse=True):
            folder = self._folder / f"whole-{number}"
            try:
                return _read_snapshot(folder)
            except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
                log.warning("index %s is broken (%s: %s) and will be made again", folder, type(error).__name__, error)
        return None

    def batches(self) -> list[EmbeddedTiles]:
        """Batches that are not in a snapshot yet, oldest first."""
        names = sorted(self._batches.glob("*.tiles.npy"), key=_number)
        return [EmbeddedTiles(np.load(name), np.load(_rows_of(name), mmap_mode="r")) for name in names]

    def add_batch(self, tiles: np.ndarray, rows: np.ndarray) -> None:
        """Keep a batch of embeddings.

        Raises:
            OSError: the disk is full.
        """
        number = max((_number(name) for name in self._batches.glob("*.tiles.npy")), default=0) + 1
        name = self._batches / f"{number}.tiles.npy"
        write_atomically(_rows_of(name), lambda path: np.save(path, rows))
        write_atomically(name, lambda path: np.save(path, tiles))

    def publish(self, parts: Sequence[EmbeddedTiles], order: np.ndarray, files: dict[str, File]) -> Snapshot:
        """Make a snapshot, which replaces the last one and all batches.

        Args:
            parts: the last snapshot, if there is one, and all batches.
            order: (R,) the rows to keep, counted over all parts, in their new order.
            files: by path in the folder.

        Raises:
            OSError: the disk is full.
        """
        number = max(self._numbers(), default=0) + 1
        draft = Path(tempfile.mkdtemp(prefix=f".whole-{number}-", dir=self._folder))
        try:
            with (draft / "rows.bin").open("wb") as file:
                for chunk in _gather([part.rows for part in parts], order):
                    file.write(chunk.tobytes())
                file.flush()
                os.fsync(file.fileno())
            tiles = np.concatenate([part.tiles for part in parts])[order]
            write_atomically(draft / "tiles.npy", lambda path: np.save(path, tiles))
            listed = {name: [*file.stamp, file.content] for name, file in files.items()}
            write_json(draft / "files.json", {"shape": [len(order), parts[0].rows.shape[1]], "files": listed})
            draft.chmod(0o755)
            made = self._folder / f"whole-{number}"
            draft.rename(made)
        except OSError as error:
            raise OSError(f"cannot write index {self._folder}: {error}; free space or choose another folder") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

        # The new one counts from here on.
        for older in self._numbers() - {number}:
            shutil.rmtree(self._folder / f"whole-{older}", ignore_errors=True)
        shutil.rmtree(self._batches, ignore_errors=True)
        return _read_snapshot(made)

    def _numbers(self) -> set[int]:
        return {int(path.name.removeprefix("whole-")) for path in self._folder.glob("whole-*")}


def _read_snapshot(folder: Path) -> Snapshot:
    about = read_json(folder / "files.json")
    tiles = np.load(folder / "tiles.npy")
    shape = tuple(about["shape"])
    # Copy on write, since torch requires writable memory.
    rows = np.memmap(folder / "rows.bin", np.dtype("<f4"), mode="c")
    if rows.size != shape[0] * shape[1] or tiles.dtype != TILE or len(tiles) != shape[0]:
        raise ValueError("its number of rows has changed since it was written")
    files = {path: File(Stamp(size, mtime), content) for path, (size, mtime, content) in about["files"].items()}
    return Snapshot(EmbeddedTiles(tiles, rows.reshape(shape)), files)


def _gather(arrays: Sequence[np.ndarray], order: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of several arrays, counted over all of them, in this order, some at a time."""
    starts = np.cumsum([0, *(len(array) for array in arrays)])
    for begin in range(0, len(order), CHUNK):
        wanted = order[begin : begin + CHUNK]
        array_of = np.searchsorted(starts, wanted, side="right") - 1
        chunk = np.empty((len(wanted), arrays[0].shape[1]), dtype=np.dtype("<f4"))
        for i in np.unique(array_of):
            chunk[array_of == i] = arrays[i][wanted[array_of == i] - starts[i]]
        yield chunk


def _number(name: Path) -> int:
    return int(name.name.partition(".")[0])


def _rows_of(name: Path) -> Path:
    return name.with_name(name.name.replace(".tiles.", ".rows."))
