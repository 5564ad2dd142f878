"""study.yaml as data: its sections are valid, and a mistake in one is reported in one line."""

import copy
import datetime
import functools
import json
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from petl_core.adapters import METHODS
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import ROOT
from petl_core.runs import study
from petl_core.runs.run import check

SECTIONS = study.load_sections()
load = functools.cache(study.load)
TINY = {"dataset": "scenes-tiny", "backbone": "data/small-clip", "epochs": 1}


def one(notebook: str, parameters: object, **fields) -> dict:
    """A section of one notebook."""
    return {**fields, "notebooks": {notebook: parameters}}


# The file.


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_loads_with_runs_that_can_be_made_and_parameters_that_are_declared(section):
    read = load(section)
    for run in read.runs.values():
        check(run)
    for notebook, parameters in read.notebooks.items():
        assert parameters.keys() <= study.declared_parameters(notebook).keys()


@pytest.mark.parametrize(("name", "notebook"), [("tuning", "16_tuning"), ("full", "04_benchmark")])
def test_every_method_is_tuned_and_compared(name, notebook):
    section = load(name)
    assert {section.runs[run].method for run in section.reads[notebook]} == METHODS.keys()


def test_every_field_is_varied():
    """A field that no section varies is a constant where it is used, and no field."""
    values: dict[str, set[str]] = {}
    for section in SECTIONS:
        for run in load(section).runs.values():
            for name, value in run:
                values.setdefault(name, set()).add(json.dumps(value))
    assert [name for name in RunConfig.model_fields if len(values[name]) < 2] == []


# How a section is read.


def test_lists_are_grids_and_zero_shot_is_always_first():
    section = study.read(one("04_benchmark", {"runs": [{"method": ["mrs", "lora"], "seed": [2, 3]}]}, **TINY), "mine")
    runs = list(section.runs.values())
    assert runs[0] == RunConfig().zero_shot()
    assert [(run.method, run.seed) for run in runs[1:]] == [("mrs", 2), ("mrs", 3), ("lora", 2), ("lora", 3)]
    assert section.notebooks["04_benchmark"]["runs"] == section.reads["04_benchmark"] == list(section.runs)


def test_a_notebook_is_given_the_fields_of_its_section_that_it_declares():
    fields = {"dataset": "rsicd", "seed": [7, 8], "learning_rate": 1e-4, "method": "lora", "epochs": 9}
    given = study.read(one("03_train", None, **fields), "mine").notebooks["03_train"]
    declared = study.declared_parameters("03_train")
    wanted = {name: value for name, value in {**fields, "seed": 7}.items() if name in declared}
    assert {"dataset", "method"} <= wanted.keys() and {name: given[name] for name in wanted} == wanted
    assert "epochs" not in study.read(one("01_data", None, **fields), "mine").notebooks["01_data"]


@pytest.mark.parametrize(
    ("options", "workers"),
    [
        ({}, 8),
        ({"runs_per_job": 5}, 1),
        ({"gpus": 1}, 1),
        ({"gpus": 1, "runs_per_gpu": 3}, 3),
        ({"gpus": 1, "runs_per_gpu": 3, "runs_per_job": 5}, 3),
        ({"runs_per_gpu": 3}, 8),
    ],
)
def test_runs_at_a_time(options, workers):
    assert study.read(one("01_data", None, **options), "mine").workers(8) == workers


def test_a_notebook_of_one_run_takes_its_name():
    section = study.read(one("13_gallery", {"run": {"method": "mrs", "seed": 5}}, **TINY), "mine")
    name = RunConfig(**TINY, seed=5).hash
    assert section.notebooks["13_gallery"]["run"] == name
    assert list(section.runs) == section.reads["13_gallery"] == [RunConfig().zero_shot().hash, name]


def test_a_notebook_finds_the_runs_of_a_section_by_its_name():
    section = study.load("study")
    assert study.runs_of("study", "07_hmmc") == [section.runs[name] for name in section.reads["07_hmmc"]]
    with pytest.raises(ConfigError, match=r"study has no runs of 01_data; notebooks with runs: 04_benchmark"):
        study.runs_of("study", "01_data")
    with pytest.raises(ConfigError, match="no section mine"):
        study.runs_of("mine", "07_hmmc")


