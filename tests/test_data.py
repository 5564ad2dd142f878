"""Reading data sets: both layouts round trip, broken input names its place, published lists count right."""

import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from petl_core import data
from petl_core.data import DataError, Split, caption_key, load, read_image, split_validation

LINE = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r\ufeff"), max_size=12)
CAPTION = LINE.map(str.strip).filter(bool)


def listing(prefix: str, count: int, captions: int = 5) -> dict[str, list[str]]:
    return {f"{prefix}_{i}.png": [f"view {j} of {prefix} number {i}" for j in range(captions)] for i in range(count)}


TRAIN, TEST = listing("bareland", 3), listing("pond", 2)


def write_release(root: Path, name: str = "rsicd", train=TRAIN, test=TEST, newline: str = "\n", bom: str = ""):
    folder = root / f"{name}_precomp"
    folder.mkdir(parents=True)
    for split, images, repeat in (("train", train, 1), ("test", test, 5)):
        names = [image for image in images for _ in range(repeat)]
        captions = [caption for group in images.values() for caption in group]
        for kind, lines in (("filename", names), ("caps", captions)):
            text = bom + "".join(line + newline for line in lines)
            (folder / f"{split}_{kind}.txt").write_bytes(text.encode())
    return folder


def write_json(file: Path, train=TRAIN, test=TEST) -> Path:
    images = [
        {"filename": name, "split": split, "sentences": [{"raw": caption} for caption in captions]}
        for split, listed in (("train", train), ("test", test))
        for name, captions in listed.items()
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images}))
    return file


def write_images(folder: Path, names) -> None:
    folder.mkdir()
    for i, name in enumerate(names):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(folder / name)


def as_dict(split: Split) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {path.name: [] for path in split.images}
    for caption, image in zip(split.captions, split.image_of, strict=True):
        groups[split.images[image].name].append(caption)
    return groups


def edit(file: Path, change) -> None:
    file.write_text("".join(line + "\n" for line in change(file.read_text().splitlines())))


def fails(root: Path, match: str, name: str = "rsicd"):
    with pytest.raises(DataError, match=match):
        load(name, root, check_images=False)


# --- both layouts ---


@settings(max_examples=40, deadline=None)
@given(
    train=st.lists(st.lists(CAPTION, min_size=5, max_size=5), min_size=1, max_size=4),
    test=st.lists(st.lists(CAPTION, min_size=5, max_size=5), min_size=1, max_size=4),
    newline=st.sampled_from(["\n", "\r\n"]),
    bom=st.sampled_from(["", "\ufeff"]),
)
def test_release_layout_round_trips(tmp_path_factory, train, test, newline, bom):
    train = {f"pond_{i}.jpg": captions for i, captions in enumerate(train)}
    test = {f"port_{i}.jpg": captions for i, captions in enumerate(test)}
    root = tmp_path_factory.mktemp("release")
    write_release(root, "rsicd", train, test, newline, bom)
    loaded = load("rsicd", root, check_images=False)
    assert as_dict(loaded.train) == train
    assert as_dict(loaded.test) == test


@settings(max_examples=40, deadline=None)
@given(
    train=st.lists(st.lists(CAPTION, min_size=1, max_size=7), min_size=1, max_size=4),
    test=st.lists(st.lists(CAPTION, min_size=1, max_size=7), min_size=1, max_size=4),
)
def test_json_layout_round_trips_with_any_number_of_captions(tmp_path_factory, train, test):
    train = {f"pond_{i}.jpg": captions for i, captions in enumerate(train)}
    test = {f"port_{i}.jpg": captions for i, captions in enumerate(test)}
    file = write_json(tmp_path_factory.mktemp("json") / "dataset_rsicd.json", train, test)
    loaded = load(file, check_images=False)
    assert as_dict(loaded.train) == train
    assert as_dict(loaded.test) == test


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


