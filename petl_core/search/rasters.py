"""Georeferenced and multi-band TIFFs through rasterio, window by window, stretched to 8-bit RGB."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from petl_core.data.errors import broken
from petl_core.errors import ConfigError
from petl_core.search.options import IndexOptions
from petl_core.search.reading import Source
from petl_core.search.tiles import Window

SAMPLE_SIDE = 1024  # percentiles are those of the image shrunk to this
LARGEST_SIDE = 2048  # a larger window is read shrunk to this


@dataclass(frozen=True)
class Raster(Source):
    """A file that rasterio reads."""

    bands: tuple[int, ...]
    limits: np.ndarray | None  # (3, 2) pixel values of each band that become 0 and 255; None: pixels are 8-bit RGB
    place: tuple[Any, Any] | None  # coordinate system, and transform from pixels to it

    def read(self, windows: Iterable[Window]) -> Iterator[Image.Image | None]:
        from rasterio.windows import Window as RasterWindow

        try:
            with _open(self.path) as dataset:
                for window in windows:
                    shape = _shape(window.width, window.height, LARGEST_SIDE)
                    yield self._as_image(_read(dataset, self.bands, shape, RasterWindow(*window)))
        except Exception as error:  # GDAL's drivers raise many things on broken files
            raise _unreadable(self.path, error) from error

    def centre(self, window: Window) -> tuple[float, float]:
        if self.place is None:
            return super().centre(window)
        from rasterio.warp import transform

        system, to_system = self.place
        x, y = to_system @ (window.x + window.width / 2, window.y + window.height / 2)
        try:
            (longitude,), (latitude,) = transform(system, "EPSG:4326", [x], [y])
        except Exception:  # a local system that cannot be converted to degrees
            return super().centre(window)
        return (longitude, latitude) if isfinite(longitude) and isfinite(latitude) else super().centre(window)

    def _as_image(self, block: np.ma.MaskedArray) -> Image.Image | None:
        """(3, H, W) -> RGB; pixels without data are black."""
        if np.ma.getmaskarray(block).all():
            return None
        if self.limits is not None:
            low, high = self.limits.T[:, :, None, None]
            block = ((block - low) / (high - low)).clip(0, 1) * 255
        return Image.fromarray(np.moveaxis(block.filled(0).round().astype(np.uint8), 0, -1))


def probe(path: Path, options: IndexOptions) -> Raster:
    """Size, place and stretch of a raster.

    Raises:
        DataError: it cannot be read, holds no data, or lacks a band.
        ConfigError: rasterio is not installed.
    """
    with _open_or_raise(path) as dataset:
        if max(options.bands) > dataset.count:
            problem = f"has {dataset.count} bands, but bands {options.bands} were requested"
            raise broken(path, problem, "Name others as red, green and blue, or leave the file out")
        place = (dataset.crs, dataset.transform) if dataset.crs else None
        try:
            limits = _limits(dataset, options)
        except Exception as error:
            raise _unreadable(path, error) from error
        if limits is not None and np.isnan(limits).any():
            raise broken(path, "holds no data", "Leave the file out")
        return Raster(path, dataset.width, dataset.height, options.bands, limits, place)


def _open_or_raise(path: Path) -> Any:
    """The dataset; errors are those of :func:`probe`."""
    try:
        return _open(path)
    except ImportError as error:
        raise ConfigError(
            f"{path} is a GeoTIFF or has bands that only rasterio reads; install it by "
            ".venv/bin/python -m pip install -e '.[raster]'"
        ) from error
    except Exception as error:
        raise _unreadable(path, error) from error


def _open(path: Path) -> Any:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    # A raster without coordinates is not an error. (Contexts that silence warnings are not thread-safe.)
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    return rasterio.open(path)


def _limits(dataset: Any, options: IndexOptions) -> np.ndarray | None:
    """(3, 2) pixel values that become 0 and 255; NaN for a band without data; None where pixels stay as they are."""
    if options.stretch == "range":
        return np.tile(options.limits, (3, 1))
    if options.stretch == "auto" and all(dataset.dtypes[band - 1] == "uint8" for band in options.bands):
        return None
    sample = _read(dataset, options.bands, _shape(dataset.width, dataset.height, SAMPLE_SIDE))
    values = [band.compressed() for band in sample]
    limits = np.array([np.percentile(band, options.limits) if band.size else (np.nan, np.nan) for band in values])
    limits[:, 1] += limits[:, 1] == limits[:, 0]  # a band of one value becomes black
    return limits


def _read(dataset: Any, bands: tuple[int, ...], shape: tuple[int, int], window: Any = None) -> np.ma.MaskedArray:
    """(3, H, W), as floats if pixels are wider than 8 bits; pixels without data are masked."""
    block = dataset.read(bands, window=window, out_shape=(len(bands), *shape), masked=True)
    return block if block.dtype == np.uint8 else np.ma.masked_invalid(block.astype(np.float64))


def _shape(width: int, height: int, largest: int) -> tuple[int, int]:
    """Height and width, shrunk by one factor so that neither is above ``largest``."""
    scale = min(1.0, largest / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _unreadable(path: Path, error: Exception) -> Exception:
    return broken(path, f"cannot be read as a raster ({error})", "Fetch the file again")
