"""A data set small enough to count by hand: three training and three test images, some alike, some captions too."""

from pathlib import Path

import numpy as np
from PIL import Image

from petl_core.data import RetrievalData, Split

TRAIN = {"pond_1.png": ["a pond", "green trees", ""], "port_2.png": ["a port"], "17.png": [" "]}
TEST = {
    "pond_3.png": ["A  Pond", "a pond", "one"],
    "port_4.png": ["a pond", "two"],
    "port_5.png": ["a  pond ", r"a long caption of port number $\five$ 5"],
}
SHADE = {
    "pond_1.png": 10,
    "port_2.png": 20,
    "17.png": 20,
    "pond_3.png": 30,
    "port_4.png": 10,
    "port_5.png": 40,
}


def small_data(folder: Path) -> RetrievalData:
    """Images of one shade each, with their captions."""
    (folder / "images").mkdir()
    for name, shade in SHADE.items():
        Image.new("RGB", (4, 4), (shade, 0, 0)).save(folder / "images" / name)
    return RetrievalData("small", folder, split_of(folder, TRAIN), split_of(folder, TEST))


def split_of(folder: Path, images: dict[str, list[str]]) -> Split:
    captions = [(i, caption) for i, group in enumerate(images.values()) for caption in group]
    kept = [(i, caption) for i, caption in captions if caption.strip()]
    return Split(
        images=tuple(folder / "images" / name for name in images),
        captions=tuple(caption for _, caption in kept),
        image_of=np.array([i for i, _ in kept], dtype=np.int64),
        scenes=tuple(name.split("_")[0] if "_" in name else None for name in images),
        blank_of=(0,) * (len(captions) - len(kept)),
    )


def count_words(captions):
    return [len(caption.split()) for caption in captions]
