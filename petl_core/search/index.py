"""``index(folder, model)``: the images of a folder as embeddings on disk, made once and then kept up to date.

    about.json     what the index is of: its digest names the index's folder
    parts/1.npy    a batch of rows, written as soon as it is encoded
    rows.npy       every tile of every image with its embedding, merged from the parts
    files.json     size, time of change and content of each file: saves reading the files again

An image is identified by its content: renaming or copying a file encodes nothing, and copies share one embedding. Each
file of an index is replaced as a whole, and every row is true by itself, so whatever a killed process leaves is used.
"""

import hashlib
import json
import logging
import os
import shutil
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import filelock
import numpy as np
import torch
from tqdm.auto import tqdm

from petl_core.adapters import AdaptedCLIP
from petl_core.data.images import SUFFIXES, ImageFile, Window, open_image
from petl_core.errors import ConfigError, DataError
from petl_core.files import read_json, resolve, sha256_cached, write_atomically, write_json
from petl_core.inputs import BATCH
from petl_core.search import models
from petl_core.search.options import IndexOptions, windows

log = logging.getLogger(__name__)

FORMAT = 2  # raised whenever the same images would be read, cut or stored differently
TILES_PER_JOB = 32  # tiles of one image that a thread reads at once
JOBS_AHEAD = 8  # such jobs that may wait for the encoder
NARROWEST = 16  # pixels: the shorter side of an image that is cut
NOT_READ = (".jp2", ".j2k", ".heic", ".avif", ".img", ".vrt", ".dng", ".nitf", ".ecw", ".hdf", ".nc")  # but images

Job = tuple[str, ImageFile, list[Window]]  # tiles of an image, by its content
Tile = tuple[tuple, torch.Tensor]  # the fields of its row but the embedding; (3, H, W) input


@dataclass(frozen=True)
class Index:
    """The images of a folder as embeddings; later calls of :func:`index` do not change it."""

    folder: Path
    rows: np.ndarray  # (R,) records: content, x, y, width, height, lon, lat, embedding (d,) normalised; memory-mapped
    contents: dict[str, str]  # the digest of each image, by its path in the folder, sorted
    unreadable: dict[str, str]  # why, by path in the folder
    skipped: dict[str, int]  # images of kinds that are not read: how many, by suffix
    encoded: int  # tiles encoded by this call