def test_relative_path_of_a_folder(tmp_path, monkeypatch):
    write_release(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert load("elsewhere/rsicd_precomp", "data", check_images=False).name == "rsicd"


@pytest.mark.parametrize("images", ["rsicd_images", "images", "RSICD_images"])
def test_images_are_found_and_read(tmp_path, images):
    folder = write_release(tmp_path)
    write_images(folder / images, [*TRAIN, *TEST])
    loaded = load("rsicd", tmp_path)
    assert loaded.test.images[0] == folder / images / "pond_0.png"
    assert read_image(loaded.test.images[0]).getpixel((0, 0)) == (len(TRAIN), 0, 0)


def test_blank_captions_are_dropped_and_counted(tmp_path):
    train = TRAIN | {"bareland_1.png": ["", "  ", "a field", "\t", "bare land"]}
    write_release(tmp_path, train=train)
    split = load("rsicd", tmp_path, check_images=False).train
    assert split.blank == 3
    assert as_dict(split)["bareland_1.png"] == ["a field", "bare land"]


def test_train_image_without_any_caption_stays_an_image(tmp_path):
    write_release(tmp_path, train=TRAIN | {"bareland_1.png": [""] * 5})
    split = load("rsicd", tmp_path, check_images=False).train
    assert split.captions_per_image.tolist() == [5, 0, 5]
    assert split.blank == 5


def test_other_line_separators_stay_inside_a_caption(tmp_path):
    caption = "one\u2028two\x0bthree\x85four"
    write_release(tmp_path, train=TRAIN | {"bareland_1.png": [caption] * 5})
    assert caption in load("rsicd", tmp_path, check_images=False).train.captions


def test_caption_key_ignores_case_and_spacing_only():
    assert caption_key(" Two  Ponds\u00a0. ") == caption_key("two ponds .")
    assert caption_key("two ponds .") != caption_key("two ponds.")


# --- scene labels ---


@pytest.mark.parametrize(
    ("name", "image", "scene"),
    [
        ("rsicd", "denseresidential_12.jpg", "dense residential"),
        ("rsicd", "pond_1.jpg", "pond"),
        ("rsicd", "00923.jpg", None),
        ("rsicd", "01_23.jpg", None),
        ("rsitmd", "railwaystation_4000.tif", "railway station"),
        ("ucm", "1.tif", "agricultural"),
        ("ucm", "100.tif", "agricultural"),
        ("ucm", "101.tif", "airplane"),
        ("ucm", "2100.tif", "tennis court"),
        ("ucm", "0.tif", None),
        ("ucm", "2101.tif", None),
        ("ucm", "pond_1.tif", None),
        ("scenes-tiny", "parkinglot_3.png", "parking lot"),
        ("scenes-tiny", "parking_lot_3.png", "parking lot"),
        ("holiday", "pond_1.jpg", None),
    ],
)
def test_scene_label_of_a_file_name(tmp_path, name, image, scene):
    write_release(tmp_path, name, train={image: ["a"] * 5})
    assert load(name, tmp_path, check_images=False).train.scenes == (scene,)


def test_scene_table_overrides_and_extends(tmp_path):
    table = "pond\tsmall lake\nbeach\tsandy beach\n"
    for name in ("rsicd", "holiday"):
        folder = write_release(tmp_path, name, train={"pond_1.png": ["a"] * 5, "beach_2.png": ["b"] * 5})
        (folder / "scene_classes.txt").write_text(table)
        assert load(name, tmp_path, check_images=False).train.scenes == ("small lake", "sandy beach")


def test_scene_table_line_without_tab(tmp_path):
    (write_release(tmp_path) / "scene_classes.txt").write_text("pond\tpond\nbeach sandy beach\n")
    fails(tmp_path, r"scene_classes\.txt:2: is not 'prefix<TAB>words'. Write")


# --- broken input ---


def test_unknown_data_set(tmp_path):
    fails(tmp_path, rf"{re.escape(str(tmp_path))}: holds none of rsicd_precomp, rsicd, .*data/README\.md")


def test_folder_without_a_layout(tmp_path):
    (tmp_path / "rsicd").mkdir()
    fails(tmp_path, r"rsicd: holds neither train_filename\.txt.* nor a dataset_NAME\.json")


@pytest.mark.parametrize("file", data.RELEASE_FILES)
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
    ("bareland_0.png", "stands twice in one split, first at .*train_filename\\.txt:1"),
    ("./bareland_0.png", "stands twice in one split"),
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


def test_test_names_once_an_image(tmp_path):
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
    fails(tmp_path, r"test_filename\.txt:6: 'pond_0\.png' stands twice in one split")


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
    with pytest.raises(DataError, match=r"test_filename\.txt:6: 1 of 2 images are missing or no files"):
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


# --- images ---


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
        monkeypatch.setattr(data, "MAX_PIXELS", 40 * 60 - 1)
    else:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000 if limit_of == "pillow warning" else 500)
    with pytest.raises(DataError, match=r"photo\.png: has more than [0-9,]+ pixels"):
        read_image(photo)


