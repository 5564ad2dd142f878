"""Scene labels: from file names by each data set's own rule, and in captions."""

from pathlib import Path

import numpy as np
import pytest
from data_on_disk import fails, write_json, write_release
from hypothesis import given
from hypothesis import strategies as st

from petl_core.data import Split, load, scene_labels

SPLIT = Split(
    images=tuple(Path(f"{i}.jpg") for i in range(3)),
    captions=("many houses", "houses and roads", "a {pond}", "grey water", "a grey bridge"),
    image_of=np.array([0, 0, 1, 2, 2]),
    scenes=("dense residential", None, "river"),
)


@pytest.mark.parametrize(
    ("name", "image", "scene"),
    [
        ("rsicd", "denseresidential_12.jpg", "dense residential"),
        ("rsicd", "pond_1.jpg", "pond"),
        ("rsicd", "00923.jpg", None),
        ("rsicd", "01_23.jpg", None),
        ("rsitmd", "railwaystation_4000.tif", "railway station"),
        ("rsitmd", "parking_lot_3.tif", "parking lot"),
        ("ucm", "1.tif", "agricultural"),
        ("ucm", "100.tif", "agricultural"),
        ("ucm", "101.tif", "airplane"),
        ("ucm", "2100.tif", "tennis court"),
        ("ucm", "0.tif", None),
        ("ucm", "2101.tif", None),
        ("ucm", "pond_1.tif", None),
        # A user's data set whose name starts like a known one gets no guessed scene.
        ("holiday", "pond_1.jpg", None),
        ("ucm_mine", "7.jpg", None),
        ("ucm2", "7.jpg", None),
        ("rsicd_mine", "pond_1.jpg", None),
        ("rsitmd-v2", "pond_1.tif", None),
        ("scenes-mine", "pond_1.png", None),
    ],
)
def test_scene_label_of_a_file_name(tmp_path, name, image, scene):
    write_release(tmp_path, name, train={image: ["a"] * 5})
    assert load(name, tmp_path, check_images=False).train.scenes == (scene,)


@pytest.mark.parametrize("place", ["ucm_precomp", "UCM_captions", "ucm"])
def test_a_known_data_set_gets_its_scenes_however_its_folder_is_called(tmp_path, place):
    write_json(tmp_path / place / "dataset.json", train={"7.tif": ["a"]})
    assert load(tmp_path / place, check_images=False).train.scenes == ("agricultural",)


def test_scene_table_overrides_and_extends(tmp_path):
    for name in ("rsicd", "holiday"):
        folder = write_release(tmp_path, name, train={"pond_1.png": ["a"] * 5, "beach_2.png": ["b"] * 5})
        (folder / "scene_classes.txt").write_text("pond\tsmall lake\nbeach\tsandy beach\n")
        assert load(name, tmp_path, check_images=False).train.scenes == ("small lake", "sandy beach")
    (folder / "scene_classes.txt").write_text("pond\tpond\nbeach sandy beach\n")
    fails(tmp_path, r"scene_classes\.txt:2: is not 'prefix<TAB>words'. Write", "holiday")


@given(st.lists(st.text(), min_size=5, max_size=5))
def test_any_caption_is_joined_verbatim_and_unlabelled_ones_stay(captions):
    split = Split(SPLIT.images, tuple(captions), SPLIT.image_of, ("{caption}", "river", None))
    joined = [f"a satellite photo of {{caption}}: {c}" for c in captions[:2]]
    assert scene_labels.labelled_captions(split) == [
        *joined, f"a satellite photo of river: {captions[2]}", *captions[3:],
    ]  # fmt: skip


def test_labels_that_do_not_fit_their_captions_are_refused():
    assert scene_labels.join_labels(("a lake",), ("river",)) == ["a satellite photo of river: a lake"]
    with pytest.raises(ValueError, match="shorter"):
        scene_labels.join_labels(SPLIT.captions, ["river"])


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_captions_are_chosen_at_the_rate_asked_for_and_by_the_seed_alone(probability):
    first, again = (scene_labels.draw_labelled(20_000, probability, np.random.default_rng(3)) for _ in range(2))
    error = np.sqrt(probability * (1 - probability) / len(first))
    assert abs(first.mean() - probability) <= 4 * error
    assert first.tolist() == again.tolist()


def test_classes_are_the_labels_seen_and_others_are_unknown_as_a_missing_label_is():
    classes = scene_labels.scene_classes(SPLIT.scenes)
    assert classes == ["dense residential", "river"]
    assert scene_labels.class_prompts(classes)[0] == "a satellite photo of dense residential"
    places = scene_labels.class_indices(("river", "airport", None, "dense residential"), classes)
    assert places.tolist() == [1, scene_labels.UNKNOWN, scene_labels.UNKNOWN, 0]
