"""The one reader of image files, for data sets, the search of own imagery, and uploads: upright 8-bit RGB.

Pillow reads ordinary pictures. rasterio, which is optional, reads what Pillow would narrow or lose: TIFF that is
georeferenced, wider than 8 bits, of other bands or very large, and 16-bit colour PNG. Transparent pixels and those
without data are black. Importable without torch.
"""

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from petl_core.errors import ConfigError, DataError

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif")
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAGIC = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"BM", b"GIF8", *TIFF_MAGIC)  # how files of FORMATS begin
MAX_PIXELS = 2**26  # 8,192 x 8,192: far above any image of the data sets, far below what fills memory
LONGEST = 100  # times the shorter side: resizing a longer strip, which models crop to a square, fills memory
SAMPLE_SIDE = 1024  # percentiles are those of the image shrunk to this
LARGEST_SIDE = 2048  # a larger window is shrunk to this when it is stretched, or read by rasterio
STRETCHES = ("auto", "percentile", "range")

# TIFF tags; a file with one of GEO is placed on the map, or (the last) says which value means "no data".
WIDTH, HEIGHT, BITS, ORIENTATION, BANDS, SAMPLE_FORMAT = 256, 257, 258, 274, 277, 339
GEO = (33550, 33922, 34264, 34735, 42113)


class Window(NamedTuple):
    """A part of an upright image, in pixels from its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class ReadOptions:
    """How bands and pixel values become 8-bit RGB, georeferenced or not; a ConfigError if out of range."""

    bands: tuple[int, ...] = ()  # red, green, blue, counted from 1; (): as the file says, else 1 2 3, or its one band
    stretch: str = "auto"  # "percentile", "range", or "auto": 8-bit pixels as they are, wider ones by percentiles
    limits: tuple[float, ...] = (2.0, 98.0)  # what becomes 0 and 255: percentiles of a band, or pixel values ("range")

    def __post_init__(self) -> None:
        for name in ("bands", "limits"):  # lists, too
            object.__setattr__(self, name, tuple(getattr(self, name)))
        numbers = len(self.limits) == 2 and all(isinstance(value, int | float) for value in self.limits)
        low, high = self.limits if numbers else (0, 0)
        whole = len(self.bands) in (0, 3) and all(type(band) is int and band >= 1 for band in self.bands)
        for name, good, wanted in (
            ("bands", whole, "three band numbers from 1"),
            ("stretch", self.stretch in STRETCHES, f"one of {', '.join(STRETCHES)}"),
            ("limits", low < high, "two rising numbers"),
            ("limits", self.stretch == "range" or 0 <= low < high <= 100, "percentiles from 0 to 100"),
        ):
            if not good:
                raise ConfigError(f"how images are read: {name} = {getattr(self, name)!r} must be {wanted}")


def read_image(path: str | Path, options: ReadOptions | None = None, window: Window | None = None) -> Image.Image:
    """Read an image, or a window of it, as upright RGB; the first frame if it has several.

    Raises:
        DataError: naming the file and the remedy: missing, broken, too large or long, without data, or lacking a band.
        ConfigError: only rasterio reads the file, and it is not installed.
    """
    file = open_image(path, options)
    (image,) = file.read([window or Window(0, 0, file.width, file.height)])
    if image is None:
        raise DataError(f"{path}: holds no data. Leave the file out")
    return image


def pixel_digest(path: str | Path) -> str:
    """Digest of a decoded image: the same for equal pixels, whatever the file format; errors as in `read_image`."""
    image = read_image(path)
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def open_image(path: str | Path, options: ReadOptions | None = None) -> "ImageFile":
    """Read what an image file says about itself, and of a raster a sample of its pixels; errors as in `read_image`."""
    path, options = Path(path), options or ReadOptions()
    if not os.path.isfile(path):
        problem = "is a folder, not an image" if os.path.isdir(path) else "image is missing"
        raise DataError(f"{path}: {problem}. Put the image there, or correct the path")
    with _naming_errors(path):
        with path.open("rb") as file:
            magic = file.read(4)
            tags = _tiff_tags(file) if magic in TIFF_MAGIC else {}
        if not magic:
            raise EOFError("it is empty")
        if tags and (options.bands or _is_raster(tags)):
            return _open_raster(path, options, _orientation(tags))
        try:
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                # Pillow turns TIFF itself; of PNG only what precedes the pixels is read, without decoding them.
                orientation = 1 if image.format == "TIFF" else _exif_orientation(image)
                wide = image.format == "PNG" and ";16B" in str(image.tile) and image.mode != "I;16"
        except UnidentifiedImageError:
            if magic.startswith(MAGIC):
                raise
            raise DataError(
                f"{path}: is in no format that is read here ({', '.join(FORMATS)}). Convert it to PNG or TIFF"
            ) from None
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if wide:
            return _open_raster(path, options, orientation)
        size = (height, width) if orientation > 4 else (width, height)
        return ImageFile(path, *size, options, orientation)


@dataclass(frozen=True)
class ImageFile:
    """An image file that Pillow reads, of which the header has been read."""

    path: Path
    width: int  # upright
    height: int
    options: ReadOptions
    orientation: int  # of the pixels as stored, 1 to 8 as in EXIF

    def read(self, windows: Iterable[Window]) -> Iterator[Image.Image | None]:
        """Each window as RGB; None if none of its pixels holds data. Errors as in `read_image`."""
        with _naming_errors(self.path):
            with Image.open(self.path, formats=FORMATS) as image:
                image.load()
                plain = image.mode in ("L", "RGB") and "transparency" not in image.info
                as_it_is = plain or image.mode == "I;16"  # 16-bit grey
                colours = image if as_it_is else image.convert("RGBA" if image.has_transparency_data else "RGB")
                pixels = _upright(np.atleast_3d(np.asarray(colours)), self.orientation)
            count = pixels.shape[2]
            _check_bands(self.path, self.options.bands, count)
            bands = self.options.bands or ((1, 2, 3) if count >= 3 else (1, 1, 1))
            channels = slice(3) if bands == (1, 2, 3) else [band - 1 for band in bands]  # a slice copies nothing
            has_alpha = count == 4 and 4 not in bands

            def block(part: np.ndarray) -> np.ma.MaskedArray:
                hidden = np.repeat(part[..., 3:] == 0, 3, axis=2) if has_alpha else np.ma.nomask
                return np.ma.array(part[..., channels], mask=hidden)

            limits = _limits(self.path, block(_shrunk(pixels, SAMPLE_SIDE)), self.options)
            for window in windows:
                x, y, width, height = _checked(self.path, window)
                part = pixels[y : y + height, x : x + width]
                yield _as_image(block(part if limits is None else _shrunk(part, LARGEST_SIDE)), limits)

    def centre(self, window: Window) -> tuple[float, float]:
        """Longitude and latitude of a window's centre in degrees; NaN if they are not known."""
        return nan, nan


