"""Load a data set by name or path, in any of the known layouts: a new one needs no code."""

import os
from pathlib import Path, PureWindowsPath

import numpy as np

from petl_core.data.errors import broken
from petl_core.data.layouts import Entry, find_child, json_entries, locate, plain_name, release_entries
from petl_core.data.scene_names import read_scene_words, scene_of
from petl_core.data.split import RetrievalData, Split


def load(name: str | Path, root: str | Path = "data", check_images: bool = True) -> RetrievalData:
    """Read a data set.

    Args:
        name: its name, or the path of its folder or of its JSON file.
        root: folder of data sets.
        check_images: whether all image files must exist; work on captions alone does not need them.

    Raises:
        DataError: anything is missing or broken.
    """
    # The captions and file names as written.
    source = locate(Path(name), Path(root))
    if source.is_dir():
        folder, plain = source, plain_name(source.name)
        entries = {split: release_entries(source, split) for split in ("train", "test")}
    else:
        folder = source.parent
        plain = plain_name(folder.name if source.stem.lower() == "dataset" else source.stem)
        entries = json_entries(source)
    for split, listed in entries.items():
        if not listed:
            where = source / f"{split}_filename.txt" if source.is_dir() else source
            raise broken(where, f"the {split} split lists no image", "Fetch the file again")

    # Images and scene labels.
    images = find_child(folder, f"{plain}_images", "images", "imgs") or folder / f"{plain}_images"
    words = read_scene_words(folder / "scene_classes.txt")
    splits = {}
    for split, listed in entries.items():
        paths = _image_paths(listed, images)
        if check_images:
            _check_images(listed, paths, images)
        scenes = tuple(scene_of(path.stem, plain, words) for path in paths)
        splits[split] = _assemble(listed, paths, scenes, split)
    return RetrievalData(name=plain, root=folder, **splits)


def _image_paths(entries: list[Entry], folder: Path) -> list[Path]:
    """Paths of the images of a split, each once and inside the image folder."""
    first_at: dict[Path, str] = {}
    for entry in entries:
        path = folder / _checked_name(entry, folder)
        if path in first_at:
            problem = f"{entry.name!r} is listed twice in one split, first at {first_at[path]}"
            raise broken(entry.where, problem, "List each image once in a split")
        first_at[path] = entry.where
    return list(first_at)


def _checked_name(entry: Entry, folder: Path) -> str:
    """The file name, which must not lead out of the folder."""
    if not entry.name:
        raise broken(entry.where, "the file name is empty", "Remove the line, or name the image")
    windows = PureWindowsPath(entry.name)  # understands both kinds of slash, and drives
    if windows.anchor or ".." in windows.parts or "\0" in entry.name:
        problem = f"{entry.name!r} leaves the image folder"
        raise broken(entry.where, problem, f"Name images relative to {folder}")
    return entry.name


def _check_images(entries: list[Entry], paths: list[Path], folder: Path) -> None:
    missing = [i for i, path in enumerate(paths) if not os.path.isfile(path)]
    if missing:
        first = ", ".join(entries[i].name for i in missing[:3])
        problem = f"{len(missing):,} of {len(paths):,} images are missing or not files, first {first}"
        remedy = f"Put them into {folder} (see data/README.md), or use captions alone (check_images=False)"
        raise broken(entries[missing[0]].where, problem, remedy)


def _assemble(entries: list[Entry], paths: list[Path], scenes: tuple[str | None, ...], split: str) -> Split:
    """The entries of a split in memory, without their blank captions."""
    captions: list[str] = []
    image_of: list[int] = []
    blank_of: list[int] = []
    for i, entry in enumerate(entries):
        kept = [caption for caption in entry.captions if caption]
        if not kept and split == "test":
            problem = f"test image {entry.name!r} has no caption, so nothing can retrieve it"
            raise broken(entry.where, problem, "Give it a caption, or take it out of the test split")
        captions += kept
        image_of += [i] * len(kept)
        blank_of += [i] * (len(entry.captions) - len(kept))
    if not captions:
        problem = f"every caption of the {split} split is blank"
        raise broken(entries[0].where, problem, "Fetch the captions again")
    return Split(tuple(paths), tuple(captions), np.array(image_of, dtype=np.int64), scenes, tuple(blank_of))
