"""How the images of a folder are read and cut for an index. Other options make another index."""

import math
from dataclasses import dataclass

from petl_core.data.images import ReadOptions, Window
from petl_core.errors import ConfigError


@dataclass(frozen=True)
class IndexOptions(ReadOptions):
    """Bands and stretch as in :class:`ReadOptions`, and how images are cut; a ConfigError if out of range."""

    tile: int = 512  # pixels; an image that is wider or higher is cut into square tiles
    overlap: float = 0.125  # of neighbouring tiles, as a fraction of a tile's side, at least

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.tile) is not int or self.tile < 16:
            raise ConfigError(f"how images are read: tile = {self.tile!r} must be at least 16 pixels")
        if not isinstance(self.overlap, int | float) or not 0 <= self.overlap <= 0.9:
            raise ConfigError(f"how images are read: overlap = {self.overlap!r} must be a fraction from 0 to 0.9")


def windows(width: int, height: int, tile: int, overlap: float) -> list[Window]:
    """Windows that cover every pixel of an image, row by row.

    An image that fits into a tile is one window. A larger one is cut into squares, because CLIP's preprocessing would
    crop away the longer side of others; their side is ``tile``, or the image's shorter one. Neighbours are evenly
    spaced and overlap by at least ``overlap``, a fraction of the side.

    >>> windows(100, 50, tile=50, overlap=0)
    [Window(x=0, y=0, width=50, height=50), Window(x=50, y=0, width=50, height=50)]
    """
    if max(width, height) <= tile:
        return [Window(0, 0, width, height)]
    side = min(tile, width, height)

    def starts(length: int) -> list[int]:  # the first at 0; the last window ends at ``length``
        steps = math.ceil((length - side) / max(1, math.floor(side * (1 - overlap))))
        return [round(i * (length - side) / max(1, steps)) for i in range(steps + 1)]

    return [Window(x, y, side, side) for y in starts(height) for x in starts(width)]