@dataclass(frozen=True)
class Raster(ImageFile):
    """An image file that rasterio reads, window by window."""

    bands: tuple[int, ...]
    palette: np.ndarray | None  # (values, 3) uint8 of a band that holds its indices
    limits: np.ndarray | None  # (3, 2) pixel values of each band that become 0 and 255; None: pixels are 8-bit RGB
    place: tuple[Any, Any] | None  # coordinate system, and transform from stored pixels to it

    def read(self, windows: Iterable[Window]) -> Iterator[Image.Image | None]:
        with _naming_errors(self.path), _rasterio_open(self.path) as dataset:
            for window in windows:
                stored = self._stored(_checked(self.path, window))
                block = _raster_block(dataset, self.bands, self.palette, LARGEST_SIDE, stored)
                yield _as_image(_upright(block, self.orientation), self.limits)

    def centre(self, window: Window) -> tuple[float, float]:
        if self.place is None:
            return nan, nan
        from rasterio.warp import transform

        system, to_system = self.place
        x, y, width, height = self._stored(window)
        east, north = to_system @ (x + width / 2, y + height / 2)
        try:
            (longitude,), (latitude,) = transform(system, "EPSG:4326", [east], [north])
        except Exception:  # a local system that cannot be converted to degrees
            return nan, nan
        return (longitude, latitude) if isfinite(longitude) and isfinite(latitude) else (nan, nan)

    def _stored(self, window: Window) -> Window:
        """Where the pixels of an upright window are stored; the inverse of :func:`_upright`."""
        x, y, width, height = window
        if self.orientation in (2, 3, 6, 7):
            x = self.width - x - width
        if self.orientation in (3, 4, 7, 8):
            y = self.height - y - height
        return Window(y, x, height, width) if self.orientation > 4 else Window(x, y, width, height)


def _tiff_tags(file: Any) -> Any:
    """The tags of a TIFF's first image, whether or not Pillow knows its kind of pixels."""
    file.seek(0)
    header = file.read(8)
    if b"+" in header[2:4]:  # BigTIFF
        header += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    if WIDTH not in tags or HEIGHT not in tags:
        raise EOFError("its header is cut short")
    return tags


def _is_raster(tags: Any) -> bool:
    return (
        any(tag in tags for tag in GEO)
        or max(tags.get(BITS, (1,))) > 8
        or not set(tags.get(SAMPLE_FORMAT, (1,))) <= {1, 4}  # signed, float or complex
        or tags.get(BANDS, 1) not in (1, 3, 4)
        or tags[WIDTH] * tags[HEIGHT] > MAX_PIXELS
    )


def _open_raster(path: Path, options: ReadOptions, orientation: int) -> Raster:
    with _rasterio_open(path) as dataset:
        count, colours = dataset.count, [colour.name for colour in dataset.colorinterp]
        _check_bands(path, options.bands, count)
        palette, bands = None, options.bands
        if not bands and colours[0] == "palette":
            table = dataset.colormap(1)
            palette = np.array([table.get(i, (0, 0, 0))[:3] for i in range(max(table) + 1)], dtype=np.uint8)
        if not bands and {"red", "green", "blue"} <= set(colours):
            bands = tuple(colours.index(colour) + 1 for colour in ("red", "green", "blue"))
        bands = bands or ((1, 2, 3) if count >= 3 else (1, 1, 1))
        place = (dataset.crs, dataset.transform) if dataset.crs else None
        limits = _limits(path, _raster_block(dataset, bands, palette, SAMPLE_SIDE), options)
        size = (dataset.height, dataset.width) if orientation > 4 else (dataset.width, dataset.height)
        return Raster(path, *size, options, orientation, bands, palette, limits, place)