def index(
    folder: str | Path,
    model: AdaptedCLIP,
    cache_root: str | Path = "runs/search",
    options: IndexOptions | None = None,
    progress: bool = True,
) -> Index:
    """The index of a folder: read if it is up to date; otherwise new and changed images are encoded first.

    After a kill, the next call resumes. Each model and each set of options has its own index below ``cache_root``.
    Processes that want the same index at the same time make it once.

    Raises:
        ConfigError: not a folder, no image that can be read, or rasters without rasterio.
        OSError: the disk is full.
    """
    folder, options = resolve(folder).resolve(), options or IndexOptions()
    about = {"format": FORMAT, "folder": str(folder), "model": models.fingerprint(model), "options": asdict(options)}
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    home = resolve(cache_root) / name
    home.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(home.with_name(f".{name}.lock")), ThreadPoolExecutor() as pool:
        write_json(home / "about.json", about)
        stamps, unreadable, skipped = scan(folder)
        old, known = _load_rows(home / "rows.npy"), _load_files(home / "files.json")
        embedded = {content.decode() for content in np.unique(old["content"])} if old is not None else set()

        # Read the header of each file that is new, has changed, or is not in the rows.
        def probe(path: str) -> tuple[str, ImageFile | None, str]:
            try:
                content = sha256_cached(folder / path)[:32]
                return content, None if content in embedded else _open(folder / path, options), ""
            except OSError as error:
                return "", None, f"cannot be read ({error.strerror})"
            except DataError as error:
                return "", None, str(error).removeprefix(f"{folder / path}: ")

        new = [
            path for path, stamp in stamps.items() if known.get(path, [])[:2] != stamp or known[path][2] not in embedded
        ]
        bar = tqdm(pool.map(probe, new), "new files", len(new), disable=not (progress and new), unit="file")
        probed = dict(zip(new, bar, strict=True))
        content_of = {path: probed[path][0] if path in probed else known[path][2] for path in stamps}
        unreadable |= {path: reason for path, (_, _, reason) in probed.items() if reason}

        # Encode what is new; each batch is stored at once, and what a killed call has stored is left out.
        parts = _load_parts(home)
        done = {(row["content"].decode(), int(row["x"]), int(row["y"])) for _, part in parts for row in part}
        jobs: list[Job] = []
        for content, file in {content: file for content, file, _ in probed.values() if file}.items():
            cut = windows(file.width, file.height, options.tile, options.overlap)
            left = [window for window in cut if (content, window.x, window.y) not in done]
            jobs += [(content, file, left[i : i + TILES_PER_JOB]) for i in range(0, len(left), TILES_PER_JOB)]
        broken: dict[str, str] = {}  # why, by content
        tiles = _read_tiles(pool, model, jobs, broken, progress)
        number, encoded = max((number for number, _ in parts), default=0), 0
        while batch := list(islice(tiles, BATCH)):
            embeddings = models.embed(model, [image for _, image in batch])
            rows = np.array(
                [(*fields, row) for (fields, _), row in zip(batch, embeddings, strict=True)],
                dtype=_row_type(embeddings.shape[1]),
            )
            number, encoded = number + 1, encoded + len(rows)
            _save(home / "parts" / f"{number}.npy", rows)

        # Tell the files that have an embedding from those that cannot be read.
        parts = _load_parts(home)
        embedded.update(content.decode() for _, part in parts for content in np.unique(part["content"]))
        contents = {}
        for path, content in content_of.items():
            if content in broken or (content and content not in embedded):
                unreadable[path] = broken.get(content, "holds no data")
            elif content:
                contents[path] = content
        if not contents:
            path, reason = next(iter(unreadable.items()))
            raise ConfigError(f"{folder}: no image can be read; first {path}: {reason}")

        # Merge: rows by path, then from top left; those of images that are gone are dropped.
        files = {path: [*stamps[path], content] for path, content in contents.items()}
        if old is None or parts or files != known:
            _save(
                home / "rows.npy",
                _merged([*([old] if old is not None else []), *(part for _, part in parts)], contents),
            )
            write_json(home / "files.json", files)
            shutil.rmtree(home / "parts", ignore_errors=True)
            old = _load_rows(home / "rows.npy")
        assert old is not None
        return Index(folder, old, contents, dict(sorted(unreadable.items())), skipped, encoded)


