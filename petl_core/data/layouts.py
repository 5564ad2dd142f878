"""``load``: a data set by name or path, in either layout on disk; data/README.md shows both. A new one needs no code.

The layouts are the PE-RSITR release's (``NAME_precomp/`` with caption and file-name lists) and the original
distributions' ``dataset_NAME.json``.
"""

import json
import os
import re
from pathlib import Path, PureWindowsPath
from typing import NamedTuple, TypeVar

import numpy as np

from petl_core.data.scene_labels import scene_of
from petl_core.data.split import RetrievalData, Split
from petl_core.errors import DataError
from petl_core.files import resolve

CAPTIONS_PER_IMAGE = 5  # the release's lists; the JSON layout takes any number
RELEASE_FILES = ("train_filename.txt", "train_caps.txt", "test_filename.txt", "test_caps.txt")
SPLIT_OF = {"train": "train", "val": "train", "restval": "train", "test": "test"}  # splits of the JSON layout

T = TypeVar("T")


class Entry(NamedTuple):
    """An image of a data set as listed."""

    where: str  # file and line (or JSON entry), for messages
    name: str  # image file name
    captions: list[str]  # stripped; some may be blank


def load(name: str | Path, root: str | Path = "data", check_images: bool = True) -> RetrievalData:
    """Read a data set by its name in ``root``, or by the path of its folder or JSON file.

    Raises:
        DataError: anything is missing or broken; of images, with ``check_images``, that a file is missing.
    """
    source = locate(Path(name), Path(root))
    if source.is_dir():
        folder, plain = source, plain_name(source.name)
        entries = {split: _release_entries(source, split) for split in ("train", "test")}
    else:
        folder = source.parent
        plain = plain_name(folder.name if source.stem.lower() == "dataset" else source.stem)
        entries = _json_entries(source)
    images = find_child(folder, f"{plain}_images", "images", "imgs") or folder / f"{plain}_images"
    words = _scene_words(folder / "scene_classes.txt")
    splits = {}
    for split, listed in entries.items():
        if not listed:
            where = source / f"{split}_filename.txt" if source.is_dir() else source
            raise DataError(f"{where}: the {split} split lists no image. Fetch the file again")
        paths = _image_paths(listed, images, check_images)
        scenes = tuple(scene_of(path.stem, plain, words) for path in paths)
        splits[split] = _split(listed, paths, scenes, split)
    return RetrievalData(name=plain, root=folder, **splits)


def locate(name: Path, root: Path) -> Path:
    """The folder of a release, or the JSON file, by name or path, with or without their usual prefix and suffix.

    A relative one is looked for under ``root``, then under the project's root; a DataError if there is none.
    """
    names = (f"{name.name}_precomp", name.name, f"dataset_{name.name}.json")
    found = find_child((root / name).parent, *names) or find_child(resolve(name).parent, *names)
    if found is None:
        remedy = "data/README.md says where to get the data sets and how to lay them out"
        raise DataError(f"{(root / name).parent}: holds none of {', '.join(names)}. {remedy}")
    if not found.is_dir() or any((found / file).exists() for file in RELEASE_FILES):
        return found
    inside = find_child(found, f"dataset_{plain_name(found.name)}.json", "dataset.json")
    if inside is None:
        problem = f"holds neither {', '.join(RELEASE_FILES)} nor a dataset_NAME.json"
        raise DataError(f"{found}: {problem}. data/README.md shows the two layouts that can be read")
    return inside


def find_child(folder: Path, *names: str) -> Path | None:
    """The first of these names in a folder, whatever its case: distributions spell RSITMD and rsitmd."""
    children = {child.name.lower(): child for child in sorted(folder.iterdir())} if folder.is_dir() else {}
    return next((children[name.lower()] for name in names if name.lower() in children), None)


def plain_name(name: str) -> str:
    """A data set's name without the prefix or suffix of its layout.

    >>> plain_name("rsicd_precomp"), plain_name("dataset_rsicd"), plain_name("RSICD_captions")
    ('rsicd', 'rsicd', 'rsicd')
    """
    return re.sub(r"^dataset_|[_-](precomp|captions?)$", "", name.lower())


def _read_text(file: Path) -> str:
    if not file.is_file():
        problem = "is a folder, not a file" if file.is_dir() else "file is missing"
        raise DataError(f"{file}: {problem}. data/README.md shows the layout")
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(f"{file}:{line}: is not UTF-8. Save the file as UTF-8") from error


