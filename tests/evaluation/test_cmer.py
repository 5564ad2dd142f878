"""Runs of CMER are known by the parts that they switch on."""

import pytest
from petl_core.runs.folder import Run

from petl_core.adapters.focus import ATTENTIONS
from petl_core.config import RunConfig
from petl_core.evaluation.cmer import CONTROLS, PART_NAMES, added_parts
from petl_core.evaluation.grouping import differing_fields
from petl_core.runs import study

SECTIONS = {name: asked for name, asked in study.load_sections().items() if "06_cmer" in asked["notebooks"]}


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
        ({"queue_size": 8, "queue_keys": "ema"}, "+ recycled negatives, slow keys"),
        ({"queue_size": 8, "queue_keys": "ema", "scene_probability": 0.5}, "+ both, slow keys"),
    ],
)
def test_a_part_is_what_a_run_adds(tmp_path, changes, name):
    assert PART_NAMES[added_parts(Run(tmp_path, RunConfig(method="focus").replace(**changes), {}))] == name


def test_every_attention_but_focus_is_a_control():
    assert [attention for (attention,) in CONTROLS] == [attention for attention in ATTENTIONS if attention != "focus"]


@pytest.mark.parametrize("section", SECTIONS)
def test_runs_of_the_study_with_the_same_parts_differ_only_in_their_seed(tmp_path, section):
    asked = study.read({name: value for name, value in SECTIONS[section].items() if name != "tuned"}, section)
    configs = {}
    for name in asked.reads["06_cmer"]:
        config = asked.runs[name]
        configs.setdefault(added_parts(Run(tmp_path, config, {})), []).append(config)
    assert not any(differing_fields(alike, ["seed"]) for alike in configs.values())
    assert configs.keys() <= PART_NAMES.keys()
