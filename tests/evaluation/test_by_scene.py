"""Recalls of a scene are those of its images, among all."""

import numpy as np
import pytest
from fake_runs import IMAGES, fake_comparison

from petl_core import retrieval
from petl_core.evaluation.by_scene import recalls_by_scene
from petl_core.evaluation.comparison import summary
from petl_core.evaluation.grouping import group_runs
from petl_core.evaluation.names import METRICS, method_and_loss


@pytest.fixture
def groups(tmp_path):
    return group_runs(fake_comparison(tmp_path), method_and_loss)


def test_each_group_has_a_row_per_scene_and_images_without_label_have_none(groups):
    scenes = [("port", "pond", None)[i % 3] for i in range(IMAGES)]
    frame = recalls_by_scene(groups, scenes)
    assert frame[["scene", "key"]].to_dict("records") == [
        {"scene": scene, "key": group.key} for scene in ("pond", "port") for group in groups
    ]
    assert frame["images"].eq(IMAGES // 3).all()
    hits = [run.test_hits[[scene == "port" for scene in scenes]] for run in groups[1].runs]
    expected = np.mean([list(retrieval.metrics(of_seed).values()) for of_seed in hits], axis=0)
    row = frame.iloc[len(groups) + 1]  # of the second group in the second scene
    np.testing.assert_allclose(row[list(retrieval.metrics(hits[0]))].astype(float), expected)
    assert row["mr_low"] <= row["mr"] <= row["mr_high"]


def test_one_scene_of_all_images_is_the_whole_split(groups):
    frame, whole = recalls_by_scene(groups, ["port"] * IMAGES), summary(groups)
    np.testing.assert_allclose(frame[list(METRICS)], whole[list(METRICS)])


def test_no_labels_give_no_rows_and_scenes_of_another_split_are_refused(groups):
    assert recalls_by_scene(groups, [None] * IMAGES).empty
    with pytest.raises(ValueError, match=f"3 scenes, but tests on {IMAGES} images"):
        recalls_by_scene(groups, ["port"] * 3)