def test_largest_allowed_image_is_read(monkeypatch, photo):
    monkeypatch.setattr(data, "MAX_PIXELS", 40 * 60)
    assert read_image(photo).size == (60, 40)


def test_error_crosses_process_borders():
    error = DataError("photo.png: is broken. Fetch it again")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# --- subsets, validation, fingerprint ---


def split_of(captions_per_image: list[int]) -> Split:
    image_of = np.repeat(np.arange(len(captions_per_image)), captions_per_image)
    return Split(
        images=tuple(Path(f"images/{i}.png") for i in range(len(captions_per_image))),
        captions=tuple(f"caption {j} of image {i}" for j, i in enumerate(image_of)),
        image_of=image_of,
        scenes=tuple(f"scene {i}" for i in range(len(captions_per_image))),
    )


@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=8), picks=st.data())
def test_subset_keeps_images_with_their_own_captions(counts, picks):
    split = split_of(counts)
    chosen = picks.draw(st.permutations(range(len(counts))).map(lambda p: p[: (len(counts) + 1) // 2]))
    part = split.subset(chosen)
    assert part.images == tuple(split.images[i] for i in chosen)
    assert part.scenes == tuple(split.scenes[i] for i in chosen)
    assert as_dict(part) == {split.images[i].name: as_dict(split)[split.images[i].name] for i in chosen}


@pytest.mark.parametrize(("indices", "error"), [([0, 0], ValueError), ([3], IndexError), ([-1], IndexError)])
def test_subset_refuses_bad_indices(indices, error):
    with pytest.raises(error, match=r"index stands twice|must lie in 0 .. 2"):
        split_of([1, 1, 1]).subset(indices)


@given(
    counts=st.lists(st.integers(0, 3), min_size=4, max_size=30).filter(lambda c: sum(map(bool, c)) >= 4),
    fraction=st.floats(0.05, 0.8),
    seed=st.integers(0, 2**32 - 1),
)
def test_validation_split(counts, fraction, seed):
    split = split_of(counts)
    train, validation = split_validation(split, fraction, seed)
    captioned = sum(map(bool, counts))
    assert len(validation.images) == max(1, round(fraction * captioned))
    assert set(train.images) | set(validation.images) == set(split.images)
    assert len(train.images) + len(validation.images) == len(split.images)
    assert as_dict(train) | as_dict(validation) == as_dict(split)
    assert all(as_dict(validation).values()), "an image without captions cannot be evaluated"
    again, _ = split_validation(split, fraction, seed)
    assert again.images == train.images


def test_validation_split_is_the_same_everywhere():
    _, validation = split_validation(split_of([1] * 20), fraction=0.25, seed=3)
    assert [int(path.stem) for path in validation.images] == [3, 8, 12, 16, 18]


def test_validation_split_depends_on_the_seed():
    picks = {split_validation(split_of([1] * 40), seed=seed)[1].images for seed in range(5)}
    assert len(picks) == 5


@pytest.mark.parametrize(("counts", "fraction"), [([1, 1, 1], 0.0), ([1, 1, 1], 1.0), ([1, 0, 0], 0.5)])
def test_validation_split_refuses(counts, fraction):
    with pytest.raises(ValueError, match=r"fraction must lie between|too few to hold out"):
        split_validation(split_of(counts), fraction)


def test_fingerprint_knows_content_not_place(tmp_path):
    folder = write_release(tmp_path / "a")
    shutil.copytree(folder, tmp_path / "b" / "rsicd_precomp")
    one = load("rsicd", tmp_path / "a", check_images=False).fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", one)
    assert load("rsicd", tmp_path / "b", check_images=False).fingerprint() == one


@pytest.mark.parametrize(
    "change",
    [
        {"train": TRAIN | {"bareland_1.png": ["changed"] * 5}},
        {"train": {f"x{name}": captions for name, captions in TRAIN.items()}},
        {"train": TEST, "test": TRAIN},
        {"test": dict(reversed(TEST.items()))},
    ],
)
def test_fingerprint_changes_with_content(tmp_path, change):
    write_release(tmp_path / "a")
    write_release(tmp_path / "b", **change)
    one, other = (load("rsicd", tmp_path / place, check_images=False) for place in "ab")
    assert one.fingerprint() != other.fingerprint()


def test_fingerprint_changes_with_scene_words(tmp_path):
    folder = write_release(tmp_path)
    before = load("rsicd", tmp_path, check_images=False).fingerprint()
    (folder / "scene_classes.txt").write_text("pond\tsmall lake\n")
    assert load("rsicd", tmp_path, check_images=False).fingerprint() != before


# --- the published lists ---


@pytest.fixture(scope="module")
def real():
    if "PETL_REAL_DATA" not in os.environ:
        pytest.skip("PETL_REAL_DATA is unset: no published caption lists to read")
    return Path(os.environ["PETL_REAL_DATA"])


@pytest.mark.parametrize(
    ("name", "train", "test", "blank", "classes", "unlabelled"),
    [
        ("rsicd", 9_828, 1_093, 0, 30, (855, 66)),
        ("rsitmd", 4_291, 452, 20, 33, (0, 0)),
        ("ucm", 1_890, 210, 0, 21, (0, 0)),
    ],
)
def test_published_lists(real, name, train, test, blank, classes, unlabelled):
    loaded = load(name, real / "captions", check_images=False)
    assert (len(loaded.train.images), len(loaded.test.images)) == (train, test)
    assert (len(loaded.train.captions), len(loaded.test.captions)) == (5 * train - blank, 5 * test)
    assert (loaded.train.blank, loaded.test.blank) == (blank, 0)
    scenes = loaded.train.scenes + loaded.test.scenes
    assert len(set(scenes) - {None}) == classes
    assert (loaded.train.scenes.count(None), loaded.test.scenes.count(None)) == unlabelled


def test_real_captions_speak_of_the_scene_labels(real):
    """UCM's rule rests on the order of its classes: the labels must fit what the captions say."""
    train = load("ucm", real / "captions", check_images=False).train
    words = {
        "forest": "forest",
        "harbor": "boat",
        "runway": "runway",
        "tennis court": "tennis",
        "airplane": "plane",
    }
    for scene, word in words.items():
        told = [
            word in c.lower() for c, i in zip(train.captions, train.image_of, strict=True) if train.scenes[i] == scene
        ]
        assert np.mean(told) > 0.5, scene


def test_real_images(real):
    loaded = load("rsicd", real)
    assert (len(loaded.train.images), len(loaded.test.images)) == (7_973, 1_000)
    assert read_image(loaded.test.images[0]).size == (128, 128)