def _rasterio_open(path: Path) -> Any:
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning
    except ImportError as error:
        raise ConfigError(
            f"{path} is georeferenced, or has bands or pixels that only rasterio reads; install it by "
            ".venv/bin/python -m pip install -e '.[raster]'"
        ) from error
    # A raster without coordinates is not an error. (Contexts that silence warnings are not thread-safe.)
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    return rasterio.open(path)


def _raster_block(
    dataset: Any, bands: tuple[int, ...], palette: np.ndarray | None, largest: int, window: Window | None = None
) -> np.ma.MaskedArray:
    """(H, W, 3) as stored, shrunk to ``largest``, as floats if wider than 8 bits; pixels without data are masked."""
    from rasterio.windows import Window as Part

    width, height = window[2:] if window else (dataset.width, dataset.height)
    scale = min(1.0, largest / max(width, height))
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    alpha_is_asked_for = any(dataset.colorinterp[band - 1].name == "alpha" for band in bands)
    block = dataset.read(
        bands, window=window and Part(*window), out_shape=(3, *shape), masked=not alpha_is_asked_for
    ).transpose(1, 2, 0)
    if palette is not None:
        mask = np.ma.getmaskarray(block)
        return np.ma.array(palette[block.filled(0)[..., 0].clip(0, len(palette) - 1)], mask=mask)
    if np.iscomplexobj(block):
        block = np.abs(block)
    return np.ma.asarray(block) if block.dtype == np.uint8 else np.ma.masked_invalid(block.astype(np.float64))


def _limits(path: Path, sample: np.ma.MaskedArray, options: ReadOptions) -> np.ndarray | None:
    """(3, 2) pixel values that become 0 and 255, from a sample (H, W, 3); None where pixels stay as they are."""
    if options.stretch == "auto" and sample.dtype == np.uint8:
        return None
    if options.stretch == "range":
        return np.tile(np.array(options.limits, dtype=np.float64), (3, 1))
    values = [sample[..., channel].compressed() for channel in range(3)]
    if not all(band.size for band in values):
        raise DataError(f"{path}: holds no data. Leave the file out")
    limits = np.array([np.percentile(band, options.limits) for band in values])
    limits[:, 1] += limits[:, 1] == limits[:, 0]  # a band of one value becomes black
    return limits


def _as_image(block: np.ma.MaskedArray, limits: np.ndarray | None) -> Image.Image | None:
    """(H, W, 3) -> RGB; None if all of it is masked."""
    if np.ma.getmask(block).all():
        return None
    if limits is not None:
        low, high = limits.T
        block = (((block - low) / (high - low)).clip(0, 1) * 255).round()
    return Image.fromarray(np.ascontiguousarray(block.filled(0).astype(np.uint8, copy=False)))


def _shrunk(pixels: np.ndarray, largest: int) -> np.ndarray:
    """Nearest pixels of (H, W, C), so that no side is above ``largest``; as rasterio shrinks."""
    scale = min(1.0, largest / max(pixels.shape[:2]))
    if scale == 1:
        return pixels
    rows, columns = (
        ((np.arange(max(1, round(n * scale))) + 0.5) * n / max(1, round(n * scale))).astype(int)
        for n in pixels.shape[:2]
    )
    return pixels[rows[:, None], columns]


def _upright(pixels: Any, orientation: int) -> Any:
    """(H, W, C) as stored -> as meant."""
    if orientation > 4:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def _exif_orientation(image: Image.Image) -> int:
    try:
        return _orientation(Image.Image.getexif(image))
    except Exception:  # broken EXIF does not make an image unreadable
        return 1


def _orientation(tags: Any) -> int:
    value = tags.get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _check_bands(path: Path, bands: tuple[int, ...], count: int) -> None:
    if max(bands, default=0) > count:
        problem = f"has {count} bands, but bands {bands} were requested"
        raise DataError(f"{path}: {problem}. Name others as red, green and blue, or leave the file out")


def _checked(path: Path, window: Window) -> Window:
    if max(window[2:]) > LONGEST * min(window[2:]):
        raise DataError(f"{path}: {window.width} x {window.height} pixels are too long a strip. Cut it into pieces")
    return window


@contextmanager
def _naming_errors(path: Path) -> Iterator[None]:
    """Turn whatever decoders raise into one DataError for each kind of trouble."""
    try:
        yield
    except (DataError, ConfigError):
        raise
    except PermissionError as error:
        raise DataError(f"{path}: may not be read ({error.strerror}). Change its permissions") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: has more than {MAX_PIXELS:,} pixels. Cut or shrink the image") from error
    except Exception as error:
        raise DataError(f"{path}: cannot be read as an image ({error}). Fetch the file again") from error
