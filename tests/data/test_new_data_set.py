"""A data set in a known layout needs no code: files under a root and a name, and all that a run asks of it works."""

import numpy as np
import pytest
from data_on_disk import listing, write_images, write_json, write_release

from petl_core.config import RunConfig
from petl_core.data import RetrievalData, read_image, scene_labels, split_validation
from petl_core.data.audit import audit
from petl_core.data.default_data import load_or_draw

TRAIN, TEST = listing("orchard", 6) | listing("salt_pan", 4), listing("grove", 2)


def release(root):
    return write_release(root, "sentinel", TRAIN, TEST)


def original_distribution(root):
    return write_json(root / "Sentinel" / "dataset_Sentinel.json", TRAIN, TEST).parent


@pytest.fixture(params=[release, original_distribution])
def sentinel(request, tmp_path) -> RetrievalData:
    folder = request.param(tmp_path)
    write_images(folder / "images", [*TRAIN, *TEST])
    (folder / "scene_classes.txt").write_text("orchard\tfruit orchard\ngrove\tfruit orchard\nsalt_pan\tsalt pan\n")
    return load_or_draw("sentinel", tmp_path)


def test_it_is_read_under_its_name(sentinel):
    assert sentinel.name == "sentinel"
    assert [len(split.images) for split in (sentinel.train, sentinel.test)] == [10, 2]
    assert read_image(sentinel.test.images[0]).size == (4, 4)
    assert RunConfig(dataset="sentinel").dataset == "sentinel"


def test_its_table_labels_the_scenes(sentinel):
    assert scene_labels.scene_classes(sentinel.train.scenes) == ["fruit orchard", "salt pan"]
    assert sentinel.test.scenes == ("fruit orchard", "fruit orchard")
    labelled = scene_labels.labelled_captions(sentinel.test, "{scene}: {caption}")
    assert labelled[0] == "fruit orchard: view 0 of grove number 0"


def test_validation_is_split_off(sentinel):
    training, validation = split_validation(sentinel.train, 0.2, seed=1)
    assert (len(training.images), len(validation.images)) == (8, 2)
    assert np.array_equal(validation.captions_per_image, [5, 5])


def test_it_is_audited_and_has_fingerprints(sentinel):
    assert audit(sentinel).summary.loc["images", "test"] == 2
    assert len({sentinel.fingerprint(), sentinel.image_digest()}) == 2