def scan(folder: Path) -> tuple[dict[str, list[int]], dict[str, str], dict[str, int]]:
    """The images below a folder; linked folders are followed once, hidden files and folders left out.

    Returns:
        Size and time of change of each, by its path in the folder, sorted; sub-folders that cannot be read, and why;
        how many images of other kinds there are, by suffix.

    Raises:
        ConfigError: it is not a folder, or holds no image.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name one that holds images")
    stamps: dict[str, list[int]] = {}
    unreadable: dict[str, str] = {}
    skipped: Counter[str] = Counter()

    def note(error: OSError) -> None:
        unreadable[os.path.relpath(error.filename, folder)] = f"cannot be read ({error.strerror})"

    seen: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=note, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".")
            and not (os.path.islink(link := os.path.join(place, name)) and os.path.realpath(link) in seen)
        ]
        for name in names:
            path, suffix = Path(place, name), Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in SUFFIXES:
                try:
                    status = path.stat()
                    stamp = [status.st_size, status.st_mtime_ns]
                except OSError:  # a broken link, or just removed: reading it will say so
                    stamp = [0, 0]
                stamps[path.relative_to(folder).as_posix()] = stamp
            elif suffix in NOT_READ:
                skipped[suffix] += 1
    if not stamps:
        raise ConfigError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    return dict(sorted(stamps.items())), unreadable, dict(skipped)


def _open(path: Path, options: IndexOptions) -> ImageFile:
    file = open_image(path, options)
    if min(file.width, file.height) < NARROWEST and max(file.width, file.height) > options.tile:
        problem = f"{file.width} x {file.height} pixels are too narrow to be cut into tiles"
        raise DataError(f"{path}: {problem}. Leave the file out")
    return file


def _read_tiles(
    pool: ThreadPoolExecutor, model: AdaptedCLIP, jobs: list[Job], broken: dict[str, str], progress: bool
) -> Iterator[Tile]:
    """The tiles to be encoded, read ahead by threads; why an image cannot be read is added to ``broken``."""

    def read(job: Job) -> list[Tile]:
        content, file, wanted = job
        return [
            ((content, *window, *file.centre(window)), models.as_input(model, image))
            for window, image in zip(wanted, file.read(wanted), strict=True)
            if image is not None
        ]

    ahead: deque[tuple[Job, Future[list[Tile]]]] = deque()
    waiting = iter(jobs)
    count = sum(len(wanted) for _, _, wanted in jobs)
    with tqdm(total=count, desc="tiles", disable=not (progress and count), unit="tile") as bar:
        while True:
            ahead.extend((job, pool.submit(read, job)) for job in islice(waiting, JOBS_AHEAD - len(ahead)))
            if not ahead:
                return
            (content, file, wanted), future = ahead.popleft()
            try:
                yield from future.result()
            except DataError as error:
                broken[content] = str(error).removeprefix(f"{file.path}: ")
            bar.update(len(wanted))


def _row_type(width: int) -> np.dtype:
    place = [("x", "<i4"), ("y", "<i4"), ("width", "<i4"), ("height", "<i4"), ("lon", "<f8"), ("lat", "<f8")]
    return np.dtype([("content", "S32"), *place, ("embedding", "<f4", (width,))])


def _save(file: Path, rows: np.ndarray) -> None:
    write_atomically(file, lambda path: np.save(path, rows))


def _load_rows(file: Path) -> np.ndarray | None:
    """Rows of an index, mapped copy on write, since torch requires writable memory; None if they must be made again."""
    try:
        rows = np.load(file, mmap_mode="c")
        if rows.ndim == 1 and rows.dtype == _row_type(rows["embedding"].shape[1]):
            return rows
        raise ValueError("its rows are of another kind")
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, IndexError) as error:
        log.warning("%s is broken (%s) and will be made again", file, error)
        return None


def _load_files(file: Path) -> dict[str, list]:
    try:
        return read_json(file)
    except (OSError, ConfigError):  # all files are read again, and none is encoded again
        return {}


def _load_parts(home: Path) -> list[tuple[int, np.ndarray]]:
    parts = [(int(file.stem), _load_rows(file)) for file in (home / "parts").glob("[0-9]*.npy")]
    return sorted(((number, part) for number, part in parts if part is not None), key=lambda part: part[0])


def _merged(sources: list[np.ndarray], contents: dict[str, str]) -> np.ndarray:
    """The rows of the images in ``contents`` {path: content}, each tile once, by path and then from top left."""
    rank_of = {content: rank for rank, content in enumerate(dict.fromkeys(contents.values()))}
    fields = np.concatenate([source[["content", "x", "y"]] for source in sources])
    _, first = np.unique(fields, return_index=True)
    distinct, image = np.unique(fields["content"], return_inverse=True)
    rank = np.array([rank_of.get(content.decode(), -1) for content in distinct])[image]
    kept = first[rank[first] >= 0]
    order = kept[np.lexsort((fields["x"][kept], fields["y"][kept], rank[kept]))]
    return np.concatenate(sources)[order]
