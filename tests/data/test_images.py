"""Image files: every 8-bit one is read as RGB, everything else is refused by name."""

import pickle

import numpy as np
import pytest
from PIL import Image

from petl_core.data import DataError, images, read_image


@pytest.fixture
def photo(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_8_bit_image_becomes_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new(mode, (6, 4)).save(tmp_path / f"a.{suffix}")
    image = read_image(tmp_path / f"a.{suffix}")
    assert (image.mode, image.size) == ("RGB", (6, 4))


def test_missing_image(tmp_path):
    with pytest.raises(DataError, match=r"none\.png: image is missing. Put"):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_truncated_image(tmp_path, photo, keep, suffix):
    file = tmp_path / f"cut.{suffix}"
    read_image(photo).save(file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataError, match=rf"cut\.{suffix}: cannot be read as an image .*Fetch the file again"):
        read_image(file)


def test_text_is_not_an_image(tmp_path):
    (tmp_path / "a.png").write_text("<html>not found</html>")
    with pytest.raises(DataError, match=r"a\.png: cannot be read as an image"):
        read_image(tmp_path / "a.png")


def test_wide_pixels_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: has pixels of mode I;16.*Convert"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("limit_of", ["petl_core", "pillow warning", "pillow error"])
def test_image_bomb(monkeypatch, photo, limit_of):
    if limit_of == "petl_core":
        monkeypatch.setattr(images, "MAX_PIXELS", 40 * 60 - 1)
    else:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000 if limit_of == "pillow warning" else 500)
    with pytest.raises(DataError, match=r"photo\.png: has more than [0-9,]+ pixels"):
        read_image(photo)


def test_largest_allowed_image_is_read(monkeypatch, photo):
    monkeypatch.setattr(images, "MAX_PIXELS", 40 * 60)
    assert read_image(photo).size == (60, 40)


def test_error_crosses_process_borders():
    error = DataError("photo.png: is broken. Fetch it again")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
