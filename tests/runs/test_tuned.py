"""Settings that one section chooses and another takes."""

import json

import pytest

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import read_json
from petl_core.runs import study, tuned
from petl_core.runs.tuned import Choice


@pytest.fixture
def path(tmp_path):
    """Choices of two methods; MRS-Adapter has some with and without HMMC, and a width of its own."""
    wide = {"bottleneck": 256}
    choices = [
        Choice(
            RunConfig(contrast="triplet", w_image=1.0, w_text=1.0), {"learning_rate": 1e-2, "learn_temperature": True}
        ),
        Choice(RunConfig(), {"learning_rate": 3e-3}),
        Choice(RunConfig(method_options=wide), {"learning_rate": 1e-3}),
        Choice(
            RunConfig(method="lora", method_options={"alpha": 4.0}),
            {"learning_rate": 1e-1, "method_options": {"alpha": 4.0}},
        ),
    ]
    return str(tuned.write(choices, tmp_path / "tuned.json"))


@pytest.mark.parametrize(
    ("fields", "added"),
    [
        ({}, {"learning_rate": 3e-3}),
        ({"seed": 7, "epochs": 9}, {"learning_rate": 3e-3}),
        ({"learning_rate": 0.5}, {}),
        ({"method": "zero_shot", "epochs": 0}, {}),
        # The same loss comes first, then the same options, then the first of the method.
        ({"contrast": "triplet", "w_image": 1.0, "w_text": 1.0}, {"learning_rate": 1e-2, "learn_temperature": True}),
        ({"contrast": "triplet"}, {"learning_rate": 1e-2, "learn_temperature": True}),
        ({"method_options": {"bottleneck": 256}}, {"learning_rate": 1e-3}),
        ({"method_options": {"bottleneck": 4}}, {"learning_rate": 3e-3}),
        ({"w_image": 1.0}, {"learning_rate": 3e-3}),
        # A run's own fields and options take precedence.
        ({"contrast": "triplet", "learn_temperature": False}, {"learning_rate": 1e-2}),
        ({"method": "lora"}, {"learning_rate": 1e-1, "method_options": {"alpha": 4.0}}),
        ({"method": "lora", "method_options": {"rank": 2}}, {"learning_rate": 1e-1, "method_options": {"alpha": 4.0, "rank": 2}}),
        ({"method": "lora", "method_options": {"alpha": 1.0}}, {"learning_rate": 1e-1, "method_options": {"alpha": 1.0}}),
    ],
)  # fmt: skip
def test_a_run_that_names_no_rate_takes_the_settings_of_its_method_and_loss(path, fields, added):
    assert tuned.fill(fields, path) == {**fields, **added}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dataset": "rsicd"}, "was made on dataset scenes-tiny, not rsicd; tune on this one"),
        ({"backbone": "data/other"}, "was made on backbone data/small-clip, not data/other"),
        (
            {"method": "vpt"},
            r"has no settings of vpt \(infonce\); add it to the section that tunes, or name a learning",
        ),
        ({"method": "lora", "contrast": "triplet"}, r"has no settings of lora \(triplet\)"),
    ],
)
def test_settings_of_something_else_are_refused(path, fields, message):
    with pytest.raises(ConfigError, match=f"^tuned: {path} {message}"):
        tuned.fill(fields, path)


@pytest.mark.parametrize("content", ["{", "[]", '{"chosen_on": {}}', '{"chosen_on": {}, "choices": [3]}'])
def test_a_broken_file_is_named(path, content):
    with open(path, "w") as file:
        file.write(content)
    with pytest.raises(ConfigError, match=f"^tuned: {path} cannot be read .*run the section that tunes again"):
        tuned.fill({}, path)
    with pytest.raises(ConfigError, match="^tuned: there is no nowhere.json; run the section that tunes first"):
        tuned.fill({}, "nowhere.json")


def test_a_file_that_is_older_than_a_term_of_the_loss_has_it_at_zero(path):
    document = read_json(path)
    for row in document["choices"]:
        row.pop("w_text", None) if not row["w_text"] else None
    with open(path, "w") as file:
        json.dump(document, file)
    assert tuned.fill({}, path)["learning_rate"] == 3e-3


def test_a_section_is_filled_run_by_run(path):
    runs = [{"method": ["mrs", "lora"]}, {"learning_rate": 0.5}]
    section = study.read({"tuned": path, "notebooks": {"04_benchmark": {"runs": runs}}}, "mine")
    assert [run.learning_rate for run in section.runs.values() if run.epochs] == [3e-3, 1e-1, 0.5]
