"""A test split of three images, searched by two models; what galleries are made of."""

from pathlib import Path

import numpy as np
from petl_core.evaluation.gallery_search import Searched
from PIL import Image

from petl_core.data import Split


def adapted(folder: Path) -> Searched:
    """The first two images share a caption."""
    paths = tuple(folder / f"{i}.png" for i in range(3))
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    split = Split(paths, ("a road", "a red car", "A  road", "a pond"), np.array([0, 0, 1, 2]), (None,) * 3)
    return Searched(split, np.array([[0.9, 0.1, 0.9, 0.2], [0.8, 0.3, 0.8, 0.1], [0.7, 0.5, 0.7, 0.6]]))


def zero_shot(found: Searched) -> Searched:
    """Another model on the same images: it finds the second caption's image and loses the pond's."""
    return Searched(found.split, np.array([[0.9, 0.9, 0.9, 0.7], [0.8, 0.3, 0.8, 0.1], [0.7, 0.5, 0.7, 0.6]]))
