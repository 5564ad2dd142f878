"""The default data sets: drawn when first asked for by name, else read as any other."""

import pytest
from data_on_disk import TEST, TRAIN, as_dict, write_images, write_release

from petl_core.data import DataError, default_data
from petl_core.errors import ConfigError


@pytest.fixture
def mini(monkeypatch, tmp_path):
    monkeypatch.setitem(default_data.DRAWN, "scenes-mini", {"domain": "aerial", "train": 4, "test": 2, "size": 8})
    monkeypatch.setattr(files, "ROOT", tmp_path)
    return "scenes-mini"


def test_a_default_set_is_drawn_once(mini, tmp_path, capfd):
    first = default_data.load_or_draw(mini, "data", progress=True)
    assert "drawing scenes-mini" in capfd.readouterr().err
    assert first.root == tmp_path / "data" / "scenes-mini_precomp"
    assert (len(first.train.images), len(first.test.captions)) == (4, 10)
    assert None not in first.train.scenes
    again = default_data.load_or_draw(mini, "data", progress=True)
    assert "drawing" not in capfd.readouterr().err
    assert again.image_digest() == first.image_digest()


def test_a_default_set_that_was_drawn_otherwise_is_named_with_the_remedy(mini, monkeypatch):
    default_data.load_or_draw(mini, "data")
    monkeypatch.setitem(default_data.DRAWN, mini, {"domain": "aerial", "train": 5, "test": 2, "size": 8})
    with pytest.raises(ConfigError, match="delete that folder"):
        default_data.load_or_draw(mini, "data")


def test_another_set_is_read(tmp_path):
    folder = write_release(tmp_path)
    with pytest.raises(DataError, match="images are missing"):
        default_data.load_or_draw("rsicd", tmp_path)
    write_images(folder / "images", [*TRAIN, *TEST])
    assert as_dict(default_data.load_or_draw("rsicd", tmp_path).test) == TEST
