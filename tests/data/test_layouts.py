"""Reading data sets: both layouts round trip; what is broken is one error, which names file, line and remedy."""

import re

import numpy as np
import pytest
from data_on_disk import TEST, TRAIN, as_dict, edit, fails, listing, write_images, write_json, write_release
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_core import files
from petl_core.data import DataError, caption_key, default_data, load, read_image, scene_labels, split_validation
from petl_core.data.audit import audit
from petl_core.data.layouts import RELEASE_FILES
from petl_core.errors import ConfigError

LINE = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r\ufeff"), max_size=12)
CAPTION = LINE.map(str.strip).filter(bool)
FIVE = st.lists(st.lists(CAPTION, min_size=5, max_size=5), min_size=1, max_size=4)
ANY = st.lists(st.lists(CAPTION, min_size=1, max_size=7), min_size=1, max_size=4)


def named(prefix: str, captions: list[list[str]]) -> dict[str, list[str]]:
    return {f"{prefix}_{i}.jpg": group for i, group in enumerate(captions)}


@settings(max_examples=40, deadline=None)
@given(train=FIVE, test=FIVE, newline=st.sampled_from(["\n", "\r\n"]), bom=st.sampled_from(["", "\ufeff"]))
def test_release_layout_round_trips(tmp_path_factory, train, test, newline, bom):
    root = tmp_path_factory.mktemp("release")
    write_release(root, "rsicd", named("pond", train), named("port", test), newline, bom)
    loaded = load("rsicd", root, check_images=False)
    assert (as_dict(loaded.train), as_dict(loaded.test)) == (named("pond", train), named("port", test))


@settings(max_examples=40, deadline=None)
@given(train=ANY, test=ANY)
def test_json_layout_round_trips_with_any_number_of_captions(tmp_path_factory, train, test):
    file = tmp_path_factory.mktemp("json") / "dataset_rsicd.json"
    loaded = load(write_json(file, named("pond", train), named("port", test)), check_images=False)
    assert (as_dict(loaded.train), as_dict(loaded.test)) == (named("pond", train), named("port", test))


def test_json_validation_images_join_train(tmp_path):
    file = write_json(tmp_path / "dataset_rsicd.json")
    file.write_text(file.read_text().replace('"train"', '"val"', 1))
    assert len(load(file, check_images=False).train.images) == len(TRAIN)


@pytest.mark.parametrize(
    ("place", "name", "plain"),
    [
        ("data/rsitmd_precomp", "rsitmd", "rsitmd"),
        ("data/RSITMD/dataset_RSITMD.json", "rsitmd", "rsitmd"),
        ("data/dataset_rsitmd.json", "rsitmd", "rsitmd"),
        ("data/UCM_captions/dataset.json", "ucm_captions", "ucm"),
        ("elsewhere/rsitmd_precomp", "{tmp}/elsewhere/rsitmd_precomp", "rsitmd"),
        ("elsewhere/dataset_rsitmd.json", "{tmp}/elsewhere/dataset_rsitmd.json", "rsitmd"),
    ],
)
def test_places_where_a_data_set_is_found(tmp_path, place, name, plain):
    path = tmp_path / place
    (tmp_path / "data").mkdir()
    if path.suffix:
        write_json(path)
    else:
        write_release(path.parent, "rsitmd")
    loaded = load(name.format(tmp=tmp_path), tmp_path / "data", check_images=False)
    assert loaded.name == plain
    assert as_dict(loaded.test) == TEST


def test_a_relative_path_starts_at_the_project_wherever_the_kernel_was_started(tmp_path, monkeypatch):
    write_release(tmp_path / "elsewhere")
    monkeypatch.setattr(files, "ROOT", tmp_path)
    assert load("elsewhere/rsicd_precomp", "data", check_images=False).name == "rsicd"


@pytest.mark.parametrize("images", ["rsicd_images", "images", "RSICD_images"])
def test_images_are_found_and_read(tmp_path, images):
    folder = write_release(tmp_path)
    write_images(folder / images, [*TRAIN, *TEST])
    loaded = load("rsicd", tmp_path)
    assert loaded.test.images[0] == folder / images / "pond_0.png"
    assert read_image(loaded.test.images[0]).getpixel((0, 0)) == (len(TRAIN), 0, 0)


