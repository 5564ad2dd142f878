"""A split as the tensors that a model reads, and the embeddings that it makes of them.

Pixels are decoded once for all runs, and a side method's taps (what it reads of the frozen towers) are computed once:
both lie under ``runs/cache/<hash>/``, named by what they were made from, and are memory-mapped::

    rows.npy     one row for each distinct image or caption
    row_of.npy   the row of each item

Taps are float16, exact to 1 part in 2,048 from 6e-5 to 65,504. Copies of an image or caption are held and encoded once,
so that they get identical embeddings, and tie exactly.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import filelock
import numpy as np
import torch
from tqdm.auto import tqdm

from petl_core import backbone
from petl_core.adapters import AdaptedCLIP, SideMethod
from petl_core.data import Split, caption_key, scene_labels
from petl_core.errors import ConfigError
from petl_core.files import read_json, sha256, sha256_cached, sha256_of_all, write_json

log = logging.getLogger(__name__)

BATCH = 128  # images or captions encoded at a time
FORMAT = 3  # raised whenever the same inputs would be read or laid out differently


@dataclass(frozen=True)
class Inputs:
    """A whole split: each distinct image as pixels or taps, each distinct caption as tokens, and as taps."""

    tokens: torch.Tensor  # (captions, length) long
    row_of_image: dict[Path, int]
    row_of_caption: dict[str, int]  # by caption_key
    pixels: np.ndarray | None = None  # (images, 3, H, W) uint8; None if there are taps instead
    image_taps: np.ndarray | None = None  # (images, ...) float16
    text_taps: np.ndarray | None = None  # (captions, ...) float16, whose last rows are the tokens'

    def part(self, split: Split, labelled: bool = False) -> "PreparedSplit":
        """The split of these inputs, or a part of it; ``labelled`` adds its captions with scene labels."""

        def rows(captions: Sequence[str]) -> torch.Tensor:
            return torch.tensor([self.row_of_caption[caption_key(caption)] for caption in captions], dtype=torch.long)

        return PreparedSplit(
            inputs=self,
            image_rows=torch.tensor([self.row_of_image[path] for path in split.images], dtype=torch.long),
            caption_rows=rows(split.captions),
            image_of=torch.as_tensor(split.image_of),
            labelled_rows=rows(scene_labels.labelled_captions(split)) if labelled else None,
            scenes=split.scenes,
        )


@dataclass(frozen=True)
class PreparedSplit:
    """N images and M captions of a split, as rows of the inputs that hold them."""

    inputs: Inputs
    image_rows: torch.Tensor  # (N,) long
    caption_rows: torch.Tensor  # (M,) long
    image_of: torch.Tensor  # (M,) long: each caption's image
    labelled_rows: torch.Tensor | None = None  # (M,) long: of each caption with its scene label
    scenes: tuple[str | None, ...] = ()  # (N,)


# Reading a split.


def prepare(
    split: Split, model: AdaptedCLIP, root: Path, taps: bool = False, labelled: bool = False, progress: bool = False
) -> Inputs:
    """A whole training or test split from the cache under ``root``, made there first if need be.

    Args:
        split: whole; parts of it are taken from the result.
        model: gives preprocessing and tokenizer, and with ``taps``, which need a side method, the towers.
        root: of the cache.
        taps: read what the side method taps instead of pixels; then no tower runs in training.
        labelled: also tokenise each caption with its scene label.
        progress: show bars on stderr.

    Raises:
        petl_core.errors.DataError: an image cannot be read.
        ConfigError: a tap is too large for half precision.
        OSError: naming folder, need and free space when the disk is too small.
    """
    frozen = model.backbone
    tokens, row_of_caption = _tokenise(split, frozen, labelled)
    image_source = {
        "format": FORMAT,
        "images": sha256_of_all(split.images),  # their bytes, but not names and folders
        "preprocessing": frozen.preprocessing,
    }

    def decode() -> tuple[np.ndarray, Iterator[np.ndarray]]:
        pixels = frozen.pixels(split.images, progress).numpy()
        first, rows = distinct([hashlib.sha256(image).digest() for image in pixels])
        return rows.numpy(), (pixels[first[i : i + BATCH]] for i in range(0, len(first), BATCH))

    if not taps:
        pixels, row_of = _load_or_make(root, image_source, decode)
        return Inputs(tokens, _numbered(split.images, row_of), row_of_caption, pixels=pixels)

    # Each distinct image and caption goes through its frozen tower once.
    def halves(count: int, tap: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[np.ndarray]:
        batches = torch.arange(count).split(BATCH)
        for rows in tqdm(batches, "features", disable=not progress, unit="batch", mininterval=1):
            found = tap(rows)
            half = found.to("cpu", torch.float16)
            if not half.isfinite().all():
                largest = found.abs().max().item()
                raise ConfigError(f"features reach {largest:.3g}, too large for half precision: set cache_features off")
            yield half.numpy()

    def tap_images() -> tuple[np.ndarray, Iterator[np.ndarray]]:
        pixels, row_of = _load_or_make(root, image_source, decode)

        def tap(rows: torch.Tensor) -> torch.Tensor:
            return model.tap_image(frozen.normalise(_rows(pixels, rows).to(model.device)))

        return np.array(row_of), halves(len(pixels), tap)

    def tap_texts() -> tuple[np.ndarray, Iterator[np.ndarray]]:
        return np.arange(len(tokens)), halves(len(tokens), lambda rows: model.tap_text(tokens[rows].to(model.device)))

    tokens = backbone.trim(tokens, model.clip)
    tower, specs = {"backbone": model.backbone_fingerprint}, model.method.tap_specs
    digest = hashlib.sha256(f"{tuple(tokens.shape)}".encode() + tokens.contiguous().numpy().tobytes()).hexdigest()
    image_taps, row_of = _load_or_make(root, {**tower, **image_source, "taps": specs["image"]}, tap_images)
    text_source = {**tower, "format": FORMAT, "tokens": digest, "taps": specs["text"]}
    text_taps, _ = _load_or_make(root, text_source, tap_texts)
    rows = _numbered(split.images, row_of)
    return Inputs(tokens, rows, row_of_caption, image_taps=image_taps, text_taps=text_taps)


def prepare_captions(model: AdaptedCLIP, captions: Sequence[str]) -> PreparedSplit:
    """Any captions, tokenised for a model: a split without images."""
    first, rows = distinct([caption_key(caption) for caption in captions])
    tokens = model.backbone.tokens([captions[i] for i in first])
    return PreparedSplit(Inputs(tokens, {}, {}), image_rows=rows[:0], caption_rows=rows, image_of=rows[:0])


def _tokenise(split: Split, frozen: backbone.Backbone, labelled: bool) -> tuple[torch.Tensor, dict[str, int]]:
    """Tokens (D, context) of a split's distinct captions, labelled ones included, and the row of each by its key."""
    captions = [*split.captions, *(scene_labels.labelled_captions(split) if labelled else ())]
    keys = [caption_key(caption) for caption in captions]
    first, rows = distinct(keys)
    return frozen.tokens([captions[i] for i in first]), _numbered(keys, rows)


