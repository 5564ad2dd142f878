"""The one reader of images: what Pillow and rasterio can write comes out upright and right, or is refused by name."""

import math
import pickle
import resource
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from petl_core.data import DataError, images, read_image
from petl_core.data.images import Raster, ReadOptions, Window, open_image, pixel_digest
from petl_core.errors import ConfigError

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed: no GeoTIFF to test on")
from affine import Affine  # noqa: E402 (comes with rasterio)

WIDTH, HEIGHT = 40, 30
WHOLE = Window(0, 0, WIDTH, HEIGHT)
UTM, METRES = "EPSG:32632", 10  # zone 32 north; its central meridian, 9 degrees east, is at 500 km
RAMP = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
ROTATED = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
           5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
           8: Image.Transpose.ROTATE_90}  # fmt: skip


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_raster(path, bands: np.ndarray, driver: str = "GTiff", colours=None, table=None, **settings):
    """(C, H, W) with the upper left corner on the central meridian of the zone, unless ``settings`` says otherwise."""
    place = {"crs": UTM, "transform": Affine(METRES, 0, 500_000, 0, -METRES, 5_300_000)} if driver == "GTiff" else {}
    profile = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver=driver, **profile, **(place | settings)) as file:
            file.write(bands)
            if colours:
                file.colorinterp = [rasterio.enums.ColorInterp[colour] for colour in colours]
            if table:
                file.write_colormap(1, table)
    return path


def write_plain(path, bands: np.ndarray, **settings):
    """The same without a place."""
    return write_raster(path, bands, crs=None, transform=None, **settings)


def pixels(path, window=None, **options) -> np.ndarray:
    return np.asarray(read_image(path, ReadOptions(**options), window))


def stretched(values: np.ndarray, limits=(2, 98)) -> np.ndarray:
    low, high = np.percentile(values, limits)
    return ((values - low) / (high - low)).clip(0, 1) * 255


@pytest.fixture
def four_bands(tmp_path):
    """16-bit, from 0 to 1199 in the first band, a thousand more in each that follows."""
    return write_raster(tmp_path / "four.tif", np.stack([RAMP + 1000 * i for i in range(4)]))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "CMYK", "1", "YCbCr"])
def test_every_8_bit_picture_becomes_rgb_as_pillow_converts_it(tmp_path, mode):
    file = tmp_path / f"a.{'tif' if mode in ('CMYK', 'YCbCr') else 'png'}"
    Image.fromarray(noise(HEIGHT, WIDTH, 3)).convert(mode).save(file)
    with Image.open(file) as image:
        assert np.array_equal(pixels(file), np.asarray(image.convert("RGB")))
    assert pixel_digest(file) == pixel_digest(file)


