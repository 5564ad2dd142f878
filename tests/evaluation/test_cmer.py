"""Runs of CMER are known by the parts that they switch on."""

import pytest

from petl_core.config import RunConfig
from petl_core.evaluation.cmer import PART_NAMES, added_parts
from petl_core.runs.folder import Run


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "Focus-Adapter"),
        ({"epochs": 0}, "Zero-shot CLIP"),
        ({"method_options": {"focus": False}}, "without focus"),
        ({"queue_size": 8}, "+ recycled negatives"),
        ({"scene_probability": 0.5}, "+ scene labels"),
        ({"queue_size": 8, "scene_probability": 0.5}, "+ both"),
    ],
)
def test_a_part_is_what_a_run_adds(tmp_path, changes, name):
    assert PART_NAMES[added_parts(Run(tmp_path, RunConfig(method="focus").replace(**changes), {}))] == name
