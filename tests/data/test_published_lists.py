"""The published lists count as published; needs PETL_REAL_DATA."""

import numpy as np
import pytest

from petl_core.data import load, read_image


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
    scenes = loaded.train.scenes + loaded.test.scenes
    assert len(set(scenes) - {None}) == classes
    assert (loaded.train.scenes.count(None), loaded.test.scenes.count(None)) == unlabelled


def test_real_captions_speak_of_the_scene_labels(real_data):
    """UCM's rule depends on the order of its classes: the labels must match the captions."""
    train = load("ucm", real_data / "captions", check_images=False).train
    words = {
        "forest": "forest",
        "harbor": "boat",
        "runway": "runway",
        "tennis court": "tennis",
        "airplane": "plane",
    }
    for scene, word in words.items():
        matches = [
            word in c.lower() for c, i in zip(train.captions, train.image_of, strict=True) if train.scenes[i] == scene
        ]
        assert np.mean(matches) > 0.5, scene


def test_real_images(real_data):
    loaded = load("rsicd", real_data)
    assert (len(loaded.train.images), len(loaded.test.images)) == (7_973, 1_000)
    assert read_image(loaded.test.images[0]).size == (128, 128)
