"""Runs of CMER are known by the parts that they switch on."""

import pytest

from petl_core.adapters.focus import ATTENTIONS
from petl_core.config import RunConfig
from petl_core.evaluation.cmer import CONTROLS, PART_NAMES, added_parts
from petl_core.runs.folder import Run


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "Focus-Adapter"),
        ({"epochs": 0}, "Zero-shot CLIP"),
        ({"method_options": {"attention": "unsuppressed"}}, "attention, nothing suppressed"),
        ({"method_options": {"attention": "uniform"}}, "uniform attention"),
        ({"method_options": {"attention": "none"}}, "no patches"),
        ({"method_options": {"attention": "focus"}}, "Focus-Adapter"),
        ({"queue_size": 8}, "+ recycled negatives"),
        ({"scene_probability": 0.5}, "+ scene labels"),
        ({"queue_size": 8, "scene_probability": 0.5}, "+ both"),
    ],
)
def test_a_part_is_what_a_run_adds(tmp_path, changes, name):
    assert PART_NAMES[added_parts(Run(tmp_path, RunConfig(method="focus").replace(**changes), {}))] == name


def test_every_attention_but_focus_is_a_control():
    assert [attention for (attention,) in CONTROLS] == [attention for attention in ATTENTIONS if attention != "focus"]
