import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petl_core import data
from petl_core.data import Split, scene_labels
from petl_core.errors import ConfigError

TEMPLATE = "{scene} | {caption}"
SPLIT = Split(
    images=tuple(Path(f"{i}.jpg") for i in range(3)),
    captions=("many houses", "houses and roads", "a {pond}", "grey water", "a grey bridge"),
    image_of=np.array([0, 0, 1, 2, 2]),
    scenes=("dense residential", None, "river"),
)
AUGMENTED = [
    "dense residential | many houses",
    "dense residential | houses and roads",
    "a {pond}",
    "river | grey water",
    "river | a grey bridge",
]


def test_captions_take_their_images_label_and_unlabelled_ones_stay():
    assert scene_labels.labelled_captions(SPLIT, TEMPLATE) == AUGMENTED
    assert scene_labels.labelled_captions(SPLIT)[0] == "a satellite photo of dense residential: many houses"


@given(st.lists(st.text(), min_size=5, max_size=5))
def test_any_caption_is_joined_verbatim(captions):
    split = Split(SPLIT.images, tuple(captions), SPLIT.image_of, ("{caption}", "river", None))
    expected = [f"{{caption}} | {c}" for c in captions[:2]] + [f"river | {captions[2]}"] + captions[3:]
    assert scene_labels.labelled_captions(split, TEMPLATE) == expected


@pytest.mark.parametrize(
    "template",
    ["", "{caption}", "{scene}", "{scene} {caption} {place}", "{scene} {scene} {caption}", "{scene}{caption}{}",
     "{scene}{caption}{0}", "{scene.title} {caption}", "{scene!r} {caption}", "{scene:>9} {caption}",
     "{scene:{caption}}", "{scene} {caption", "scene} {caption}"],
)  # fmt: skip
def test_bad_templates_are_refused(template):
    with pytest.raises(ConfigError, match="scene template"):
        scene_labels.check_template(template)
    with pytest.raises(ConfigError, match="scene template"):
        scene_labels.labelled_captions(SPLIT, template)


def test_a_template_may_hold_escaped_braces_and_either_order():
    assert scene_labels.labelled_captions(SPLIT, "{caption} {{{scene}}}")[3] == "grey water {river}"


def test_probability_zero_never_and_one_always_chooses():
    assert not scene_labels.draw_labelled(1000, 0.0, np.random.default_rng(0)).any()
    assert scene_labels.draw_labelled(1000, 1.0, np.random.default_rng(0)).all()


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
def test_captions_are_chosen_at_the_rate_asked_for(probability):
    chosen = scene_labels.draw_labelled(20_000, probability, np.random.default_rng(3))
    error = np.sqrt(probability * (1 - probability) / len(chosen))
    assert abs(chosen.mean() - probability) < 4 * error


def test_the_choice_depends_on_the_seed_alone():
    first, again, other = (scene_labels.draw_labelled(64, 0.5, np.random.default_rng([seed, 1])) for seed in (4, 4, 5))
    assert first.tolist() == again.tolist() != other.tolist()


def test_any_labels_join_captions_in_their_order():
    joined = scene_labels.join_labels(("a lake", "a road"), ("river", None), "{caption} [{scene}]")
    assert joined == ["a lake [river]", "a road"]
    with pytest.raises(ValueError, match="shorter"):
        scene_labels.join_labels(SPLIT.captions, ["river"], TEMPLATE)


def test_a_class_that_is_not_listed_is_unknown_as_a_missing_label_is():
    classes = scene_labels.scene_classes(SPLIT.scenes)
    places = scene_labels.class_indices(("river", "airport", None, "dense residential"), classes)
    assert places.tolist() == [1, scene_labels.UNKNOWN, scene_labels.UNKNOWN, 0]


def test_classes_are_the_labels_seen_and_have_a_prompt_each():
    classes = scene_labels.scene_classes(SPLIT.scenes)
    assert classes == ["dense residential", "river"]
    assert scene_labels.class_prompts(classes) == [
        "a satellite photo of dense residential",
        "a satellite photo of river",
    ]


def test_scene_labels_import_without_torch():
    code = "import sys, petl_core.data.scene_labels; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("name", "unlabelled", "classes"), [("rsicd", 66, 30), ("rsitmd", 0, 33), ("ucm", 0, 21)])
def test_published_captions(real_data, name, unlabelled, classes):
    published = data.load(name, real_data / "captions", check_images=False)
    assert len(scene_labels.scene_classes(published.train.scenes)) == classes
    test = published.test
    assert test.scenes.count(None) == unlabelled
    queries = scene_labels.labelled_captions(test, TEMPLATE)
    for query, caption, image in zip(queries, test.captions, test.image_of, strict=True):
        scene = test.scenes[image]
        assert query == (caption if scene is None else f"{scene} | {caption}")