def _numbered(items: Sequence, rows: np.ndarray | torch.Tensor) -> dict:
    return dict(zip(items, rows.tolist(), strict=True))


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
    return first, torch.tensor([number[item] for item in items], dtype=torch.long)


# What the trained part of a model reads, and what it makes of it.


def read_images(model: AdaptedCLIP, inputs: Inputs, rows: torch.Tensor) -> torch.Tensor:
    """Images at ``rows`` (B,): a side method's taps, otherwise normalised pixels (B, 3, H, W)."""
    if inputs.image_taps is not None:
        return _rows(inputs.image_taps, rows).to(model.device)
    pixels = model.backbone.normalise(_rows(inputs.pixels, rows).to(model.device))
    return model.tap_image(pixels) if isinstance(model.method, SideMethod) else pixels


def read_texts(model: AdaptedCLIP, inputs: Inputs, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Captions at ``rows`` (B,): tokens (B, L), L of the longest, and a side method's taps."""
    tokens = backbone.trim(inputs.tokens[rows], model.clip).to(model.device)
    if inputs.text_taps is not None:
        taps = _rows(inputs.text_taps, rows)
        if taps.dim() > 2:  # the last rows are the tokens', and the batch is shorter than the split
            taps = taps[:, : taps.shape[1] - (inputs.tokens.shape[1] - tokens.shape[1])]
        return tokens, taps.to(model.device)
    return tokens, model.tap_text(tokens) if isinstance(model.method, SideMethod) else None


def embed_images(model: AdaptedCLIP, images: torch.Tensor) -> torch.Tensor:
    """What :func:`read_images` gives -> (B, d) normalised."""
    if isinstance(model.method, SideMethod):
        return model.image_from_taps(images, normalize=True)
    return model.encode_image(images, normalize=True)


def embed_texts(model: AdaptedCLIP, texts: tuple[torch.Tensor, torch.Tensor | None]) -> torch.Tensor:
    """What :func:`read_texts` gives -> (B, d) normalised."""
    tokens, taps = texts
    return model.encode_text(tokens, normalize=True) if taps is None else model.text_from_taps(taps, tokens, True)


@torch.no_grad()
def embed(model: AdaptedCLIP, split: PreparedSplit) -> tuple[np.ndarray, np.ndarray]:
    """Normalised float32 embeddings of a split, in evaluation mode: images (N, d) and captions (M, d)."""
    return embed_image_rows(model, split, split.image_rows).numpy(), embed_text_rows(model, split).numpy()


@torch.no_grad()
def embed_image_rows(model: AdaptedCLIP, split: PreparedSplit, rows: torch.Tensor) -> torch.Tensor:
    """(B, d) on the CPU, of the distinct images at ``rows`` (B,), each encoded once."""
    model.eval()
    used, place = rows.unique(return_inverse=True)
    chunks = [embed_images(model, read_images(model, split.inputs, part)).cpu() for part in used.split(BATCH)]
    return torch.cat(chunks)[place]


@torch.no_grad()
def embed_text_rows(model: AdaptedCLIP, split: PreparedSplit, rows: torch.Tensor | None = None) -> torch.Tensor:
    """(B, d) on the CPU, of the distinct captions at ``rows`` (B,), or all of the split, each encoded once."""
    model.eval()
    used, place = (split.caption_rows if rows is None else rows).unique(return_inverse=True)
    # Captions of similar length share a batch and need little padding.
    order = backbone.caption_lengths(split.inputs.tokens[used], model.clip).argsort(stable=True)
    chunks = [embed_texts(model, read_texts(model, split.inputs, part)).cpu() for part in used[order].split(BATCH)]
    return torch.cat(chunks)[order.argsort()][place]


def embed_captions(model: AdaptedCLIP, captions: Sequence[str]) -> np.ndarray:
    """(M, d) normalised float32 embeddings of any captions; copies get identical ones."""
    return embed_text_rows(model, prepare_captions(model, captions)).numpy()


def _rows(array: np.ndarray | None, rows: torch.Tensor) -> torch.Tensor:
    """Rows (B,) of an array, which may be memory-mapped, as a new tensor."""
    assert array is not None, "these inputs hold taps, and no pixels"
    return torch.from_numpy(np.asarray(array[rows.numpy()]))


# The cache.


def _load_or_make(
    root: Path, source: dict, make: Callable[[], tuple[np.ndarray, Iterator[np.ndarray]]]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows, memory-mapped, and the row of each item, from the folder named by ``source``.

    ``make`` gives the row of each item (items,), numbered as they first appear, and the rows in chunks. One process
    writes; others wait. A folder is renamed to its name when complete, and verified when a process first opens it.
    """
    name = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / name
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / f".{name}.lock"):
        if folder.exists():
            try:
                for file, digest in read_json(folder / "about.json")["sha256"].items():
                    if sha256_cached(folder / file) != digest:
                        raise ValueError(f"{file} has another checksum than when it was written")
                return np.load(folder / "rows.npy", mmap_mode="r"), np.load(folder / "row_of.npy")
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("cached %s is broken (%s) and will be made again", folder, error)
                shutil.rmtree(folder)
        for left_by_a_killed_process in root.glob(f".{name}-*"):
            shutil.rmtree(left_by_a_killed_process)
        draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
        try:
            row_of, chunks = make()
            _write_rows(draft / "rows.npy", int(row_of.max()) + 1, chunks)
            np.save(draft / "row_of.npy", row_of)
            sums = {file: sha256(draft / file) for file in ("rows.npy", "row_of.npy")}
            write_json(draft / "about.json", {"sha256": sums, "source": source})
            draft.chmod(0o755)
            draft.rename(folder)
        except OSError as error:
            raise OSError(f"cannot write cache {folder}: {error}; free space or choose another folder") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return np.load(folder / "rows.npy", mmap_mode="r"), np.load(folder / "row_of.npy")


def _write_rows(path: Path, count: int, chunks: Iterator[np.ndarray]) -> None:
    """Write ``count`` rows chunk by chunk, after a look at the free space."""
    chunk = next(chunks)
    need, free = count * chunk[0].nbytes, shutil.disk_usage(path.parent).free
    if need > free:
        raise OSError(f"{need / 2**30:.3f} GiB are needed, but {free / 2**30:.3f} GiB are free")
    log.info("cache: writing %.3f GiB to %s", need / 2**30, path.parent.parent)
    header = {"descr": chunk.dtype.str, "fortran_order": False, "shape": (count, *chunk.shape[1:])}
    with path.open("wb") as file:  # a memory-mapped file would end the process where the disk fills up meanwhile
        np.lib.format.write_array_header_2_0(file, header)
        for part in chain([chunk], chunks):
            file.write(np.ascontiguousarray(part).tobytes())
