"""``python -m petl_core data``: a data set is complete, or one line says what is missing; converting it."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from data_on_disk import TEST, TRAIN, as_dict, listing, write_images, write_json, write_release
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_core.__main__ import main
from petl_core.data import DataError, catalogue, converting, default_data, load
from petl_core.data.catalogue import CATALOGUE, KnownSet
from petl_core.data.converting import convert
from petl_core.data.layouts import RELEASE_FILES
from petl_core.data.verifying import verify
from petl_core.errors import ConfigError
from petl_core.files import ROOT, sha256


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
    assert second.startswith("1 images unreadable, first") and "pond_0.png: is in no format" in second
    assert verify(folder).line.startswith("rsicd: WRONG: 1 images missing")
    assert verify(folder, check_images=False).problems == []


def test_other_counts_are_wrong_and_other_captions_are_reported(folder, request):
    assert verify(folder).problems == ["3 / 2 images, but 9,828 / 1,093 in the catalogue"]
    request.getfixturevalue("known")
    (folder / "test_caps.txt").write_text((folder / "test_caps.txt").read_text().replace("view", "sight"))
    verdict = verify(folder)
    assert verdict.problems == [] and "test_caps.txt not as in the PE-RSITR repository" in verdict.facts
    (folder / "test_caps.txt").write_text("one\n")
    with pytest.raises(DataError, match=r"test_caps.txt:2: 1 captions, but"):
        verify(folder)


def test_an_image_in_both_splits_is_counted(folder, known):
    images = folder / "rsicd_images"
    (images / "pond_1.png").write_bytes((images / "bareland_0.png").read_bytes())
    assert "1 test images also in train" in verify(folder).facts


def test_drawn_sets_are_in_the_catalogue_with_their_sizes():
    for name, drawn in default_data.DRAWN.items():
        assert (CATALOGUE[name].train, CATALOGUE[name].test) == (drawn["train"], drawn["test"])


@pytest.mark.parametrize("name", [known.name for known in catalogue.PUBLISHED])
def test_the_published_lists_are_those_of_the_catalogue(real_data, name):
    verdict = verify(name, real_data / "captions", check_images=False)
    assert verdict.problems == [] and "lists as in the PE-RSITR repository" in verdict.facts


# Converting.


@pytest.fixture
def original(tmp_path) -> Path:
    """The folder of an original distribution."""
    folder = write_json(tmp_path / "RSICD" / "dataset_RSICD.json").parent
    write_images(folder / "RSICD_images", [*TRAIN, *TEST])
    return folder


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "data" / "rsicd_precomp"


def test_a_json_becomes_lists_of_the_same_data_set(original, target):
    made = convert(original, target)
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
    parts = [
        {f"tiles/{name}_{i}.png": part for i, part in enumerate(parts)}
        for name, parts in zip("ab", (train, test), strict=True)
    ]
    with tempfile.TemporaryDirectory() as place:
        source = write_json(Path(place) / "some" / "dataset_some.json", *parts)
        (source.parent / "images").mkdir()
        write_images(source.parent / "images" / "tiles", [Path(name).name for part in parts for name in part])
        before, made = load(source), convert(source, Path(place) / "some_precomp")
        assert made.train.images[0] == made.root / "some_images" / "tiles" / "a_0.png"
        for old, new in ((before.train, made.train), (before.test, made.test)):
            expected = {name: [" ".join(c.split("\n")) for c in captions] for name, captions in as_dict(old).items()}
            assert as_dict(new) == expected


def test_released_lists_are_kept_byte_by_byte_and_images_may_lie_elsewhere(tmp_path, target):
    lists = write_release(tmp_path / "drive", train=TRAIN | {"blank_1.png": ["", "a", "", "b", "c"]}, newline="\r\n")
    (lists / "scene_classes.txt").write_text("blank\tblank land\n")
    write_images(tmp_path / "unpacked", [*TRAIN, "blank_1.png", *TEST])
    made = convert(lists, target, images=tmp_path / "unpacked", link=True)
    for file in (*RELEASE_FILES, "scene_classes.txt"):
        assert (made.root / file).read_bytes() == (lists / file).read_bytes()
    assert made.train.blank == 2 and made.train.scenes[-1] == "blank land"
    assert all(path.is_symlink() and path.resolve().parent == tmp_path / "unpacked" for path in made.train.images)


def test_a_json_counts_even_beside_lists_of_a_release(original, tmp_path, target):
    for file in write_release(tmp_path / "drive", train=TEST, test=TRAIN).iterdir():
        (original / file.name).write_bytes(file.read_bytes())
    made = convert(original / "dataset_RSICD.json", target)
    assert as_dict(made.train) == TRAIN and as_dict(made.test) == TEST


def test_a_conversion_that_cannot_be_complete_writes_nothing(original, tmp_path, target, monkeypatch):
    with pytest.raises(ConfigError, match=r"data must be called NAME_precomp, as in .*rsicd_precomp"):
        convert(original, tmp_path / "data")
    many = write_json(tmp_path / "some" / "dataset_some.json", listing("many", 2, captions=6), TEST)
    write_images(many.parent / "images", [*listing("many", 2), *TEST])
    with pytest.raises(DataError, match=r"many_0.png: has 6 captions, but the layout holds 5"):
        convert(many, tmp_path / "some_precomp")
    assert not (tmp_path / "some_precomp").exists()
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError("No space left on device")

        patch.setattr(converting, "_write_images", full)
        with pytest.raises(OSError, match="No space left"):
            convert(original, target)
    assert list(target.parent.iterdir()) == []
    (original / "RSICD_images" / "pond_1.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are missing or not files, first pond_1.png"):
        convert(original, target)
    with pytest.raises(DataError, match=r"lacks 1 of 5 images, first pond_1.png"):
        convert(original, target, images=original / "RSICD_images")
    target.mkdir()
    with pytest.raises(ConfigError, match="rsicd_precomp exists already"):
        convert(original, target)


# The command.


def test_the_list_names_source_and_licence_without_torch(tmp_path):
    script = f"""
import sys
from petl_core.__main__ import main
code = main(["data", "--data-root", {str(tmp_path)!r}])
assert "torch" not in sys.modules
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rsicd: 9,828 / 1,093 images in train / test; not here" in done.stdout
    assert done.stdout.count("not stated by the authors") == 3


def test_convert_then_verify(original, tmp_path, capsys):
    source = original.rename(tmp_path / "mine")
    (source / "dataset_RSICD.json").rename(source / "dataset_mine.json")
    assert main(["data", "convert", str(source), str(tmp_path / "data" / "mine_precomp"), "--images",
                 str(source / "RSICD_images"), "--link"]) == 0  # fmt: skip
    assert "mine_precomp: 3 / 2 images" in capsys.readouterr().err
    assert main(["data", "verify", "mine", "--data-root", str(tmp_path / "data")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("mine: complete; release layout") and "not in the catalogue; caption lists not known" in out


def test_what_is_wrong_is_exit_code_1_and_what_cannot_be_checked_2(original, tmp_path, capsys):
    (original / "RSICD_images" / "pond_0.png").unlink()
    assert main(["data", "verify", str(original)]) == 1
    assert capsys.readouterr().out.startswith("rsicd: WRONG: 3 / 2 images, but 9,828")
    assert main(["data", "verify", str(tmp_path / "nothing")]) == 2
    assert main(["data", "convert", str(original), str(tmp_path / "wrong-name")]) == 2
    assert "error: " in capsys.readouterr().err