def test_a_section_that_is_not_there_is_named_with_those_that_are():
    sections = {"study": {"notebooks": {}}, "mine": None, "section": "min", "train": False}
    assert study.find_section(sections, "study") == {"notebooks": {}}
    assert study.find_section(sections, "mine") is None
    for name in ("min", 1, ["study"]):
        with pytest.raises(ConfigError, match=r"no section .*; known: study$"):
            study.find_section(sections, name)
    with pytest.raises(ConfigError, match="must be a mapping of sections"):
        study.find_section(None, "study")


def test_it_is_read_without_torch():
    modules = "petl_core.config, petl_core.runs.study, petl_core.runs.archive, petl_core.runs.make"
    code = f"import sys, {modules}; petl_core.runs.study.load('study'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine:\n  seed: 2\n  epochs: 3\n  seed: 3\n", "seed occurs twice in one mapping, on lines 2 and 4$"),
        ("mine: {seed: 2, seed: 3}\n", "seed occurs twice in one mapping, on lines 1 and 1$"),
        ("mine: {seed: [2, 3}\n", "line 1"),
        ("mine: !secret\n", "line 1"),
        (None, "No such file"),
    ],
)
def test_a_file_that_yaml_cannot_read_is_named_with_the_line(tmp_path, text, message):
    path = tmp_path / "study.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=f"(?s)study.yaml: .*{message}"):
        study.load_sections(path)


def test_a_merged_key_may_be_overridden(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "one: {part: [&part {seed: 2, epochs: 3}, &set {<<: *part, seed: 3}]}\ntwo: {<<: *set, epochs: 1}\n"
    )
    assert study.load_sections(path)["two"] == {"seed": 3, "epochs": 1}
    assert yaml.safe_load((ROOT / "study.yaml").read_text()) == SECTIONS


# Slips.

