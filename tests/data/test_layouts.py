"""Reading data sets: both layouts round trip, and file names give scene labels."""

import pytest
from data_on_disk import TEST, TRAIN, as_dict, fails, write_images, write_json, write_release
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_core.data import caption_key, load, read_image

LINE = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r\ufeff"), max_size=12)
CAPTION = LINE.map(str.strip).filter(bool)


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
    train = TRAIN | {"bareland_1.png": ["", "  ", "a field", "\t", "bare land"]}
    write_release(tmp_path, train=train)
    split = load("rsicd", tmp_path, check_images=False).train
    assert split.blank == 3
    assert as_dict(split)["bareland_1.png"] == ["a field", "bare land"]
    assert as_dict(split.with_blank_captions())["bareland_1.png"] == ["a field", "bare land", "", "", ""]


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
        ("rsitmd", "parking_lot_3.tif", "parking lot"),
        ("holiday", "pond_1.jpg", None),
    ],
)
def test_scene_label_of_a_file_name(tmp_path, name, image, scene):
    write_release(tmp_path, name, train={image: ["a"] * 5})
    assert load(name, tmp_path, check_images=False).train.scenes == (scene,)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("ucm_mine", "7.jpg"),
        ("ucm2", "7.jpg"),
        ("rsicd_mine", "pond_1.jpg"),
        ("rsitmd-v2", "pond_1.tif"),
        ("scenes-mine", "pond_1.png"),
    ],
)
def test_a_users_data_set_whose_name_starts_like_a_known_one_gets_no_guessed_scene(tmp_path, name, image):
    write_release(tmp_path, name, train={image: ["a"] * 5})
    assert load(name, tmp_path, check_images=False).train.scenes == (None,)


@pytest.mark.parametrize("place", ["ucm_precomp", "UCM_captions", "ucm"])
def test_a_known_data_set_gets_its_scenes_however_its_folder_is_called(tmp_path, place):
    write_json(tmp_path / place / "dataset.json", train={"7.tif": ["a"]})
    assert load(tmp_path / place, check_images=False).train.scenes == ("agricultural",)


def test_scene_table_overrides_and_extends(tmp_path):
    table = "pond\tsmall lake\nbeach\tsandy beach\n"
    for name in ("rsicd", "holiday"):
        folder = write_release(tmp_path, name, train={"pond_1.png": ["a"] * 5, "beach_2.png": ["b"] * 5})
        (folder / "scene_classes.txt").write_text(table)
        assert load(name, tmp_path, check_images=False).train.scenes == ("small lake", "sandy beach")


def test_scene_table_line_without_tab(tmp_path):
    (write_release(tmp_path) / "scene_classes.txt").write_text("pond\tpond\nbeach sandy beach\n")
    fails(tmp_path, r"scene_classes\.txt:2: is not 'prefix<TAB>words'. Write")