def _read_lines(file: Path) -> list[str]:
    """Stripped lines. Only a line feed ends one: captions may hold the others at which str.splitlines splits."""
    text = _read_text(file)
    return [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []


def _scene_words(file: Path) -> dict[str, str]:
    """The optional table of ``prefix<TAB>words`` lines next to the captions; empty without one."""
    words: dict[str, str] = {}
    for i, line in enumerate(_read_lines(file) if file.exists() else [], start=1):
        prefix, _, scene = (part.strip() for part in line.partition("\t"))
        if not (prefix and scene):
            remedy = "Write one such pair per line, without blank lines"
            raise DataError(f"{file}:{i}: is not 'prefix<TAB>words'. {remedy}")
        words[prefix] = scene
    return words


def _release_entries(folder: Path, split: str) -> list[Entry]:
    """The images of a split in the release's layout, which lists a name once in train, once per caption in test."""
    names_file, captions_file = folder / f"{split}_filename.txt", folder / f"{split}_caps.txt"
    names, captions = _read_lines(names_file), _read_lines(captions_file)
    step = CAPTIONS_PER_IMAGE if split == "test" else 1
    for i, name in enumerate(names):
        if name != names[i - i % step]:
            problem = f"{name!r} breaks a run of {step} equal names"
            remedy = "List each test image once for each of its captions, in a row"
            raise DataError(f"{names_file}:{i + 1}: {problem}. {remedy}")
    if len(names) % step:
        problem = f"the list ends within a run of {step} equal names"
        raise DataError(f"{names_file}:{len(names)}: {problem}. It is cut short: fetch it again")
    expected = len(names) // step * CAPTIONS_PER_IMAGE
    if len(captions) != expected:
        where = f"{captions_file}:{min(len(captions), expected) + 1}"
        problem = f"{len(captions)} captions, but {names_file.name} needs {expected} (5 per image)"
        raise DataError(f"{where}: {problem}. Make the two lists of one release agree")
    return [
        Entry(f"{names_file}:{i * step + 1}", name, captions[i * CAPTIONS_PER_IMAGE : (i + 1) * CAPTIONS_PER_IMAGE])
        for i, name in enumerate(names[::step])
    ]


def _json_entries(file: Path) -> dict[str, list[Entry]]:
    """The images of both splits in the layout of the original distributions."""
    text = _read_text(file)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise DataError(f"{file}:{line}: is not JSON ({error}). Fetch the file again") from error
    entries: dict[str, list[Entry]] = {"train": [], "test": []}
    for i, image in enumerate(_field(content, "images", list, str(file))):
        where = f"{file}, images[{i}]"
        split = _field(image, "split", str, where)
        if split not in SPLIT_OF:
            raise DataError(f"{where}: unknown split {split!r}. Use one of {', '.join(SPLIT_OF)}")
        sentences = _field(image, "sentences", list, where)
        captions = [_field(s, "raw", str, f"{where}.sentences[{j}]").strip() for j, s in enumerate(sentences)]
        entries[SPLIT_OF[split]].append(Entry(where, _field(image, "filename", str, where).strip(), captions))
    return entries


def _field(holder: object, key: str, kind: type[T], where: str) -> T:
    """The value of a key, which must exist and have this type; text must be whole."""
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise DataError(f"{where}: lacks {key!r} ({kind.__name__}). data/README.md shows the JSON layout")
    if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        problem = f"{key!r} holds half a character ({value!r}, a lone surrogate)"
        raise DataError(f"{where}: {problem}. Write the character whole, or remove it")
    return value


def _image_paths(entries: list[Entry], folder: Path, must_exist: bool) -> list[Path]:
    """Paths of the images of a split, each once and inside the image folder."""
    first_at: dict[Path, str] = {}
    for where, name, _ in entries:
        if not name:
            raise DataError(f"{where}: the file name is empty. Remove the line, or name the image")
        windows = PureWindowsPath(name)  # understands both kinds of slash, and drives
        if windows.anchor or ".." in windows.parts or "\0" in name:
            raise DataError(f"{where}: {name!r} leaves the image folder. Name images relative to {folder}")
        path = folder / name
        if path in first_at:
            problem = f"{name!r} is listed twice in one split, first at {first_at[path]}"
            raise DataError(f"{where}: {problem}. List each image once in a split")
        first_at[path] = where
    missing = [i for i, path in enumerate(first_at) if must_exist and not os.path.isfile(path)]
    if missing:
        first = ", ".join(entries[i].name for i in missing[:3])
        problem = f"{len(missing):,} of {len(entries):,} images are missing or not files, first {first}"
        remedy = f"Put them into {folder} (see data/README.md), or use captions alone (check_images=False)"
        raise DataError(f"{entries[missing[0]].where}: {problem}. {remedy}")
    return list(first_at)


def _split(entries: list[Entry], paths: list[Path], scenes: tuple[str | None, ...], split: str) -> Split:
    """The entries in memory, without their blank captions."""
    pairs = [(i, caption) for i, entry in enumerate(entries) for caption in entry.captions]
    kept = [(i, caption) for i, caption in pairs if caption]
    captioned = {i for i, _ in kept}
    for i, entry in enumerate(entries):
        if split == "test" and i not in captioned:
            problem = f"test image {entry.name!r} has no caption, so nothing can retrieve it"
            raise DataError(f"{entry.where}: {problem}. Give it a caption, or take it out of the test split")
    if not kept:
        problem = f"every caption of the {split} split is blank"
        raise DataError(f"{entries[0].where}: {problem}. Fetch the captions again")
    return Split(
        images=tuple(paths),
        captions=tuple(caption for _, caption in kept),
        image_of=np.array([i for i, _ in kept], dtype=np.int64),
        scenes=scenes,
        blank_of=tuple(i for i, caption in pairs if not caption),
    )
