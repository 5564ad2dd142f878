"""A retrieval data set on disk: images, their captions and scene labels, in a training and a test split.

Two layouts are read: the PE-RSITR release's (`NAME_precomp/` with caption and file-name lists) and the
original distributions' `dataset_NAME.json`; data/README.md shows both. Whatever is broken raises one
`DataError` that names the file, the line and the remedy.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
from PIL import Image

CAPTIONS_PER_IMAGE = 5  # the release's lists; the JSON layout takes any number
MAX_PIXELS = 2**26  # 8,192 x 8,192: far above any image of these data sets, far below what fills the memory
WIDE_MODES = {"I", "F"}  # 32-bit pixels; 16-bit modes are named "I;16..."

UCM_CLASSES = (
    "agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential",
    "forest", "freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark",
    "overpass", "parkinglot", "river", "runway", "sparseresidential", "storagetanks", "tenniscourt",
)  # fmt: skip
SCENE_WORDS = {
    "bareland": "bare land",
    "baseballdiamond": "baseball diamond",
    "baseballfield": "baseball field",
    "denseresidential": "dense residential",
    "golfcourse": "golf course",
    "mediumresidential": "medium residential",
    "mobilehomepark": "mobile home park",
    "parkinglot": "parking lot",
    "railwaystation": "railway station",
    "sparseresidential": "sparse residential",
    "storagetanks": "storage tanks",
    "tenniscourt": "tennis court",
}
RELEASE_FILES = ("train_filename.txt", "train_caps.txt", "test_filename.txt", "test_caps.txt")
SPLIT_OF = {"train": "train", "val": "train", "restval": "train", "test": "test"}


class DataError(ValueError):
    """Broken input: the message names the file, its line if there is one, what is wrong, and the remedy."""


def _error(where: str | Path, problem: str, remedy: str) -> DataError:
    return DataError(f"{where}: {problem}. {remedy}")


@dataclass(frozen=True, eq=False)
class Split:
    """N images and their M captions; an image may have any number of captions, in train also none."""

    images: tuple[Path, ...]  # (N,)
    captions: tuple[str, ...]  # (M,) none blank
    image_of: np.ndarray  # (M,) int64, the index of each caption's image
    scenes: tuple[str | None, ...]  # (N,) "dense residential", or None where the data set names no scene
    blank: int = 0  # blank captions dropped while reading

    @property
    def captions_per_image(self) -> np.ndarray:
        """(N,) int64."""
        return np.bincount(self.image_of, minlength=len(self.images))

    def subset(self, images: Sequence[int] | np.ndarray) -> Split:
        """The images at these distinct indices, in this order, and their captions, in their old order."""
        chosen = np.asarray(images, dtype=np.int64)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self.images):
            raise IndexError(f"image indices must lie in 0 .. {len(self.images) - 1}")
        if len(np.unique(chosen)) != len(chosen):
            raise ValueError("an image index stands twice in the subset")
        new_index = np.full(len(self.images), -1, dtype=np.int64)
        new_index[chosen] = np.arange(len(chosen))
        kept = np.flatnonzero(new_index[self.image_of] >= 0)
        return Split(
            images=tuple(self.images[i] for i in chosen),
            captions=tuple(self.captions[j] for j in kept),
            image_of=new_index[self.image_of[kept]],
            scenes=tuple(self.scenes[i] for i in chosen),
        )


@dataclass(frozen=True, eq=False)
class RetrievalData:
    name: str
    root: Path  # the data set's own folder
    train: Split  # training + validation, as released
    test: Split

    def fingerprint(self) -> str:
        """sha256 of file names, scenes, captions and splits; neither pixels nor the folder's place enter."""
        content = [self._listing(split) for split in (self.train, self.test)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _listing(self, split: Split) -> list:
        names = ["/".join(path.relative_to(self.root).parts[1:]) for path in split.images]
        return [names, split.scenes, split.captions, split.image_of.tolist()]


def load(name: str | Path, root: str | Path = "data", check_images: bool = True) -> RetrievalData:
    """Read the data set `name` under `root`; `name` may also be the path of its folder or of its JSON file.

    `check_images=False` does without the image files, for work on captions alone. Raises DataError.
    """
    source = _locate(Path(name), Path(root))
    folder = source if source.is_dir() else source.parent
    plain = _plain_name(folder.name if source.is_dir() or source.stem.lower() == "dataset" else source.stem)
    if source.is_dir():
        entries = {split: _release_entries(source, split) for split in ("train", "test")}
    else:
        entries = _json_entries(source)
    images = _find(folder, f"{plain}_images", "images", "imgs") or folder / f"{plain}_images"
    words = _scene_words(folder / "scene_classes.txt")
    splits = {}
    for split, listed in entries.items():
        if not listed:
            where = source / f"{split}_filename.txt" if source.is_dir() else source
            raise _error(where, f"the {split} split lists no image", "Fetch the file again")
        paths = _image_paths(listed, images)
        if check_images:
            _check_images(listed, paths, images)
        splits[split] = _split(listed, paths, tuple(_scene(path.stem, plain, words) for path in paths), split)
    return RetrievalData(name=plain, root=folder, **splits)


def split_validation(train: Split, fraction: float = 0.2, seed: int = 0) -> tuple[Split, Split]:
    """(training, validation): a seeded, image-level, disjoint split; both keep the order of the files.

    An image without captions can be no query's answer, so it always stays in the training part.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
    captioned = np.flatnonzero(train.captions_per_image)
    size = max(1, round(fraction * len(captioned)))
    if size >= len(captioned):
        raise ValueError(f"{len(captioned)} captioned images are too few to hold out {fraction:.0%} of them")
    held_out = np.random.default_rng(seed).permutation(captioned)[:size]
    rest = np.setdiff1d(np.arange(len(train.images)), held_out)
    return train.subset(rest), train.subset(np.sort(held_out))


def read_image(path: str | Path) -> Image.Image:
    """The image as RGB, its first frame if it has several. Raises DataError where it cannot be read whole."""
    path = Path(path)
    if not os.path.isfile(path):
        problem = "is a folder, not an image" if os.path.isdir(path) else "image is missing"
        raise _error(path, problem, "Put the image there")
    try:
        with Image.open(path) as image:
            _check_pixels(path, image)
            return image.convert("RGB")
    except DataError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(path) from error
    except Exception as error:  # decoders raise nearly anything on broken files
        raise _error(path, f"cannot be read as an image ({error})", "Fetch the file again") from error


def caption_key(caption: str) -> str:
    """Captions with equal keys are one to CLIP: its tokeniser lower-cases and collapses white space."""
    return " ".join(caption.lower().split())


def _check_pixels(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path)
    if image.mode in WIDE_MODES or image.mode.startswith("I;"):
        raise _error(path, f"has pixels of mode {image.mode}, wider than 8 bits", "Convert it to 8-bit RGB")


def _too_large(path: Path) -> DataError:
    return _error(path, f"has more than {MAX_PIXELS:,} pixels", "Cut or shrink the image")


class _Entry(NamedTuple):
    where: str  # file and line (or JSON entry), for messages
    name: str  # image file name
    captions: list[str]


def _locate(name: Path, root: Path) -> Path:
    """The release's folder or the JSON file."""
    names = (f"{name.name}_precomp", name.name, f"dataset_{name.name}.json")
    found = _find((root / name).parent, *names) or _find(name.parent, *names)
    if found is None:
        remedy = "data/README.md says where to get the data sets and how to lay them out"
        raise _error((root / name).parent, f"holds none of {', '.join(names)}", remedy)
    if not found.is_dir() or any((found / file).exists() for file in RELEASE_FILES):
        return found
    inside = _find(found, f"dataset_{_plain_name(found.name)}.json", "dataset.json")
    if inside is None:
        remedy = "data/README.md shows the two layouts that can be read"
        raise _error(found, f"holds neither {', '.join(RELEASE_FILES)} nor a dataset_NAME.json", remedy)
    return inside


def _find(folder: Path, *names: str) -> Path | None:
    """The first of these names in the folder, whatever its case: distributions spell RSITMD and rsitmd."""
    if not folder.is_dir():
        return None
    children = {child.name.lower(): child for child in sorted(folder.iterdir())}
    return next((children[name.lower()] for name in names if name.lower() in children), None)


def _plain_name(name: str) -> str:
    """rsicd_precomp, dataset_rsicd, RSICD_captions -> rsicd."""
    return re.sub(r"^dataset_|[_-](precomp|captions?)$", "", name.lower())


def _text(file: Path) -> str:
    if not file.is_file():
        problem = "is a folder, not a file" if file.is_dir() else "file is missing"
        raise _error(file, problem, "data/README.md shows the layout")
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _error(f"{file}:{line}", "is not UTF-8", "Save the file as UTF-8") from error


def _lines(file: Path) -> list[str]:
    """Stripped lines. Only a line feed ends one: captions may hold what else splitlines cuts at."""
    text = _text(file)
    return [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []


def _release_entries(folder: Path, split: str) -> list[_Entry]:
    names_file, captions_file = folder / f"{split}_filename.txt", folder / f"{split}_caps.txt"
    names, captions = _lines(names_file), _lines(captions_file)
    if split == "test":
        _check_runs(names_file, names)
    step = CAPTIONS_PER_IMAGE if split == "test" else 1  # lines a name
    expected = len(names) // step * CAPTIONS_PER_IMAGE
    if len(captions) != expected:
        where = f"{captions_file}:{min(len(captions), expected) + 1}"
        problem = f"{len(captions)} captions, but {names_file.name} needs {expected} (5 an image)"
        raise _error(where, problem, "Make the two lists of one release agree")
    groups = zip(*[iter(captions)] * CAPTIONS_PER_IMAGE, strict=True)
    return [
        _Entry(f"{names_file}:{i * step + 1}", name, list(group))
        for i, (name, group) in enumerate(zip(names[::step], groups, strict=True))
    ]


def _check_runs(file: Path, names: list[str]) -> None:
    """In the release's test list each name stands five times in a row, once a caption."""
    for i, name in enumerate(names):
        if name != names[i - i % CAPTIONS_PER_IMAGE]:
            problem = f"{name!r} breaks a run of {CAPTIONS_PER_IMAGE} equal names"
            remedy = "List each test image once for each of its captions, in a row"
            raise _error(f"{file}:{i + 1}", problem, remedy)
    if len(names) % CAPTIONS_PER_IMAGE:
        problem = f"the list ends within a run of {CAPTIONS_PER_IMAGE} equal names"
        raise _error(f"{file}:{len(names)}", problem, "It is cut short: fetch it again")


def _json_entries(file: Path) -> dict[str, list[_Entry]]:
    text = _text(file)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"{file}:{getattr(error, 'lineno', 1)}"
        raise _error(where, f"is not JSON ({error})", "Fetch the file again") from error
    entries: dict[str, list[_Entry]] = {"train": [], "test": []}
    for i, image in enumerate(_field(content, "images", list, str(file))):
        where = f"{file}, images[{i}]"
        split = _field(image, "split", str, where)
        if split not in SPLIT_OF:
            raise _error(where, f"unknown split {split!r}", f"Use one of {', '.join(SPLIT_OF)}")
        sentences = _field(image, "sentences", list, where)
        captions = [_field(s, "raw", str, f"{where}.sentences[{j}]").strip() for j, s in enumerate(sentences)]
        name = _field(image, "filename", str, where).strip()
        entries[SPLIT_OF[split]].append(_Entry(where, name, captions))
    return entries


def _field(holder: object, key: str, kind: type, where: str):
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise _error(where, f"lacks {key!r} ({kind.__name__})", "data/README.md shows the JSON layout")
    return value


def _image_paths(entries: list[_Entry], folder: Path) -> list[Path]:
    seen: dict[Path, str] = {}
    for entry in entries:
        path = _inside(folder, entry)
        if path in seen:
            problem = f"{entry.name!r} stands twice in one split, first at {seen[path]}"
            raise _error(entry.where, problem, "List each image once in a split")
        seen[path] = entry.where
    return list(seen)


def _inside(folder: Path, entry: _Entry) -> Path:
    if not entry.name:
        raise _error(entry.where, "the file name is empty", "Remove the line, or name the image")
    windows = PureWindowsPath(entry.name)  # understands both kinds of slash, and drives
    if windows.anchor or ".." in windows.parts or "\0" in entry.name:
        problem = f"{entry.name!r} leaves the image folder"
        raise _error(entry.where, problem, f"Name images relative to {folder}")
    return folder / entry.name


def _check_images(entries: list[_Entry], paths: list[Path], folder: Path) -> None:
    missing = [i for i, path in enumerate(paths) if not os.path.isfile(path)]
    if missing:
        first = ", ".join(entries[i].name for i in missing[:3])
        problem = f"{len(missing):,} of {len(paths):,} images are missing or no files, first {first}"
        remedy = f"Put them into {folder} (see data/README.md), or use captions alone (check_images=False)"
        raise _error(entries[missing[0]].where, problem, remedy)


def _split(entries: list[_Entry], paths: list[Path], scenes: tuple[str | None, ...], split: str) -> Split:
    captions, image_of = [], []
    for i, entry in enumerate(entries):
        kept = [caption for caption in entry.captions if caption]
        if not kept and split == "test":
            problem = f"test image {entry.name!r} has no caption, so nothing can retrieve it"
            raise _error(entry.where, problem, "Give it a caption, or take it out of the test split")
        captions += kept
        image_of += [i] * len(kept)
    if not captions:
        problem = f"every caption of the {split} split is blank"
        raise _error(entries[0].where, problem, "Fetch the captions again")
    blank = sum(len(entry.captions) for entry in entries) - len(captions)
    return Split(tuple(paths), tuple(captions), np.array(image_of, dtype=np.int64), scenes, blank)


def _scene_words(file: Path) -> dict[str, str]:
    """The optional table `prefix<TAB>words` beside the captions; empty without one."""
    words: dict[str, str] = {}
    for i, line in enumerate(_lines(file) if file.exists() else [], start=1):
        prefix, _, scene = (part.strip() for part in line.partition("\t"))
        if not (prefix and scene):
            remedy = "Write one such pair a line, no blank lines"
            raise _error(f"{file}:{i}", "is not 'prefix<TAB>words'", remedy)
        words[prefix] = scene
    return words


def _scene(stem: str, data_set: str, words: dict[str, str]) -> str | None:
    """An image's scene in words, or None: read off its file name by the data set's own rule, not guessed."""
    if data_set.startswith("ucm"):
        number = int(stem) if re.fullmatch("[0-9]{1,4}", stem) else 0
        prefix = UCM_CLASSES[(number - 1) // 100] if 1 <= number <= 100 * len(UCM_CLASSES) else None
    else:
        match = re.fullmatch(r"(.*[^\d_].*)_\d+", stem)
        prefix = match[1] if match else None
    if prefix is None:
        return None
    if prefix in words:
        return words[prefix]
    if data_set.startswith(("rsicd", "rsitmd", "ucm", "scenes")):
        return SCENE_WORDS.get(prefix, re.sub(r"[_-]+", " ", prefix))
    return None
