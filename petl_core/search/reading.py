"""Image files as windows of 8-bit RGB: most through Pillow, rasters through rasterio.

A raster is a TIFF that is georeferenced, or has more than 8 bits per pixel, a number of bands that Pillow does not
support, or more pixels than it should decode at once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, TiffImagePlugin

from petl_core.data import read_image
from petl_core.data.errors import broken
from petl_core.data.images import MAX_PIXELS
from petl_core.search.options import IndexOptions
from petl_core.search.tiles import Window

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
GEOTIFF_TAGS = (33550, 33922, 34264, 34735)  # pixel scale, tie points, transformation, key directory
WIDTH, HEIGHT, BITS, BANDS = 256, 257, 258, 277  # other TIFF tags
BANDS_OF_PILLOW = (1, 3, 4)


@dataclass(frozen=True)
class Source:
    """An image file of which the header has been read, but no pixel."""

    path: Path
    width: int
    height: int

    def read(self, windows: Iterable[Window]) -> Iterator[Image.Image | None]:
        """Each window as an RGB image; None if none of its pixels holds data.

        Raises:
            DataError: the file cannot be read.
        """
        raise NotImplementedError

    def centre(self, window: Window) -> tuple[float, float]:
        """Longitude and latitude of a window's centre in degrees; NaN if they are not known."""
        return float("nan"), float("nan")


@dataclass(frozen=True)
class Picture(Source):
    """A file that Pillow reads."""

    def read(self, windows: Iterable[Window]) -> Iterator[Image.Image | None]:
        image = read_image(self.path)
        for x, y, width, height in windows:
            yield image.crop((x, y, x + width, y + height))


def probe(path: Path, options: IndexOptions) -> Source:
    """Read what an image file says about itself, without its pixels.

    Raises:
        DataError: it cannot be read, or lacks a band.
        ConfigError: it is a raster, and rasterio is not installed.
    """
    if is_raster(path):
        from petl_core.search import rasters  # only where there are any

        return rasters.probe(path, options)
    try:
        with Image.open(path) as image:
            return Picture(path, *image.size)
    except Exception as error:  # decoders raise nearly anything on broken files
        raise broken(path, f"cannot be read as an image ({error})", "Fetch the file again") from error


def is_raster(path: Path) -> bool:
    """Whether a file is for rasterio, as far as its header can be read."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        with path.open("rb") as file:
            header = file.read(8)
            if header[2:3] == b"\x2b" or header[3:4] == b"\x2b":  # BigTIFF
                header += file.read(8)
            tags = TiffImagePlugin.ImageFileDirectory_v2(header)
            file.seek(tags.next)
            tags.load(file)
            size = tags[WIDTH] * tags[HEIGHT]
            return (
                any(tag in tags for tag in GEOTIFF_TAGS)
                or max(tags.get(BITS, (1,))) > 8
                or tags.get(BANDS, 1) not in BANDS_OF_PILLOW
                or size > MAX_PIXELS
            )
    except Exception:  # not a TIFF, or a broken one, which Pillow then reports
        return False


def read_whole(path: Path, options: IndexOptions, window: Window | None = None) -> Image.Image:
    """An image, or one window of it, as RGB.

    Raises:
        DataError: it cannot be read, or holds no data there.
        ConfigError: it is a raster, and rasterio is not installed.
    """
    source = probe(path, options)
    (image,) = source.read([window or Window(0, 0, source.width, source.height)])
    if image is None:
        raise broken(path, "holds no data", "Choose another image")
    return image
