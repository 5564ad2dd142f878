"""A data set on disk is complete, or one line says what is missing."""

import pytest
from data_on_disk import TEST, TRAIN, write_images, write_json, write_release

from petl_core.data import DataError, catalogue, default_data
from petl_core.data.catalogue import CATALOGUE, KnownSet
from petl_core.data.verifying import verify
from petl_core.files import sha256


@pytest.fixture
def folder(tmp_path):
    folder = write_release(tmp_path, "rsicd")
    write_images(folder / "rsicd_images", [*TRAIN, *TEST])
    return folder


@pytest.fixture
def known(folder, monkeypatch) -> KnownSet:
    """The catalogue, if RSICD were this small."""
    lists = {file: sha256(folder / file) for file in CATALOGUE["rsicd"].captions}
    known = KnownSet("rsicd", 3, 2, "", "", "", "", lists)
    monkeypatch.setitem(CATALOGUE, "rsicd", known)
    return known


def test_a_complete_set_is_one_line(folder, known):
    verdict = verify(folder)
    assert verdict.problems == []
    assert verdict.line == (
        f"rsicd: complete; release layout in {folder}; 15 / 10 captions; 3 / 2 images, as in the catalogue; "
        "lists as in the PE-RSITR repository; 0 test images also in train"
    )


def test_missing_and_broken_images_are_named(folder, known):
    (folder / "rsicd_images" / "bareland_1.png").unlink()
    (folder / "rsicd_images" / "pond_0.png").write_bytes(b"torn")
    first, second = verify(folder).problems
    assert first == "1 images missing, first bareland_1.png"
    assert second.startswith("1 images unreadable, first") and "pond_0.png: cannot be read" in second
    assert verify(folder).line.startswith("rsicd: WRONG: 1 images missing")
    assert verify(folder, check_images=False).problems == []


def test_other_counts_than_the_published_are_wrong(folder):
    assert verify(folder).problems == ["3 / 2 images, but 9,828 / 1,093 in the catalogue"]


def test_other_captions_than_the_released_are_reported_and_not_wrong(folder, known):
    (folder / "test_caps.txt").write_text((folder / "test_caps.txt").read_text().replace("view", "sight"))
    verdict = verify(folder)
    assert verdict.problems == [] and "test_caps.txt not as in the PE-RSITR repository" in verdict.facts


def test_an_image_in_both_splits_is_counted(folder, known):
    images = folder / "rsicd_images"
    (images / "pond_1.png").write_bytes((images / "bareland_0.png").read_bytes())
    assert "1 test images also in train" in verify(folder).facts


def test_an_own_set_in_json_is_checked_without_a_catalogue(tmp_path):
    write_json(tmp_path / "mine" / "dataset_mine.json")
    write_images(tmp_path / "mine" / "images", [*TRAIN, *TEST])
    line = verify("mine", tmp_path).line
    assert line.startswith("mine: complete; JSON layout in") and "not in the catalogue; caption lists not known" in line


def test_lists_that_do_not_fit_are_an_error(folder):
    (folder / "test_caps.txt").write_text("one\n")
    with pytest.raises(DataError, match=r"test_caps.txt:2: 1 captions, but"):
        verify(folder)


def test_drawn_sets_are_in_the_catalogue_with_their_sizes():
    for name, settings in default_data.DRAWN.items():
        assert (CATALOGUE[name].train, CATALOGUE[name].test) == (settings["train"], settings["test"])


@pytest.mark.parametrize("name", [known.name for known in catalogue.PUBLISHED])
def test_the_published_lists_are_those_of_the_catalogue(real_data, name):
    verdict = verify(name, real_data / "captions", check_images=False)
    assert verdict.problems == [] and "lists as in the PE-RSITR repository" in verdict.facts
