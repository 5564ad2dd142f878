"""Images as the browser takes them: small, embedded in the page, on demand under a focus map."""

import base64
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

from petl_core.data import read_image
from petl_core.data.images import ReadOptions, Window
from petl_core.search.gallery import Hit

SIDE = 176  # pixels, of a thumbnail's longer side
LARGE = 384
OPACITY = 0.55  # of a focus map: the image stays visible below it


def thumbnail(hit: Hit, options: ReadOptions) -> str:
    """What a hit shows, as a data URI.

    Raises:
        DataError: the file cannot be read.
    """
    return _thumbnail(hit.path, hit.window, options)


def data_uri(picture: Image.Image, side: int = SIDE) -> str:
    """An image whose longer side has between ``side`` / 2 and ``side`` pixels, as ``data:image/jpeg;base64,...``."""
    longest = max(picture.size)
    scale = 1 if side / 2 < longest <= side else side / longest
    size = [max(1, round(scale * length)) for length in picture.size]
    small = picture.convert("RGB").resize((size[0], size[1]), Image.Resampling.BICUBIC)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def with_focus(picture: Image.Image, weights: np.ndarray) -> Image.Image:
    """An image under the weights of one focus layer, (height, width) in 0..1: yellow passes, dark is suppressed.

    The map covers the central square, which is what CLIP's preprocessing cuts out.
    """
    enlarged = picture.convert("RGB").resize([round(length * LARGE / min(picture.size)) for length in picture.size])
    left, top = (enlarged.width - LARGE) // 2, (enlarged.height - LARGE) // 2
    box = (left, top, left + LARGE, top + LARGE)
    colours = mpl.colormaps["viridis"](weights, bytes=True)[..., :3]
    layer = Image.fromarray(colours).resize((LARGE, LARGE), Image.Resampling.NEAREST)
    enlarged.paste(Image.blend(enlarged.crop(box), layer, OPACITY), box)
    return enlarged


@lru_cache(maxsize=4096)
def _thumbnail(path: Path, window: Window | None, options: ReadOptions) -> str:
    return data_uri(read_image(path, options, window))
