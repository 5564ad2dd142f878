"""The templates of the published tables: every method in both, all of them tuned, for any data set."""

import copy
import json

import pytest
from petl_core.evaluation import paper, tuning
from petl_core.evaluation.published import PRINTED_NAMES

from petl_core.adapters import METHODS
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.paper import sections
from petl_core.runs import study, tuned

TEMPLATES = study.load_sections()
RATE = 0.0123


@pytest.fixture
def settings(tmp_path):
    return {
        "dataset": "ucm", "backbone": "RN50-quickgelu", "pretrained": "openai", "data_root": "elsewhere",
        "figures": str(tmp_path), "gpus": 1, "runs_per_job": 0,
    }  # fmt: skip


def tune(section: study.Section, path) -> None:
    """The file that 16_tuning writes: one setting per method and loss of a section, with a rate that no list has."""
    found = {}
    for run in section.runs.values():
        if run.epochs:
            found[run.method, *(getattr(run, name) for name in tuned.LOSS)] = run
    tuned.write([tuned.Choice(run, {"learning_rate": RATE}) for run in found.values()], path)


def test_every_published_method_is_tuned_at_four_rates_and_two_seeds():
    section = study.load(sections.TUNING)
    trained = [run for run in section.runs.values() if run.epochs]
    assert {run.method for run in trained} == METHODS.keys() - {"zero_shot"}
    families: dict = {}
    for run in trained:
        options = {name: value for name, value in run.method_options.items() if name not in tuning.OPTIONS}
        family = (run.method, str(options), run.contrast, run.w_image, run.w_text)
        families.setdefault(family, []).append(run)
    for family, runs in families.items():
        assert len({run.learning_rate for run in runs}) == 4, family
        assert {run.seed for run in runs} == {2, 3} and all(run.patience for run in runs)


def test_the_tables_hold_every_method_at_five_seeds_by_its_tuned_settings(settings):
    filled = sections.fill(TEMPLATES, settings)
    (first, tuning_section), (second, tables) = filled.items()
    assert (first, second) == ("paper_ucm_tuning", "paper_ucm")
    tune(study.read(tuning_section, first), f"{settings['figures']}/tuning/tuned.json")
    section = study.read(tables, second)

    assert PRINTED_NAMES.keys() <= {run.method for run in section.runs.values()} == METHODS.keys()
    assert {(run.dataset, run.backbone, run.pretrained) for run in section.runs.values()} == {
        ("ucm", "RN50-quickgelu", "openai")
    }
    released = {
        run.seed for run in section.runs.values() if paper.is_as_released(run) and run.epochs == 30 and not run.patience
    }  # fmt: skip
    assert released == {2, 3, 4, 5}
    tuned_runs = [run for run in section.runs.values() if run.learning_rate == RATE]
    assert len(tuned_runs) == len(section.runs) - len(released) - 1  # zero-shot
    rows: dict = {}
    for run in tuned_runs:
        rows.setdefault(run.replace(seed=0).hash, set()).add(run.seed)
    assert set(map(frozenset, rows.values())) == {frozenset({2, 3, 4, 5, 6})}


def test_all_rows_of_the_mrs_adapter_and_all_parts_of_cmer_are_there(settings):
    name, section = list(sections.fill(TEMPLATES, settings).items())[1]
    runs = sections.foresee(section, name).runs.values()
    losses = {(run.contrast, run.w_image, run.w_text) for run in runs if run.method == "mrs"}
    assert losses == {(contrast, w, w) for contrast in ("infonce", "triplet") for w in (0.0, 1.0)}
    parts = {(run.queue_size > 0, run.scene_probability > 0) for run in runs if run.method == "focus"}
    assert parts == {(queued, labelled) for queued in (False, True) for labelled in (False, True)}


def test_settings_replace_those_of_the_templates_and_leave_them_alone(settings):
    templates = copy.deepcopy(TEMPLATES)
    filled = sections.fill(templates, settings)
    assert templates == TEMPLATES
    for section in filled.values():
        assert section["data_root"] == "elsewhere" and section["gpus"] == 1
    figures = settings["figures"]
    assert [section["figures"] for section in filled.values()] == [f"{figures}/tuning", figures]
    assert filled["paper_ucm"]["tuned"] == f"{figures}/tuning/tuned.json"


def test_what_is_foreseen_before_tuning_has_as_many_runs(settings):
    filled = sections.fill(TEMPLATES, settings)
    foreseen = sections.foresee(filled["paper_ucm"], "paper_ucm")
    path = f"{settings['figures']}/tuning/tuned.json"
    tune(study.read(filled["paper_ucm_tuning"], "x"), path)
    known = sections.foresee(filled["paper_ucm"], "paper_ucm")
    assert len(foreseen.runs) == len(known.runs)
    assert RATE in {run.learning_rate for run in known.runs.values()}
    other = sections.fill(TEMPLATES, settings | {"backbone": "RN101-quickgelu"})  # tuned on another backbone
    assert RATE not in {run.learning_rate for run in sections.foresee(other["paper_ucm"], "x").runs.values()}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"paper": TEMPLATES["paper"]}, "no section paper_tuning; known: paper$"),
        ({"paper": TEMPLATES["paper"], "paper_tuning": None}, "paper_tuning = None must be a mapping"),
        ({**TEMPLATES, "paper": {**TEMPLATES["paper"], "epoch": 3}}, "paper: unknown epoch"),
    ],
)
def test_a_wrong_template_is_named(settings, templates, message):
    with pytest.raises(ConfigError, match=message):
        sections.fill(templates, settings)


def test_settings_are_found_in_a_file_that_lacks_a_later_loss_term(tmp_path):
    run = RunConfig(method="lora")
    path = tuned.write([tuned.Choice(run, {"learning_rate": RATE})], tmp_path / "tuned.json")
    document = json.loads(path.read_text())
    del document["choices"][0]["w_text"]
    path.write_text(json.dumps(document))
    assert tuned.fill({"method": "lora"}, str(path))["learning_rate"] == RATE
