"""A retrieval data set: images, their captions and scene labels, in a training and a test split.

    layouts       the two layouts on disk, as entries
    scene_names   scene labels of file names
    images        image files
    split         what all of it becomes in memory

Whatever is broken raises one `DataError` that names the file, the line and the remedy.
"""

import os
from pathlib import Path, PureWindowsPath

import numpy as np

from petl_core.data.errors import DataError, broken
from petl_core.data.images import read_image
from petl_core.data.layouts import Entry, find, json_entries, locate, plain_name, release_entries
from petl_core.data.scene_names import scene_of, words_of
from petl_core.data.split import RetrievalData, Split, caption_key, split_validation

__all__ = ["DataError", "RetrievalData", "Split", "caption_key", "load", "read_image", "split_validation"]


def load(name: str | Path, root: str | Path = "data", check_images: bool = True) -> RetrievalData:
    """Read the data set `name` under `root`; `name` may also be the path of its folder or of its JSON file.

    `check_images=False` does without the image files, for work on captions alone. Raises DataError.
    """
    source = locate(Path(name), Path(root))
    folder = source if source.is_dir() else source.parent
    plain = plain_name(folder.name if source.is_dir() or source.stem.lower() == "dataset" else source.stem)
    if source.is_dir():
        entries = {split: release_entries(source, split) for split in ("train", "test")}
    else:
        entries = json_entries(source)
    images = find(folder, f"{plain}_images", "images", "imgs") or folder / f"{plain}_images"
    words = words_of(folder / "scene_classes.txt")
    splits = {}
    for split, listed in entries.items():
        if not listed:
            where = source / f"{split}_filename.txt" if source.is_dir() else source
            raise broken(where, f"the {split} split lists no image", "Fetch the file again")
        paths = _image_paths(listed, images)
        if check_images:
            _check_images(listed, paths, images)
        splits[split] = _split(listed, paths, tuple(scene_of(path.stem, plain, words) for path in paths), split)
    return RetrievalData(name=plain, root=folder, **splits)


def _image_paths(entries: list[Entry], folder: Path) -> list[Path]:
    seen: dict[Path, str] = {}
    for entry in entries:
        path = _inside(folder, entry)
        if path in seen:
            problem = f"{entry.name!r} stands twice in one split, first at {seen[path]}"
            raise broken(entry.where, problem, "List each image once in a split")
        seen[path] = entry.where
    return list(seen)


def _inside(folder: Path, entry: Entry) -> Path:
    if not entry.name:
        raise broken(entry.where, "the file name is empty", "Remove the line, or name the image")
    windows = PureWindowsPath(entry.name)  # understands both kinds of slash, and drives
    if windows.anchor or ".." in windows.parts or "\0" in entry.name:
        problem = f"{entry.name!r} leaves the image folder"
        raise broken(entry.where, problem, f"Name images relative to {folder}")
    return folder / entry.name


def _check_images(entries: list[Entry], paths: list[Path], folder: Path) -> None:
    missing = [i for i, path in enumerate(paths) if not os.path.isfile(path)]
    if missing:
        first = ", ".join(entries[i].name for i in missing[:3])
        problem = f"{len(missing):,} of {len(paths):,} images are missing or no files, first {first}"
        remedy = f"Put them into {folder} (see data/README.md), or use captions alone (check_images=False)"
        raise broken(entries[missing[0]].where, problem, remedy)


def _split(entries: list[Entry], paths: list[Path], scenes: tuple[str | None, ...], split: str) -> Split:
    captions, image_of = [], []
    for i, entry in enumerate(entries):
        kept = [caption for caption in entry.captions if caption]
        if not kept and split == "test":
            problem = f"test image {entry.name!r} has no caption, so nothing can retrieve it"
            raise broken(entry.where, problem, "Give it a caption, or take it out of the test split")
        captions += kept
        image_of += [i] * len(kept)
    if not captions:
        problem = f"every caption of the {split} split is blank"
        raise broken(entries[0].where, problem, "Fetch the captions again")
    blank = sum(len(entry.captions) for entry in entries) - len(captions)
    return Split(tuple(paths), tuple(captions), np.array(image_of, dtype=np.int64), scenes, blank)
