"""Reading broken data sets: one error, which names file, line and remedy."""

import re

import pytest
from data_on_disk import TEST, TRAIN, edit, fails, write_images, write_json, write_release

from petl_core.data import DataError, load, read_image
from petl_core.data.layouts import RELEASE_FILES


def test_unknown_data_set(tmp_path):
    fails(tmp_path, rf"{re.escape(str(tmp_path))}: holds none of rsicd_precomp, rsicd, .*data/README\.md")


def test_folder_without_a_layout(tmp_path):
    (tmp_path / "rsicd").mkdir()
    fails(tmp_path, r"rsicd: holds neither train_filename\.txt.* nor a dataset_NAME\.json")


@pytest.mark.parametrize("file", RELEASE_FILES)
def test_missing_list(tmp_path, file):
    (write_release(tmp_path) / file).unlink()
    fails(tmp_path, rf"{file}: file is missing. data/README\.md")


def test_folder_where_a_list_is_meant(tmp_path):
    file = write_release(tmp_path) / "train_caps.txt"
    file.unlink()
    file.mkdir()
    fails(tmp_path, r"train_caps\.txt: is a folder, not a file")


@pytest.mark.parametrize(("split", "images"), [("train", 3), ("test", 2)])
@pytest.mark.parametrize("extra", [-1, 1])
def test_caption_count(tmp_path, split, images, extra):
    folder = write_release(tmp_path)
    edit(folder / f"{split}_caps.txt", lambda lines: lines[:-1] if extra < 0 else [*lines, "one too many"])
    needed = 5 * images
    line = needed + max(extra, 0)
    problem = rf"{needed + extra} captions, but {split}_filename\.txt needs {needed}"
    fails(tmp_path, rf"{split}_caps\.txt:{line}: {problem}")


@pytest.mark.parametrize(("name", "problem"), [
    ("../secret.png", "leaves the image folder"),
    ("a/../../secret.png", "leaves the image folder"),
    ("..\\secret.png", "leaves the image folder"),
    ("/etc/secret.png", "leaves the image folder"),
    ("C:\\secret.png", "leaves the image folder"),
    ("sec\0ret.png", "leaves the image folder"),
    ("", "the file name is empty"),
    ("bareland_0.png", "is listed twice in one split, first at .*train_filename\\.txt:1"),
    ("./bareland_0.png", "is listed twice in one split"),
])  # fmt: skip
def test_bad_file_name(tmp_path, name, problem):
    folder = write_release(tmp_path)
    edit(folder / "train_filename.txt", lambda lines: [lines[0], name, lines[2]])
    fails(tmp_path, rf"train_filename\.txt:2: .*{problem}")


def test_bad_file_name_in_json(tmp_path):
    write_json(tmp_path / "dataset_rsicd.json", test={"pond_0.png": ["a"], "../pond_1.png": ["b"]})
    fails(tmp_path, r"dataset_rsicd\.json, images\[4\]: '\.\./pond_1\.png' leaves the image folder")


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("kind", ["filename", "caps"])
def test_not_utf8(tmp_path, split, kind):
    file = write_release(tmp_path) / f"{split}_{kind}.txt"
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([lines[0], b"caf\xe9", *lines[2:]]))
    fails(tmp_path, rf"{split}_{kind}\.txt:2: is not UTF-8. Save")


@pytest.mark.parametrize("split", ["train", "test"])
def test_empty_split(tmp_path, split):
    write_release(tmp_path / "a", **{split: {}})
    fails(tmp_path / "a", rf"{split}_filename\.txt: the {split} split lists no image")
    write_json(tmp_path / "b" / "dataset_rsicd.json", **{split: {}})
    fails(tmp_path / "b", rf"dataset_rsicd\.json: the {split} split lists no image")


def test_test_names_out_of_order(tmp_path):
    folder = write_release(tmp_path)
    edit(folder / "test_filename.txt", lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]])
    fails(tmp_path, r"test_filename\.txt:5: 'pond_1\.png' breaks a run of 5 equal names")


def test_test_names_once_per_image(tmp_path):
    folder = write_release(tmp_path)
    edit(folder / "test_filename.txt", lambda lines: lines[::5])
    fails(tmp_path, r"test_filename\.txt:2: .*List each test image once for each of its captions")


def test_test_names_cut_short(tmp_path):
    folder = write_release(tmp_path)
    edit(folder / "test_filename.txt", lambda lines: lines[:-1])
    fails(tmp_path, r"test_filename\.txt:9: the list ends within a run")


def test_test_image_twice(tmp_path):
    folder = write_release(tmp_path)
    edit(folder / "test_filename.txt", lambda lines: [lines[0]] * 10)
    fails(tmp_path, r"test_filename\.txt:6: 'pond_0\.png' is listed twice in one split")


def test_test_image_without_caption(tmp_path):
    write_release(tmp_path, test=TEST | {"pond_1.png": [" "] * 5})
    fails(tmp_path, r"test_filename\.txt:6: test image 'pond_1\.png' has no caption")


def test_split_of_blank_captions(tmp_path):
    write_release(tmp_path, train={"pond_7.png": [""] * 5})
    fails(tmp_path, r"train_filename\.txt:1: every caption of the train split is blank")


def test_missing_images_are_listed(tmp_path):
    folder = write_release(tmp_path)
    write_images(folder / "rsicd_images", ["bareland_0.png", *TEST])
    problem = r"2 of 3 images are missing .*first bareland_1\.png, bareland_2\.png\. Put them"
    with pytest.raises(DataError, match=rf"train_filename\.txt:2: {problem}"):
        load("rsicd", tmp_path)


def test_folder_where_an_image_is_meant(tmp_path):
    folder = write_release(tmp_path)
    write_images(folder / "images", [*TRAIN, "pond_0.png"])
    (folder / "images" / "pond_1.png").mkdir()
    with pytest.raises(DataError, match=r"test_filename\.txt:6: 1 of 2 images are missing or not files"):
        load("rsicd", tmp_path)
    with pytest.raises(DataError, match=r"pond_1\.png: is a folder, not an image"):
        read_image(folder / "images" / "pond_1.png")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"images": [\n', r":2: is not JSON"),
        ("[" * 100_000, r":1: is not JSON"),
        ("[]", r": lacks 'images' \(list\)"),
        ('{"images": {}}', r": lacks 'images' \(list\)"),
        ('{"images": [7]}', r", images\[0\]: lacks 'split'"),
        ('{"images": [{"split": "train", "filename": "a.png"}]}', r", images\[0\]: lacks 'sentences'"),
        ('{"images": [{"split": "train", "sentences": []}]}', r", images\[0\]: lacks 'filename'"),
        ('{"images": [{"split": "dev"}]}', r", images\[0\]: unknown split 'dev'"),
        (
            '{"images": [{"split": "test", "filename": "a", "sentences": [{"raw": "a"}, {"text": "b"}]}]}',
            r", images\[0\]\.sentences\[1\]: lacks 'raw' \(str\)",
        ),
    ],
)
def test_broken_json(tmp_path, text, problem):
    (tmp_path / "dataset_rsicd.json").write_text(text)
    fails(tmp_path, r"dataset_rsicd\.json" + problem)


def test_json_that_is_not_utf8(tmp_path):
    (tmp_path / "dataset_rsicd.json").write_bytes(b'{"images":\n "caf\xe9"}')
    fails(tmp_path, r"dataset_rsicd\.json:2: is not UTF-8")
