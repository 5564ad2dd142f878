"""The windows that an image is cut into."""

import math
from typing import NamedTuple


class Window(NamedTuple):
    """A part of an image, in pixels from its upper left corner."""

    x: int
    y: int
    width: int
    height: int


def windows(width: int, height: int, tile: int, overlap: float) -> list[Window]:
    """Windows that cover every pixel of an image, row by row.

    An image that fits into a tile is one window. A larger one is cut into squares, because CLIP's preprocessing would
    crop away the longer side of others; their side is ``tile``, or the image's shorter one. Neighbours are evenly
    spaced and overlap by at least ``overlap``.

    >>> windows(100, 60, tile=50, overlap=0)
    [Window(x=0, y=0, width=50, height=50), Window(x=50, y=0, width=50, height=50), Window(x=0, y=10, width=50, \
height=50), Window(x=50, y=10, width=50, height=50)]

    Args:
        width: of the image, in pixels.
        height: of the image, in pixels.
        tile: the longest side of a window.
        overlap: fraction of a window's side, from 0 to below 1.
    """
    if max(width, height) <= tile:
        return [Window(0, 0, width, height)]
    side = min(tile, width, height)
    return [Window(x, y, side, side) for y in _starts(height, side, overlap) for x in _starts(width, side, overlap)]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Where windows of this side start on an axis: the first at 0; the last ends at ``length``."""
    steps = math.ceil((length - side) / max(1, math.floor(side * (1 - overlap))))
    return [round(i * (length - side) / steps) for i in range(steps + 1)] if steps else [0]
