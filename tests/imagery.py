"""A folder of images to search, and a count of what a model encodes."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, TiffImagePlugin

from petl_core.search import models

GEO_KEYS = 34735


def write_image(path: Path, number: int, size: tuple[int, int] = (32, 32)) -> Path:
    """Noise of its own for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(path)
    return path


def write_folder(folder: Path, count: int = 6) -> Path:
    """Images at two depths."""
    for i in range(count):
        write_image(folder / ("near" if i % 2 else ".") / f"{i}.png", i)
    return folder


def write_small_geotiff(path: Path) -> Path:
    """What Pillow can write of one: 8-bit RGB with a tag that says where it is."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[GEO_KEYS] = (1, 1, 0, 0)
    tags.tagtype[GEO_KEYS] = 3
    Image.new("RGB", (8, 8)).save(path, tiffinfo=tags)
    return path


def count_encoded(monkeypatch) -> list[int]:
    """How many images each call of the model's image tower encodes, from now on."""
    counts: list[int] = []
    embed = models.embed

    def counted(model, inputs: list[torch.Tensor]) -> np.ndarray:
        counts.append(len(inputs))
        return embed(model, inputs)

    monkeypatch.setattr(models, "embed", counted)
    return counts
