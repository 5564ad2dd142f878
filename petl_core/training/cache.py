"""Arrays on disk, named by what they were made from: pixels decoded once, features of frozen towers computed once.

    root/<hash>/rows.bin      one row per distinct item; memory-mapped
    root/<hash>/row_of.npy    row of each item
    root/<hash>/about.json    shape, type, checksums, and the inputs whose hash names the folder

A folder is written under another name and renamed when complete, and its checksums are verified when a process first
opens it.
"""

import hashlib
import json
import logging
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import filelock
import numpy as np

from petl_core.files import read_json, sha256, sha256_cached, write_json

log = logging.getLogger(__name__)

GIB = 2**30


@dataclass(frozen=True)
class Rows:
    """What a cache stores for some items."""

    row_of: np.ndarray  # (items,) the row of each, distinct items numbered as they first appear
    chunks: Iterable[np.ndarray]  # (rows, ...) each; together one row per distinct item, in order


def load_or_make(root: Path, inputs: dict, make: Callable[[], Rows]) -> tuple[np.ndarray, np.ndarray]:
    """Rows, memory-mapped, and the row of each item, from the folder named by ``inputs``.

    If several processes ask for a folder at the same time, one of them writes it.

    Args:
        root: folder of the cache.
        inputs: everything that the rows depend on, as JSON.
        make: called if the folder is absent or broken.

    Raises:
        OSError: naming folder, need and free space when the disk is too small.
    """
    root = Path(root)
    folder = root / hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / f".{folder.name}.lock"):
        if folder.exists():
            try:
                return _open(folder)
            except ValueError as error:
                log.warning("cached %s is broken (%s) and will be made again", folder, error)
        for left_by_a_killed_process in root.glob(f".{folder.name}-*"):
            shutil.rmtree(left_by_a_killed_process)
        try:
            _write(folder, inputs, make())
        except OSError as error:
            raise OSError(f"cannot write cache {folder}: {error}; free space or choose another folder") from error
        return _open(folder)


def _open(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Raises ValueError if anything is not as it was written."""
    try:
        about = read_json(folder / "about.json")
        for name, digest in about["sha256"].items():
            if sha256_cached(folder / name) != digest:
                raise ValueError(f"{name} has another checksum than when it was written")
        rows = np.memmap(folder / "rows.bin", np.dtype(about["dtype"]), mode="r", shape=tuple(about["shape"]))
        return rows, np.load(folder / "row_of.npy")
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _write(folder: Path, inputs: dict, rows: Rows) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        # The first chunk gives the size of a row.
        chunks: Iterator[np.ndarray] = iter(rows.chunks)
        first = next(chunks)
        shape = (int(rows.row_of.max()) + 1, *first.shape[1:])
        _check_space(folder, math.prod(shape) * first.dtype.itemsize)
        with (draft / "rows.bin").open("wb") as file:
            for chunk in chain([first], chunks):
                file.write(np.ascontiguousarray(chunk).tobytes())
        np.save(draft / "row_of.npy", rows.row_of)

        # Checksums, then the rename that makes the folder count.
        sums = {name: sha256(draft / name) for name in ("rows.bin", "row_of.npy")}
        write_json(draft / "about.json", {"shape": shape, "dtype": first.dtype.str, "sha256": sums, "inputs": inputs})
        draft.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check_space(folder: Path, need: int) -> None:
    free = shutil.disk_usage(folder.parent).free
    log.info("cache: writing %.3f GiB to %s (%.1f GiB are free)", need / GIB, folder, free / GIB)
    if need > free:
        raise OSError(f"{need / GIB:.3f} GiB are needed, but {free / GIB:.3f} GiB are free")