CONTAINS_ITSELF: dict = one("04_benchmark", {"runs": []})
CONTAINS_ITSELF["notebooks"]["04_benchmark"]["runs"].append(CONTAINS_ITSELF)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (None, "mine must be a mapping of fields"),
        ([], "mine must be a mapping of fields"),
        ({"epochs": 3}, "mine must be a mapping .* always notebooks"),
        ({"notebooks": ["01_data"]}, "mine must be a mapping .* always notebooks"),
        ({"notebooks": {}, "epoch": 3}, "mine.epoch = 3: unknown; known: .*epochs"),
        ({"notebooks": {}, 2024: 1}, "mine: the key 2024 is int, but must be text"),
        ({"notebooks": {}, "learning_rate": float("nan")}, "mine.learning_rate = nan must be finite"),
        ({"notebooks": {}, "learning_rate": 10**400}, "mine.learning_rate = 1.* must be finite"),
        ({"notebooks": {}, "figures": "my figures"}, "mine.figures = 'my figures': "),
        ({"notebooks": {}, "runs_root": ""}, "mine.runs_root = '': "),
        ({"notebooks": {}, "gpus": -1}, "mine.gpus = -1: "),
        ({"notebooks": {}, "runs_per_gpu": 0}, "mine.runs_per_gpu = 0: "),
        ({"notebooks": {}, "gpus": 1.0}, "mine.gpus = 1.0: .*integer"),
        (one("4_benchmark", {}), "mine.notebooks: no notebook 4_benchmark; known: .*04_benchmark"),
        (one("04_benchmark", 3), "mine.notebooks.04_benchmark = 3 must be a mapping of the notebook's parameters"),
        (one("05_efficiency", {"round": 3}), "mine.notebooks.05_efficiency: unknown round; known: .*rounds"),
        (one("05_efficiency", {"rounds": "3"}), "mine.notebooks.05_efficiency: rounds = '3' is str, but must be int"),
        (one("05_efficiency", {"runs": [{}]}), "mine.notebooks.05_efficiency: unknown runs"),
        (one("05_efficiency", {"model": datetime.date(2026, 1, 2)}), "mine.notebooks.05_efficiency.model = datetime"),
        (one("04_benchmark", {"runs": None}), "mine.notebooks.04_benchmark.runs = None must be a list of runs"),
        (one("04_benchmark", {"runs": []}), "mine.notebooks.04_benchmark.runs = .* must be a list of runs, at least"),
        (one("04_benchmark", {"runs": ["mrs"]}), r"mine.notebooks.04_benchmark.runs\[0\] = 'mrs' must be a run"),
        (
            one("04_benchmark", {"runs": [{}, {"lr": 1.0}]}),
            r"mine.notebooks.04_benchmark.runs\[1\]: lr = 1.0: .*known f",
        ),
        (one("04_benchmark", {"runs": [{}]}, epochs="three"), r"runs\[0\]: epochs = 'three': .*integer"),
        (one("04_benchmark", {"runs": [{"epochs": -1}]}), r"runs\[0\]: epochs = -1: .*greater than or equal to 0"),
        (one("04_benchmark", {"runs": [{"seed": [2, None]}]}), r"runs\[0\]: seed = None: .*integer"),
        (one("04_benchmark", {"runs": [{}]}, seed=[]), r"a list without values"),
        (one("04_benchmark", {"runs": [{"method_options": {4: 4}}]}), r"runs\[0\].method_options: the key 4 is int"),
        (one("04_benchmark", {"runs": [{"backbone": "~no-such-user/x"}]}), r"runs\[0\]: .* home directory"),
        (one("04_benchmark", {"runs": [{}]}, tuned="nowhere.json"), r"runs\[0\]: tuned: there is no nowhere.json"),
        (one("13_gallery", {"run": [{"method": "mrs"}]}), "mine.notebooks.13_gallery.run = .* must be a run"),
        (one("13_gallery", {"run": {"seed": []}}), "mine.notebooks.13_gallery.run: a list without values"),
        (CONTAINS_ITSELF, "mine contains itself"),
    ],
)
def test_a_slip_is_named_with_its_place(section, message):
    with pytest.raises(ConfigError, match=f"^study.yaml: .*{message}"):
        study.read(section, "mine")


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates() | st.binary(max_size=3)
)
NAMES = st.sampled_from(
    ["runs", "run", "seed", "epochs", "method", "method_options", "notebooks", "01_data", "figures"]
)
FROM_YAML = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | SCALARS, inner, max_size=3),
    max_leaves=6,
)
GOOD = {
    **TINY,
    "seed": [2, 3],
    "gpus": 0,
    "data_root": "data",
    "notebooks": {
        "01_data": None,
        "04_benchmark": {"runs": [{"method": "mrs", "method_options": {"bottleneck": 8}}, {"learning_rate": [0.1, 1]}]},
        "08_queue": {"cost_sizes": [64], "runs": [{"queue_size": 16}]},
        "13_gallery": {"run": {"method": "mrs"}, "queries": 2},
    },
}


def containers(value: object) -> list:
    """Every mapping and list in a value, itself among them."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [] if parts is None else [value, *(found for part in parts for found in containers(part))]


def mutate(value: dict | list, draw) -> None:
    """Change, add or remove something of a mapping or a list."""
    if isinstance(value, list):
        start = draw(st.integers(0, len(value)))
        value[start : start + draw(st.integers(0, 1))] = draw(st.lists(FROM_YAML, max_size=1))
        return
    key = draw(NAMES | SCALARS | st.sampled_from(list(value) or ["runs"]))
    if draw(st.booleans()):
        value[key] = draw(FROM_YAML)
    else:
        value.pop(key, None)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_mutation_of_a_section_reads_or_is_one_clear_error(data):
    section = {"mine": copy.deepcopy(GOOD)}
    for _ in range(data.draw(st.integers(1, 2))):
        mutate(data.draw(st.sampled_from(containers(section))), data.draw)
    try:
        read = study.read(section.get("mine"), "mine")
    except ConfigError as error:
        assert str(error).startswith("study.yaml: mine")
    else:
        assert yaml.safe_load(yaml.safe_dump(read.notebooks)) == read.notebooks
        assert all(run.hash == name for name, run in read.runs.items())