def test_blank_captions_are_dropped_and_counted(tmp_path):
    train = TRAIN | {"bareland_1.png": ["", "  ", "a field", "\t", "bare land"], "bareland_2.png": [""] * 5}
    write_release(tmp_path, train=train)
    split = load("rsicd", tmp_path, check_images=False).train
    assert split.blank == 8 and split.captions_per_image.tolist() == [5, 2, 0]  # without captions still an image
    assert as_dict(split)["bareland_1.png"] == ["a field", "bare land"]
    assert as_dict(split.with_blank_captions())["bareland_1.png"] == ["a field", "bare land", "", "", ""]


def test_other_line_separators_stay_inside_a_caption(tmp_path):
    caption = "one\u2028two\x0bthree\x85four"
    write_release(tmp_path, train=TRAIN | {"bareland_1.png": [caption] * 5})
    assert caption in load("rsicd", tmp_path, check_images=False).train.captions


def test_caption_key_ignores_case_and_spacing_only():
    assert caption_key(" Two  Ponds\u00a0. ") == caption_key("two ponds .")
    assert caption_key("two ponds .") != caption_key("two ponds.")


@pytest.mark.parametrize("layout", ["release", "json"])
def test_a_new_data_set_needs_no_code(tmp_path, layout):
    """Files under a root and a name: read, labelled, split, audited."""
    train, test = listing("orchard", 6) | listing("salt_pan", 4), listing("grove", 2)
    if layout == "release":
        folder = write_release(tmp_path, "sentinel", train, test)
    else:
        folder = write_json(tmp_path / "Sentinel" / "dataset_Sentinel.json", train, test).parent
    write_images(folder / "images", [*train, *test])
    (folder / "scene_classes.txt").write_text("orchard\tfruit orchard\ngrove\tfruit orchard\nsalt_pan\tsalt pan\n")
    sentinel = default_data.load_or_draw("sentinel", tmp_path)
    assert sentinel.name == "sentinel" and read_image(sentinel.test.images[0]).size == (4, 4)
    assert scene_labels.scene_classes(sentinel.train.scenes) == ["fruit orchard", "salt pan"]
    assert scene_labels.labelled_captions(sentinel.test)[0].endswith("fruit orchard: view 0 of grove number 0")
    training, validation = split_validation(sentinel.train, 0.2, seed=1)
    assert (len(training.images), len(validation.images)) == (8, 2)
    assert audit(sentinel).summary.loc["images", "test"] == 2
    assert len({sentinel.fingerprint(), sentinel.image_digest()}) == 2


@pytest.fixture
def mini(monkeypatch, tmp_path):
    monkeypatch.setitem(default_data.DRAWN, "scenes-mini", {"domain": "aerial", "train": 4, "test": 2, "size": 8})
    monkeypatch.setattr(files, "ROOT", tmp_path)
    return "scenes-mini"


def test_a_default_set_is_drawn_once_and_never_over_another(mini, tmp_path, capfd, monkeypatch):
    first = default_data.load_or_draw(mini, "data", progress=True)
    assert "drawing scenes-mini" in capfd.readouterr().err
    assert first.root == tmp_path / "data" / "scenes-mini_precomp"
    assert (len(first.train.images), len(first.test.captions)) == (4, 10)
    assert None not in first.train.scenes
    again = default_data.load_or_draw(mini, "data", progress=True)
    assert "drawing" not in capfd.readouterr().err
    assert again.image_digest() == first.image_digest()
    monkeypatch.setitem(default_data.DRAWN, mini, {"domain": "aerial", "train": 5, "test": 2, "size": 8})
    with pytest.raises(ConfigError, match="delete that folder"):
        default_data.load_or_draw(mini, "data")


# What is broken.


def test_unknown_data_set(tmp_path):
    fails(tmp_path, rf"{re.escape(str(tmp_path))}: holds none of rsicd_precomp, rsicd, .*data/README\.md")
    (tmp_path / "rsicd").mkdir()
    fails(tmp_path, r"rsicd: holds neither train_filename\.txt.* nor a dataset_NAME\.json")


@pytest.mark.parametrize("file", RELEASE_FILES)
def test_missing_list(tmp_path, file):
    (write_release(tmp_path) / file).unlink()
    fails(tmp_path, rf"{file}: file is missing. data/README\.md")
    (tmp_path / "rsicd_precomp" / file).mkdir()
    fails(tmp_path, rf"{file}: is a folder, not a file")


