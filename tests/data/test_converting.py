"""From an original distribution into the release's layout: the same data set, completely or not at all."""

import tempfile
from pathlib import Path

import pytest
from data_on_disk import TEST, TRAIN, as_dict, listing, write_images, write_json, write_release
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_core.data import DataError, converting, load
from petl_core.data.converting import convert
from petl_core.data.layouts import RELEASE_FILES
from petl_core.errors import ConfigError


@pytest.fixture
def original(tmp_path) -> Path:
    """The folder of an original distribution."""
    folder = write_json(tmp_path / "RSICD" / "dataset_RSICD.json").parent
    write_images(folder / "RSICD_images", [*TRAIN, *TEST])
    return folder


def target(tmp_path) -> Path:
    return tmp_path / "data" / "rsicd_precomp"


def test_a_json_becomes_lists_of_the_same_data_set(original, tmp_path):
    made = convert(original, target(tmp_path))
    before = load(original)
    assert made.fingerprint() == before.fingerprint() and made.image_digest() == before.image_digest()
    assert sorted(path.name for path in made.root.iterdir()) == sorted([*RELEASE_FILES, "rsicd_images"])
    assert all(path.is_file() and not path.is_symlink() for path in made.test.images)
    assert [path.name for path in made.root.parent.iterdir()] == ["rsicd_precomp"]  # no draft is left


CAPTIONS = st.lists(st.text("ab \n\u2028é", max_size=6), max_size=5)


@settings(deadline=None, max_examples=60)
@given(train=st.lists(CAPTIONS, min_size=1, max_size=4), test=st.lists(CAPTIONS, min_size=1, max_size=3))
def test_any_captions_up_to_five_come_through(train, test):
    train[0], test = [*train[0][:4], "a road"], [[*captions[:4], "a pond"] for captions in test]  # at least one
    parts = [{f"{name}_{i}.png": part for i, part in enumerate(parts)} for name, parts in (("a", train), ("b", test))]
    with tempfile.TemporaryDirectory() as place:
        source = write_json(Path(place) / "some" / "dataset_some.json", *parts)
        write_images(source.parent / "images", [*parts[0], *parts[1]])
        before, made = load(source), convert(source, Path(place) / "some_precomp")
        for old, new in ((before.train, made.train), (before.test, made.test)):
            expected = {name: [" ".join(c.split("\n")) for c in captions] for name, captions in as_dict(old).items()}
            assert as_dict(new) == expected


def test_released_lists_are_kept_byte_by_byte_and_images_may_lie_elsewhere(tmp_path):
    lists = write_release(tmp_path / "drive", train=TRAIN | {"blank_1.png": ["", "a", "", "b", "c"]}, newline="\r\n")
    (lists / "scene_classes.txt").write_text("blank\tblank land\n")
    write_images(tmp_path / "unpacked", [*TRAIN, "blank_1.png", *TEST])
    made = convert(lists, target(tmp_path), images=tmp_path / "unpacked", link=True)
    for file in (*RELEASE_FILES, "scene_classes.txt"):
        assert (made.root / file).read_bytes() == (lists / file).read_bytes()
    assert made.train.blank == 2 and made.train.scenes[-1] == "blank land"
    assert all(path.is_symlink() and path.resolve().parent == tmp_path / "unpacked" for path in made.train.images)


def test_a_json_counts_even_beside_lists_of_a_release(original, tmp_path):
    for file in write_release(tmp_path / "drive", train=TEST, test=TRAIN).iterdir():
        (original / file.name).write_bytes(file.read_bytes())
    made = convert(original / "dataset_RSICD.json", target(tmp_path))
    assert as_dict(made.train) == TRAIN and as_dict(made.test) == TEST


def test_images_in_folders_keep_them(tmp_path):
    names = {f"tiles/{name}": captions for name, captions in TRAIN.items()}
    source = write_json(tmp_path / "some" / "dataset_some.json", names, TEST)
    (source.parent / "images").mkdir()
    write_images(source.parent / "images" / "tiles", TRAIN)
    for name in TEST:
        (source.parent / "images" / name).write_bytes((source.parent / "images" / next(iter(names))).read_bytes())
    made = convert(source, tmp_path / "some_precomp")
    assert made.train.images[0] == made.root / "some_images" / "tiles" / "bareland_0.png"


def test_an_existing_folder_is_not_touched(original, tmp_path):
    target(tmp_path).mkdir(parents=True)
    with pytest.raises(ConfigError, match="rsicd_precomp exists already"):
        convert(original, target(tmp_path))
    with pytest.raises(ConfigError, match=r"data must be called NAME_precomp, as in .*rsicd_precomp"):
        convert(original, tmp_path / "data")


def test_more_captions_than_the_layout_holds_are_refused(tmp_path):
    source = write_json(tmp_path / "some" / "dataset_some.json", listing("many", 2, captions=6), TEST)
    write_images(source.parent / "images", [*listing("many", 2), *TEST])
    with pytest.raises(DataError, match=r"many_0.png: has 6 captions, but the layout holds 5"):
        convert(source, tmp_path / "some_precomp")
    assert not (tmp_path / "some_precomp").exists()


def test_missing_images_are_named_before_anything_is_written(original, tmp_path):
    (original / "RSICD_images" / "pond_1.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are missing or not files, first pond_1.png"):
        convert(original, target(tmp_path))
    with pytest.raises(DataError, match=r"lacks 1 of 5 images, first pond_1.png"):
        convert(original, target(tmp_path), images=original / "RSICD_images")
    assert not target(tmp_path).parent.exists()


def test_a_failure_in_the_middle_leaves_nothing(original, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(converting, "_write_images", full)
    with pytest.raises(OSError, match="No space left"):
        convert(original, target(tmp_path))
    assert list(target(tmp_path).parent.iterdir()) == []
