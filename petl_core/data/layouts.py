"""The two layouts on disk, read into one list of entries per split: images and their captions, as written.

They are the PE-RSITR release's (``NAME_precomp/`` with caption and file-name lists) and the original distributions'
``dataset_NAME.json``; data/README.md shows both.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple, TypeVar

from petl_core.data.errors import broken
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


def locate(name: Path, root: Path) -> Path:
    """Find a data set.

    Args:
        name: of the data set, or a path of its folder or JSON file, with or without their usual prefix and suffix; a
            relative one is looked for under ``root``, then under the project's root.
        root: folder of data sets.

    Returns:
        The release's folder, or the JSON file.

    Raises:
        DataError: nothing was found, or the folder has neither layout.
    """
    names = (f"{name.name}_precomp", name.name, f"dataset_{name.name}.json")
    found = find_child((root / name).parent, *names) or find_child(resolve(name).parent, *names)
    if found is None:
        remedy = "data/README.md says where to get the data sets and how to lay them out"
        raise broken((root / name).parent, f"holds none of {', '.join(names)}", remedy)
    if not found.is_dir() or any((found / file).exists() for file in RELEASE_FILES):
        return found
    inside = find_child(found, f"dataset_{plain_name(found.name)}.json", "dataset.json")
    if inside is None:
        remedy = "data/README.md shows the two layouts that can be read"
        raise broken(found, f"holds neither {', '.join(RELEASE_FILES)} nor a dataset_NAME.json", remedy)
    return inside


def find_child(folder: Path, *names: str) -> Path | None:
    """The first of these names in a folder, whatever its case: distributions spell RSITMD and rsitmd."""
    if not folder.is_dir():
        return None
    children = {child.name.lower(): child for child in sorted(folder.iterdir())}
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
        raise broken(file, problem, "data/README.md shows the layout")
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise broken(f"{file}:{line}", "is not UTF-8", "Save the file as UTF-8") from error


def read_lines(file: Path) -> list[str]:
    """The stripped lines of a text file.

    Raises:
        DataError: it is missing or not UTF-8.
    """
    # Only a line feed ends a line: captions may contain the other characters at which str.splitlines splits.
    text = _read_text(file)
    return [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []


def release_entries(folder: Path, split: str) -> list[Entry]:
    """The images of a split, "train" or "test", in the layout of the PE-RSITR release.

    Raises:
        DataError: a list is missing, or the two do not match.
    """
    names_file, captions_file = folder / f"{split}_filename.txt", folder / f"{split}_caps.txt"
    names, captions = read_lines(names_file), read_lines(captions_file)

    # In train a name is listed once, in test once for each of its captions.
    step = CAPTIONS_PER_IMAGE if split == "test" else 1
    if split == "test":
        _check_runs(names_file, names)
    expected = len(names) // step * CAPTIONS_PER_IMAGE
    if len(captions) != expected:
        where = f"{captions_file}:{min(len(captions), expected) + 1}"
        problem = f"{len(captions)} captions, but {names_file.name} needs {expected} (5 per image)"
        raise broken(where, problem, "Make the two lists of one release agree")

    entries = []
    for i, name in enumerate(names[::step]):
        first = i * CAPTIONS_PER_IMAGE
        own_captions = captions[first : first + CAPTIONS_PER_IMAGE]
        entries.append(Entry(f"{names_file}:{i * step + 1}", name, own_captions))
    return entries


def _check_runs(file: Path, names: list[str]) -> None:
    """Check that each name of a test list is repeated five times in a row, once per caption."""
    for i, name in enumerate(names):
        if name != names[i - i % CAPTIONS_PER_IMAGE]:
            problem = f"{name!r} breaks a run of {CAPTIONS_PER_IMAGE} equal names"
            remedy = "List each test image once for each of its captions, in a row"
            raise broken(f"{file}:{i + 1}", problem, remedy)
    if len(names) % CAPTIONS_PER_IMAGE:
        problem = f"the list ends within a run of {CAPTIONS_PER_IMAGE} equal names"
        raise broken(f"{file}:{len(names)}", problem, "It is cut short: fetch it again")


def json_entries(file: Path) -> dict[str, list[Entry]]:
    """The images of both splits, "train" and "test", in the layout of the original distributions.

    Raises:
        DataError: the file is not JSON in that layout.
    """
    text = _read_text(file)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"{file}:{getattr(error, 'lineno', 1)}"
        raise broken(where, f"is not JSON ({error})", "Fetch the file again") from error
    entries: dict[str, list[Entry]] = {"train": [], "test": []}
    for i, image in enumerate(_field(content, "images", list, str(file))):
        where = f"{file}, images[{i}]"
        split = _field(image, "split", str, where)
        if split not in SPLIT_OF:
            raise broken(where, f"unknown split {split!r}", f"Use one of {', '.join(SPLIT_OF)}")
        sentences = _field(image, "sentences", list, where)
        captions = [_field(s, "raw", str, f"{where}.sentences[{j}]").strip() for j, s in enumerate(sentences)]
        name = _field(image, "filename", str, where).strip()
        entries[SPLIT_OF[split]].append(Entry(where, name, captions))
    return entries


def _field(holder: object, key: str, kind: type[T], where: str) -> T:
    """The value of a key, which must exist and have this type."""
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise broken(where, f"lacks {key!r} ({kind.__name__})", "data/README.md shows the JSON layout")
    return value
