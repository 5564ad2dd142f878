"""How the images of a folder are read for an index. Other options make another index."""

import dataclasses
from dataclasses import dataclass

from petl_core.errors import ConfigError
from petl_core.parameters import check_types

STRETCHES = ("auto", "percentile", "range")


@dataclass(frozen=True)
class IndexOptions:
    """How images are cut, and how the pixels of a raster (:mod:`petl_core.search.reading`) become 8-bit RGB.

    Raises:
        ConfigError: a field of the wrong type or out of range.
    """

    tile: int = 512  # pixels; an image that is wider or higher is cut into square tiles
    overlap: float = 0.125  # of neighbouring tiles, as a fraction of a tile's side, at least
    bands: tuple[int, ...] = (1, 2, 3)  # red, green, blue, counted from 1; Sentinel-2 has (4, 3, 2)
    stretch: str = "auto"  # "percentile", "range", or "auto": 8-bit pixels as they are, wider ones by percentiles
    limits: tuple[float, ...] = (2.0, 98.0)  # what becomes 0 and 255: percentiles of a band, or pixel values ("range")

    def __post_init__(self) -> None:
        for name in ("bands", "limits"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        declared = {field.name: field.type for field in dataclasses.fields(self)}
        check_types(dataclasses.asdict(self), declared, "options of the index")
        numbers = [type(value) is int for value in self.bands]
        self._require(self.tile >= 16, "tile", "at least 16 pixels")
        self._require(0 <= self.overlap <= 0.9, "overlap", "a fraction from 0 to 0.9")
        self._require(
            len(self.bands) == 3 and all(numbers) and min(self.bands) >= 1, "bands", "three band numbers from 1"
        )
        self._require(self.stretch in STRETCHES, "stretch", f"one of {', '.join(STRETCHES)}")
        self._require(len(self.limits) == 2 and self.limits[0] < self.limits[1], "limits", "two rising numbers")
        if self.stretch != "range":
            self._require(self.limits[0] >= 0 and self.limits[1] <= 100, "limits", "percentiles from 0 to 100")

    def _require(self, condition: bool, name: str, wanted: str) -> None:
        if not condition:
            raise ConfigError(f"options of the index: {name} = {getattr(self, name)!r} must be {wanted}")