@pytest.mark.parametrize("driver", ["PNG", "GTiff"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_wide_pixels_are_stretched_and_never_their_high_byte(tmp_path, driver, count):
    """Reflectances from 0 to 3600: as 16-bit PNG and TIFF, placed or not, the same picture."""
    bands = np.stack([RAMP + 800 * i for i in range(count)])
    if count in (2, 4):
        bands[-1] = 65535  # opaque
    file = tmp_path / ("a.png" if driver == "PNG" else "a.tif")
    colours = [*({1: ["gray"], 3: ["red", "green", "blue"]}[count - (count in (2, 4))]), "alpha"][:count]
    write_raster(file, bands, driver, colours if driver == "GTiff" else None)
    assert np.abs(pixels(file) - stretched(RAMP)[..., None]).max() <= 0.5
    fixed = pixels(file, stretch="range", limits=(0, 3600))
    assert np.abs(fixed[..., 0] - RAMP / 3600 * 255).max() <= 0.5


def test_wide_grey_floats_and_complex_numbers_are_stretched(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    Image.fromarray(RAMP.astype(np.float32) / 1200).save(tmp_path / "float.tif")
    write_raster(tmp_path / "complex.tif", (RAMP * np.exp(1j))[None].repeat(3, 0).astype(np.complex64))
    Image.fromarray(RAMP.astype(np.int32) - 600).save(tmp_path / "signed.tif")
    for name in ("grey.png", "float.tif", "complex.tif", "signed.tif"):
        assert np.abs(pixels(tmp_path / name) - stretched(RAMP)[..., None]).max() <= 0.5, name


@pytest.mark.parametrize("orientation", ROTATED)
def test_an_orientation_means_the_same_in_every_format(tmp_path, orientation):
    picture = Image.fromarray(noise(HEIGHT, WIDTH, 3))
    upright = np.asarray(picture.transpose(ROTATED[orientation]))
    exif = Image.Exif()
    exif[274] = orientation
    for suffix in ("png", "tif", "jpg", "webp"):
        picture.save(tmp_path / f"a.{suffix}", exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    picture.save(tmp_path / "flat.jpg")
    wide = TiffImagePlugin.ImageFileDirectory_v2()
    wide[274] = orientation
    Image.fromarray(RAMP).save(tmp_path / "wide.tif", tiffinfo=wide)
    window = Window(3, 5, 20, 17)
    for suffix in ("png", "tif", "webp"):
        file = open_image(tmp_path / f"a.{suffix}")
        assert (file.height, file.width) == upright.shape[:2]
        assert np.array_equal(pixels(file.path), upright)
        assert np.array_equal(pixels(file.path, window), upright[5:22, 3:23])
        assert np.array_equal(pixels(file.path, bands=(3, 2, 1)), upright[..., ::-1])
    turned = read_image(tmp_path / "flat.jpg").transpose(ROTATED[orientation])
    assert np.array_equal(pixels(tmp_path / "a.jpg"), np.asarray(turned))
    turned = np.asarray(Image.fromarray(RAMP.astype(np.int32)).transpose(ROTATED[orientation]))
    assert np.abs(pixels(tmp_path / "wide.tif", window)[..., 0] - stretched(turned)[5:22, 3:23]).max() <= 0.5


def test_broken_exif_leaves_a_picture_readable(tmp_path):
    Image.fromarray(noise(8, 9, 3)).save(tmp_path / "a.jpg", exif=b"Exif\0\0broken")
    assert read_image(tmp_path / "a.jpg").size == (9, 8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bands": (4, 3, 2)},
        {"bands": (4, 4, 4)},
        {"stretch": "percentile"},
        {"stretch": "percentile", "limits": (10, 60)},
        {"stretch": "range", "limits": (20, 180), "bands": (2, 1, 4)},
    ],
)
def test_options_mean_the_same_with_and_without_a_place(tmp_path, options):
    bands = noise(4, HEIGHT, WIDTH) // 2 + 40
    placed = write_raster(tmp_path / "placed.tif", bands, photometric="RGB", alpha="unspecified")
    plain = write_plain(tmp_path / "plain.tif", bands, photometric="RGB", alpha="unspecified")
    Image.fromarray(bands.transpose(1, 2, 0).copy()).save(tmp_path / "a.png")
    Image.fromarray(bands.transpose(1, 2, 0).copy()).save(tmp_path / "a.tif")
    expected = pixels(placed, **options)
    assert expected.shape == (HEIGHT, WIDTH, 3) and expected.std() > 1
    for path in (plain, tmp_path / "a.png", tmp_path / "a.tif"):
        assert np.array_equal(pixels(path, **options), expected)
        assert np.array_equal(pixels(path, Window(4, 6, 9, 8), **options), expected[6:14, 4:13])


def test_a_file_that_lacks_a_band_is_refused(tmp_path, four_bands):
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "a.jpg")
    for path, count in ((tmp_path / "a.jpg", 3), (four_bands, 4)):
        with pytest.raises(DataError, match=rf"has {count} bands, but bands \(5, 1, 2\) were requested. Name others"):
            read_image(path, ReadOptions((5, 1, 2)))


def test_a_raster_is_shown_as_it_says(tmp_path):
    """Tagged red, green and blue; grey as grey; indices through their palette."""
    bands = noise(4, HEIGHT, WIDTH)
    bgr = write_raster(tmp_path / "bgr.tif", bands[:3], colours=("blue", "green", "red"))
    assert np.array_equal(pixels(bgr), bands[2::-1].transpose(1, 2, 0))
    grey = write_raster(tmp_path / "grey.tif", bands[:1])
    assert np.array_equal(pixels(grey), bands[0][..., None].repeat(3, axis=2))
    table = {i: (i, 255 - i, i // 2, 255) for i in range(256)}
    palette = write_raster(tmp_path / "palette.tif", bands[:1], table=table)
    assert np.array_equal(pixels(palette), np.stack([bands[0], 255 - bands[0], bands[0] // 2], axis=2))


def test_bands_are_chosen_and_stretched_by_the_whole(four_bands):
    fixed = pixels(four_bands, bands=(4, 3, 2), stretch="range", limits=(0, 5100))
    for channel, offset in enumerate((3000, 2000, 1000)):
        assert np.abs(fixed[:, :, channel] - (RAMP + offset) / 20).max() <= 0.5
    assert np.array_equal(pixels(four_bands, Window(5, 7, 10, 12)), pixels(four_bands)[7:19, 5:15])


def test_a_centre_is_where_the_projection_puts_it(four_bands):
    file = open_image(four_bands)
    longitude, latitude = file.centre(Window(-10, 0, 20, 20))  # its middle is on the central meridian
    assert abs(longitude - 9) < 1e-9
    metres = 6_367_449 * math.radians(latitude) - 16_038.5 * math.sin(2 * math.radians(latitude))  # along WGS 84
    assert abs(0.9996 * (metres + 16.8 * math.sin(4 * math.radians(latitude))) - (5_300_000 - 100)) < 5
    east, _ = file.centre(Window(0, 0, 20, 20))
    assert abs((east - 9) - math.degrees(100 / (6_378_137 * math.cos(math.radians(latitude))))) < 1e-5


def test_what_holds_no_data_is_black_and_counts_for_nothing(tmp_path):
    bands = np.full((3, HEIGHT, WIDTH), -9999.0, dtype=np.float32)
    bands[:, :15] = np.linspace(0, 1, 15 * WIDTH, dtype=np.float32).reshape(15, WIDTH)
    bands[:, 0, 0] = np.nan
    path = write_raster(tmp_path / "half.tif", bands, nodata=-9999)
    shown = pixels(path)
    assert shown[15:].max() == 0 and shown[:15].max() == 255 and shown[0, 0].max() == 0
    assert 100 < shown[7, 20, 0] < 150  # of the data alone
    read = open_image(path).read([Window(0, 0, 15, 15), Window(0, 15, 15, 15)])
    assert [image is None for image in read] == [False, True]
    with pytest.raises(DataError, match=r"half.tif: holds no data"):
        read_image(path, window=Window(0, 15, 15, 15))
    void = write_raster(tmp_path / "void.tif", np.full((3, 8, 8), 7, dtype=np.uint16), nodata=7)
    with pytest.raises(DataError, match=r"void.tif: holds no data"):
        open_image(void)
    flat = write_raster(tmp_path / "flat.tif", np.full((3, 8, 8), 7, dtype=np.uint16))
    assert pixels(flat).max() == 0


def test_transparent_pixels_are_black_in_pictures_and_rasters(tmp_path):
    bands = noise(4, HEIGHT, WIDTH) | 1
    bands[3, :10], bands[3, 10:] = 0, 255
    Image.fromarray(bands.transpose(1, 2, 0).copy()).save(tmp_path / "a.png")
    placed = write_raster(tmp_path / "a.tif", bands, colours=("red", "green", "blue", "alpha"))
    assert pixels(placed)[:10].max() == 0 and np.array_equal(pixels(placed)[10:], bands[:3, 10:].transpose(1, 2, 0))
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(placed))
    for path in (tmp_path / "a.png", placed):
        assert list(open_image(path).read([Window(0, 0, 9, 9)])) == [None]


def test_memory_is_bounded_for_strips_and_large_windows(tmp_path, four_bands, monkeypatch):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Image.new("RGB", (60_000, 1)).save(tmp_path / "strip.png")
    for strip in (tmp_path / "strip.png", write_plain(tmp_path / "strip.tif", np.zeros((5, 1, 60_000), np.uint8))):
        with pytest.raises(DataError, match=r"strip.*: 60000 x 1 pixels are too long a strip. Cut it"):
            read_image(strip)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 200_000  # kB
    monkeypatch.setattr(images, "LARGEST_SIDE", 20)
    assert pixels(four_bands).shape == (15, 20, 3)
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    grey = write_raster(tmp_path / "grey.tif", RAMP[None])
    assert np.array_equal(pixels(tmp_path / "grey.png"), pixels(grey)) and pixels(grey).shape == (15, 20, 3)


@pytest.mark.parametrize("limit_of", ["petl_core", "pillow warning", "pillow error"])
def test_too_many_pixels(monkeypatch, tmp_path, limit_of):
    Image.fromarray(noise(40, 60, 3)).save(tmp_path / "photo.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 40 * 60)
    assert read_image(tmp_path / "photo.png").size == (60, 40)
    if limit_of == "petl_core":
        monkeypatch.setattr(images, "MAX_PIXELS", 40 * 60 - 1)
    else:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000 if limit_of == "pillow warning" else 500)
    with pytest.raises(DataError, match=r"photo\.png: has more than [0-9,]+ pixels. Cut or shrink"):
        read_image(tmp_path / "photo.png")


def test_a_large_tiff_is_read_by_window(monkeypatch, tmp_path):
    Image.fromarray(noise(40, 60, 3)).save(tmp_path / "a.tif")
    whole = pixels(tmp_path / "a.tif")
    monkeypatch.setattr(images, "MAX_PIXELS", 40 * 60 - 1)
    assert isinstance(open_image(tmp_path / "a.tif"), Raster)
    assert np.array_equal(pixels(tmp_path / "a.tif", Window(10, 10, 20, 20)), whole[10:30, 10:30])


@pytest.mark.parametrize("keep", [0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "geo.tif", "wide.png"])
def test_only_of_a_broken_file_it_is_said_to_fetch_it_again(tmp_path, kind, keep):
    file = tmp_path / f"cut.{kind}"
    if kind == "geo.tif":
        write_raster(file, noise(3, HEIGHT, WIDTH))
    elif kind == "wide.png":
        write_raster(file, noise(3, HEIGHT, WIDTH).astype(np.uint16) * 200, "PNG")
    else:
        Image.fromarray(noise(HEIGHT, WIDTH, 3)).save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataError, match=r"cut\..*: cannot be read as an image .*Fetch the file again"):
        read_image(file)


def test_every_other_trouble_has_its_own_sentence(tmp_path, monkeypatch):
    (tmp_path / "page.png").write_text("<html>not found</html>")
    (tmp_path / "folder.png").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "mine.png")
    for name, problem in (
        ("page.png", r"is in no format that is read here \(JPEG, .*\). Convert it to PNG or TIFF"),
        ("folder.png", "is a folder, not an image"),
        ("none.png", "image is missing. Put the image there, or correct the path"),
    ):
        with pytest.raises(DataError, match=rf"{name}: {problem}"):
            read_image(tmp_path / name)

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refused)
    with pytest.raises(DataError, match=r"mine.png: may not be read \(Permission denied\). Change its permissions"):
        read_image(tmp_path / "mine.png")


def test_what_only_rasterio_reads_is_named_where_it_is_missing(tmp_path, four_bands, monkeypatch):
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "plain.tif")
    wide = write_raster(tmp_path / "wide.png", noise(3, 8, 8).astype(np.uint16), "PNG")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert read_image(tmp_path / "plain.tif").size == (8, 8)
    for path in (four_bands, wide):
        with pytest.raises(ConfigError, match=rf"{path.name} is georeferenced, or .* pip install -e '.\[raster\]'"):
            read_image(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bands": (1, 2)}, r"bands = \(1, 2\) must be three band numbers from 1"),
        ({"bands": (0, 1, 2)}, "bands = .* must be three"),
        ({"bands": (1.0, 2, 3)}, "bands = .* must be three"),
        ({"stretch": "gamma"}, "stretch = 'gamma' must be one of auto, percentile, range"),
        ({"limits": (98, 2)}, "limits = .* must be two rising numbers"),
        ({"limits": ("2", "98")}, "limits = .* must be two rising numbers"),
        ({"limits": (2, 200)}, "limits = .* must be percentiles from 0 to 100"),
    ],
)
def test_a_wrong_option_is_named(wrong, message):
    with pytest.raises(ConfigError, match=f"^how images are read: {message}"):
        ReadOptions(**wrong)
    assert ReadOptions(stretch="range", limits=[0, 3000]).limits == (0, 3000)


@settings(max_examples=120, deadline=None)
@given(
    count=st.integers(1, 5),
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "float32", "float64", "complex64"]),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    placed=st.booleans(),
    layout=st.sampled_from([{}, {"BIGTIFF": "YES"}, {"compress": "deflate", "interleave": "pixel"}]),
    options=st.sampled_from([{}, {"stretch": "percentile"}, {"stretch": "range", "limits": (0, 100)}]),
    damage=st.none() | st.tuples(st.integers(0, 10**6), st.integers(0, 255)),
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_any_tiff_is_read_or_refused_by_name(tmp_path_factory, count, dtype, size, placed, layout, options, damage):
    """And windows are parts of the whole."""
    path = tmp_path_factory.mktemp("any") / "a.tif"
    bands = np.random.default_rng(count).integers(1, 120, (count, *size)).astype(dtype)
    write_raster(path, bands, **({} if placed else {"crs": None, "transform": None}), **layout)
    if damage:
        content = bytearray(path.read_bytes())
        content[damage[0] % len(content)] = damage[1]
        path.write_bytes(content)
    try:
        whole = pixels(path, **options)
    except (DataError, ConfigError) as error:
        assert damage and str(path) in str(error)
        return
    assert whole.dtype == np.uint8 and whole.ndim == 3
    if not damage:
        assert whole.shape == (*size, 3)
        assert np.array_equal(
            pixels(path, Window(0, 0, size[1], (size[0] + 1) // 2), **options), whole[: (size[0] + 1) // 2]
        )
        if dtype == "uint8" and not options:
            assert np.array_equal(whole, bands[[0, 1, 2] if count >= 3 else [0, 0, 0]].transpose(1, 2, 0))


def test_errors_cross_process_borders_and_the_reader_needs_no_torch():
    error = DataError("photo.png: is broken. Fetch it again")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    code = "import sys, petl_core.data, petl_core.search.options; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
