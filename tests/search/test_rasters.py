"""GeoTIFF through rasterio: bands, stretch, windows, coordinates; ordinary TIFF stays with Pillow."""

import math

import numpy as np
import pytest
from petl_core.search.tiles import Window
from PIL import Image

from petl_core.data import DataError
from petl_core.search import rasters, reading
from petl_core.search.options import IndexOptions

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed: no GeoTIFF to test on")
from affine import Affine  # noqa: E402 (comes with rasterio)

WIDTH, HEIGHT = 40, 30
WHOLE = Window(0, 0, WIDTH, HEIGHT)
UTM, METRES = "EPSG:32632", 10  # zone 32 north; its central meridian, 9 degrees east, is at 500 km


def write_raster(path, bands: np.ndarray, **settings):
    """(C, H, W) with the upper left corner on the central meridian of the zone, unless ``settings`` says otherwise."""
    place = {"crs": UTM, "transform": Affine(METRES, 0, 500_000, 0, -METRES, 5_300_000)} | settings
    profile = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as file:
        file.write(bands)
    return path


def pixels(path, window=WHOLE, **options) -> np.ndarray:
    return np.asarray(reading.read_whole(path, IndexOptions(**options), window))


@pytest.fixture
def four_bands(tmp_path):
    """16-bit, from 0 to 1199 in the first band, a thousand more in each that follows."""
    ramp = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    return write_raster(tmp_path / "four.tif", np.stack([ramp + 1000 * i for i in range(4)]))


def test_bands_are_chosen_and_stretched(four_bands):
    fixed = pixels(four_bands, bands=(4, 3, 2), stretch="range", limits=(0, 5100))
    ramp = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    for channel, offset in enumerate((3000, 2000, 1000)):
        assert np.abs(fixed[:, :, channel] - (ramp + offset) / 20).max() <= 0.5
    stretched = pixels(four_bands)
    low, high = np.percentile(ramp, (2, 98))
    expected = ((ramp - low) / (high - low)).clip(0, 1) * 255
    assert np.abs(stretched - expected[:, :, None]).max() <= 0.5
    assert np.array_equal(pixels(four_bands, stretch="percentile"), stretched)


def test_a_window_is_that_part_with_the_stretch_of_the_whole(four_bands):
    part = pixels(four_bands, Window(5, 7, 10, 12))
    assert np.array_equal(part, pixels(four_bands)[7:19, 5:15])


def test_a_centre_is_where_the_projection_puts_it(four_bands):
    source = reading.probe(four_bands, IndexOptions())
    longitude, latitude = source.centre(Window(-10, 0, 20, 20))  # its middle is on the central meridian
    assert abs(longitude - 9) < 1e-9
    metres = 6_367_449 * math.radians(latitude) - 16_038.5 * math.sin(2 * math.radians(latitude))  # along WGS 84
    assert abs(0.9996 * (metres + 16.8 * math.sin(4 * math.radians(latitude))) - (5_300_000 - 100)) < 5
    east, _ = source.centre(Window(0, 0, 20, 20))
    assert abs((east - 9) - math.degrees(100 / (6_378_137 * math.cos(math.radians(latitude))))) < 1e-5


def test_eight_bits_stay_as_they_are_unless_asked(tmp_path):
    bands = np.random.default_rng(0).integers(50, 100, (3, HEIGHT, WIDTH), dtype=np.uint8)
    path = write_raster(tmp_path / "rgb.tif", bands)
    assert np.array_equal(pixels(path), np.moveaxis(bands, 0, -1))
    assert pixels(path, stretch="percentile").max() == 255


def test_what_holds_no_data_is_black_and_counts_for_nothing(tmp_path):
    bands = np.full((3, HEIGHT, WIDTH), -9999.0, dtype=np.float32)
    bands[:, :15] = np.linspace(0, 1, 15 * WIDTH, dtype=np.float32).reshape(15, WIDTH)
    bands[:, 0, 0] = np.nan
    path = write_raster(tmp_path / "half.tif", bands, nodata=-9999)
    shown = pixels(path)
    assert shown[15:].max() == 0 and shown[:15].max() == 255 and shown[0, 0].max() == 0
    assert 100 < shown[7, 20, 0] < 150  # of the data alone
    source = reading.probe(path, IndexOptions())
    assert [image is None for image in source.read([Window(0, 0, 15, 15), Window(0, 15, 15, 15)])] == [False, True]
    with pytest.raises(DataError, match=r"half.tif: holds no data"):
        pixels(path, Window(0, 15, 15, 15))


def test_a_raster_without_data_is_reported(tmp_path):
    path = write_raster(tmp_path / "void.tif", np.full((3, 8, 8), 7, dtype=np.uint16), nodata=7)
    with pytest.raises(DataError, match=r"void.tif: holds no data"):
        reading.probe(path, IndexOptions())


def test_a_band_of_one_value_is_black(tmp_path):
    path = write_raster(tmp_path / "flat.tif", np.full((3, 8, 8), 7, dtype=np.uint16))
    assert pixels(path, Window(0, 0, 8, 8)).max() == 0


def test_a_missing_band_is_reported(tmp_path):
    path = write_raster(tmp_path / "one.tif", np.zeros((1, 8, 8), dtype=np.uint16))
    with pytest.raises(DataError, match=r"one.tif: has 1 bands, but bands \(1, 2, 3\) were requested"):
        reading.probe(path, IndexOptions())
    assert pixels(path, Window(0, 0, 8, 8), bands=(1, 1, 1)).shape == (8, 8, 3)


def test_a_torn_raster_is_reported(four_bands):
    content = four_bands.read_bytes()
    four_bands.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"four.tif: cannot be read as a raster"):
        pixels(four_bands)


def test_bands_without_coordinates_are_read(tmp_path):
    path = tmp_path / "five.tif"
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write_raster(path, np.zeros((5, 8, 8), dtype=np.uint8), crs=None, transform=None)
    source = reading.probe(path, IndexOptions())
    assert isinstance(source, rasters.Raster)
    assert np.isnan(source.centre(Window(0, 0, 8, 8))).all()


def test_a_large_window_is_read_shrunk(four_bands, monkeypatch):
    monkeypatch.setattr(rasters, "LARGEST_SIDE", 20)
    assert pixels(four_bands).shape == (15, 20, 3)


@pytest.mark.parametrize(
    ("settings", "raster"),
    [
        ({"dtype": "uint8", "count": 3}, False),
        ({"dtype": "uint8", "count": 4}, False),
        ({"dtype": "uint8", "count": 5}, True),
        ({"dtype": "uint16", "count": 3}, True),
        ({"dtype": "uint16", "count": 4, "BIGTIFF": "YES"}, True),
        ({"dtype": "uint8", "count": 3, "crs": UTM, "transform": Affine(1, 0, 0, 0, -1, 0)}, True),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_rasterio_reads_what_pillow_cannot(tmp_path, settings, raster):
    path = tmp_path / "some.tif"
    with rasterio.open(path, "w", driver="GTiff", width=8, height=8, **settings) as file:
        file.write(np.zeros((settings["count"], 8, 8), dtype=settings["dtype"]))
    assert reading.is_raster(path) is raster


def test_pictures_of_other_kinds_are_not_rasters(tmp_path):
    for name in ("a.jpg", "a.png", "a.tif"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
        assert not reading.is_raster(tmp_path / name)