@pytest.mark.parametrize(("split", "images"), [("train", 3), ("test", 2)])
@pytest.mark.parametrize("extra", [-1, 1])
def test_caption_count(tmp_path, split, images, extra):
    folder = write_release(tmp_path)
    edit(folder / f"{split}_caps.txt", lambda lines: lines[:-1] if extra < 0 else [*lines, "one too many"])
    needed = 5 * images
    problem = rf"{needed + extra} captions, but {split}_filename\.txt needs {needed}"
    fails(tmp_path, rf"{split}_caps\.txt:{needed + max(extra, 0)}: {problem}")


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


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], r":5: 'pond_1\.png' breaks a run of 5 equal"),
        (lambda lines: lines[::5], ":2: .*List each test image once for each of its captions"),
        (lambda lines: lines[:-1], ":9: the list ends within a run"),
        (lambda lines: [lines[0]] * 10, r":6: 'pond_0\.png' is listed twice in one split"),
    ],
)
def test_test_names_that_do_not_fit_their_captions(tmp_path, change, problem):
    edit(write_release(tmp_path) / "test_filename.txt", change)
    fails(tmp_path, rf"test_filename\.txt{problem}")


def test_a_test_image_or_a_split_without_caption(tmp_path):
    write_release(tmp_path / "a", test=TEST | {"pond_1.png": [" "] * 5})
    fails(tmp_path / "a", r"test_filename\.txt:6: test image 'pond_1\.png' has no caption")
    write_release(tmp_path / "b", train={"pond_7.png": [""] * 5})
    fails(tmp_path / "b", r"train_filename\.txt:1: every caption of the train split is blank")


def test_missing_images_are_listed(tmp_path):
    folder = write_release(tmp_path)
    write_images(folder / "rsicd_images", ["bareland_0.png", *TEST])
    problem = r"2 of 3 images are missing .*first bareland_1\.png, bareland_2\.png\. Put them"
    with pytest.raises(DataError, match=rf"train_filename\.txt:2: {problem}"):
        load("rsicd", tmp_path)


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
        (
            '{"images": [{"split": "test", "filename": "a", "sentences": [{"raw": "nice \\ud83d harbour"}]}]}',
            r", images\[0\]\.sentences\[0\]: 'raw' holds half a character .* Write the character whole",
        ),
        (
            '{"images": [{"split": "test", "filename": "../a", "sentences": [{"raw": "a"}]},'
            '{"split": "train", "filename": "b", "sentences": [{"raw": "a"}]}]}',
            r", images\[0\]: '../a' leaves the image folder",
        ),
    ],
)
def test_broken_json(tmp_path, text, problem):
    (tmp_path / "dataset_rsicd.json").write_text(text)
    fails(tmp_path, r"dataset_rsicd\.json" + problem)


def test_json_that_is_not_utf8(tmp_path):
    (tmp_path / "dataset_rsicd.json").write_bytes(b'{"images":\n "caf\xe9"}')
    fails(tmp_path, r"dataset_rsicd\.json:2: is not UTF-8")


# The published lists and the real images.


@pytest.mark.parametrize(
    ("name", "train", "test", "blank", "classes", "unlabelled"),
    [
        ("rsicd", 9_828, 1_093, 0, 30, (855, 66)),
        ("rsitmd", 4_291, 452, 20, 33, (0, 0)),
        ("ucm", 1_890, 210, 0, 21, (0, 0)),
    ],
)
def test_published_lists(real_data, name, train, test, blank, classes, unlabelled):
    loaded = load(name, real_data / "captions", check_images=False)
    assert (len(loaded.train.images), len(loaded.test.images)) == (train, test)
    assert (len(loaded.train.captions), len(loaded.test.captions)) == (5 * train - blank, 5 * test)
    assert (loaded.train.blank, loaded.test.blank) == (blank, 0)
    assert len(scene_labels.scene_classes(loaded.train.scenes + loaded.test.scenes)) == classes
    assert (loaded.train.scenes.count(None), loaded.test.scenes.count(None)) == unlabelled


def test_real_captions_speak_of_the_scene_labels(real_data):
    """UCM's rule depends on the order of its classes: the labels must match the captions."""
    train = load("ucm", real_data / "captions", check_images=False).train
    words = {"forest": "forest", "harbor": "boat", "runway": "runway", "tennis court": "tennis", "airplane": "plane"}
    for scene, word in words.items():
        pairs = zip(train.captions, train.image_of, strict=True)
        assert np.mean([word in caption.lower() for caption, i in pairs if train.scenes[i] == scene]) > 0.5, scene


def test_real_images(real_data):
    loaded = load("rsicd", real_data)
    assert (len(loaded.train.images), len(loaded.test.images)) == (7_973, 1_000)
    assert read_image(loaded.test.images[0]).size == (128, 128)
