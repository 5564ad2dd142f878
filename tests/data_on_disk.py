"""Data sets as files, for the tests of what reads them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from petl_core.data import DataError, Split, load


def listing(prefix: str, count: int, captions: int = 5) -> dict[str, list[str]]:
    return {f"{prefix}_{i}.png": [f"view {j} of {prefix} number {i}" for j in range(captions)] for i in range(count)}


TRAIN, TEST = listing("bareland", 3), listing("pond", 2)


def write_release(root: Path, name: str = "rsicd", train=TRAIN, test=TEST, newline: str = "\n", bom: str = ""):
    folder = root / f"{name}_precomp"
    folder.mkdir(parents=True)
    for split, images, repeat in (("train", train, 1), ("test", test, 5)):
        names = [image for image in images for _ in range(repeat)]
        captions = [caption for group in images.values() for caption in group]
        for kind, lines in (("filename", names), ("caps", captions)):
            text = bom + "".join(line + newline for line in lines)
            (folder / f"{split}_{kind}.txt").write_bytes(text.encode())
    return folder


def write_json(file: Path, train=TRAIN, test=TEST) -> Path:
    images = [
        {"filename": name, "split": split, "sentences": [{"raw": caption} for caption in captions]}
        for split, listed in (("train", train), ("test", test))
        for name, captions in listed.items()
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images}))
    return file


def write_images(folder: Path, names) -> None:
    folder.mkdir()
    for i, name in enumerate(names):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(folder / name)


def as_dict(split: Split) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {path.name: [] for path in split.images}
    for caption, image in zip(split.captions, split.image_of, strict=True):
        groups[split.images[image].name].append(caption)
    return groups


def edit(file: Path, change) -> None:
    file.write_text("".join(line + "\n" for line in change(file.read_text().splitlines())))


def fails(root: Path, match: str, name: str = "rsicd"):
    with pytest.raises(DataError, match=match):
        load(name, root, check_images=False)
