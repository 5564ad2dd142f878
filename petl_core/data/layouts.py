"""The two layouts on disk, read into one list of entries a split: images and their captions, as written.

They are the PE-RSITR release's (`NAME_precomp/` with caption and file-name lists) and the original distributions'
`dataset_NAME.json`; data/README.md shows both.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from petl_core.data.errors import broken
from petl_core.paths import resolve

CAPTIONS_PER_IMAGE = 5  # the release's lists; the JSON layout takes any number
RELEASE_FILES = ("train_filename.txt", "train_caps.txt", "test_filename.txt", "test_caps.txt")
SPLIT_OF = {"train": "train", "val": "train", "restval": "train", "test": "test"}


class Entry(NamedTuple):
    where: str  # file and line (or JSON entry), for messages
    name: str  # image file name
    captions: list[str]


def locate(name: Path, root: Path) -> Path:
    """The release's folder or the JSON file; a relative path is looked for under ``root``, then the project's root."""
    names = (f"{name.name}_precomp", name.name, f"dataset_{name.name}.json")
    found = find((root / name).parent, *names) or find(resolve(name).parent, *names)
    if found is None:
        remedy = "data/README.md says where to get the data sets and how to lay them out"
        raise broken((root / name).parent, f"holds none of {', '.join(names)}", remedy)
    if not found.is_dir() or any((found / file).exists() for file in RELEASE_FILES):
        return found
    inside = find(found, f"dataset_{plain_name(found.name)}.json", "dataset.json")
    if inside is None:
        remedy = "data/README.md shows the two layouts that can be read"
        raise broken(found, f"holds neither {', '.join(RELEASE_FILES)} nor a dataset_NAME.json", remedy)
    return inside


def find(folder: Path, *names: str) -> Path | None:
    """The first of these names in the folder, whatever its case: distributions spell RSITMD and rsitmd."""
    if not folder.is_dir():
        return None
    children = {child.name.lower(): child for child in sorted(folder.iterdir())}
    return next((children[name.lower()] for name in names if name.lower() in children), None)


def plain_name(name: str) -> str:
    """rsicd_precomp, dataset_rsicd, RSICD_captions -> rsicd."""
    return re.sub(r"^dataset_|[_-](precomp|captions?)$", "", name.lower())


def _text(file: Path) -> str:
    if not file.is_file():
        problem = "is a folder, not a file" if file.is_dir() else "file is missing"
        raise broken(file, problem, "data/README.md shows the layout")
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise broken(f"{file}:{line}", "is not UTF-8", "Save the file as UTF-8") from error


def lines_of(file: Path) -> list[str]:
    """Stripped lines. Only a line feed ends one: captions may hold what else splitlines cuts at."""
    text = _text(file)
    return [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []


def release_entries(folder: Path, split: str) -> list[Entry]:
    names_file, captions_file = folder / f"{split}_filename.txt", folder / f"{split}_caps.txt"
    names, captions = lines_of(names_file), lines_of(captions_file)
    if split == "test":
        _check_runs(names_file, names)
    step = CAPTIONS_PER_IMAGE if split == "test" else 1  # lines a name
    expected = len(names) // step * CAPTIONS_PER_IMAGE
    if len(captions) != expected:
        where = f"{captions_file}:{min(len(captions), expected) + 1}"
        problem = f"{len(captions)} captions, but {names_file.name} needs {expected} (5 an image)"
        raise broken(where, problem, "Make the two lists of one release agree")
    groups = zip(*[iter(captions)] * CAPTIONS_PER_IMAGE, strict=True)
    return [
        Entry(f"{names_file}:{i * step + 1}", name, list(group))
        for i, (name, group) in enumerate(zip(names[::step], groups, strict=True))
    ]


def _check_runs(file: Path, names: list[str]) -> None:
    """In the release's test list each name stands five times in a row, once a caption."""
    for i, name in enumerate(names):
        if name != names[i - i % CAPTIONS_PER_IMAGE]:
            problem = f"{name!r} breaks a run of {CAPTIONS_PER_IMAGE} equal names"
            remedy = "List each test image once for each of its captions, in a row"
            raise broken(f"{file}:{i + 1}", problem, remedy)
    if len(names) % CAPTIONS_PER_IMAGE:
        problem = f"the list ends within a run of {CAPTIONS_PER_IMAGE} equal names"
        raise broken(f"{file}:{len(names)}", problem, "It is cut short: fetch it again")


def json_entries(file: Path) -> dict[str, list[Entry]]:
    text = _text(file)
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


def _field(holder: object, key: str, kind: type, where: str):
    value = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(value, kind):
        raise broken(where, f"lacks {key!r} ({kind.__name__})", "data/README.md shows the JSON layout")
    return value
