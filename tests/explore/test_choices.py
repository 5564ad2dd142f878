"""The models to choose from."""

import json
import shutil
from pathlib import Path

import pytest
from petl_core.explore.choices import COLUMNS, ZERO_SHOT, choice_of, find_choices, open_clip_choice
from petl_core.runs.folder import open_run

from petl_core.errors import ConfigError


def test_runs_are_listed_best_first_with_all_that_distinguishes_them(session):
    scores = [choice.run.metrics["scores"]["strict"]["mr"] for choice in session.choices]
    assert scores == sorted(scores, reverse=True) and len(scores) == 3
    for choice in session.choices:
        row = dict(zip(COLUMNS, choice.row, strict=True))
        assert row["Data set"] == "scenes-mini" and row["Backbone"] == "mini"
        assert row["mR"] == f"{choice.run.metrics['scores']['strict']['mr']:.1f}"
        trained = choice.run.config.epochs > 0
        assert row["Seed"] == (str(choice.run.config.seed) if trained else "")
        assert choice.label.startswith(f"{choice.title} · scenes-mini") and choice.label.endswith(f"mR {row['mR']}")


def test_zero_shot_is_offered_where_there_is_no_run_of_it(runs, tmp_path):
    for choice in find_choices(runs["runs_root"]):
        if choice.run.config.method == "focus":
            shutil.copytree(choice.run.folder, tmp_path / choice.run.folder.name)
    focus, zero_shot = find_choices(tmp_path)
    assert focus.run and not zero_shot.run
    assert zero_shot.title == ZERO_SHOT and zero_shot[1:4] == focus[1:4]
    assert zero_shot.row[2:] == ("mini", "", "", "") and zero_shot.label == f"{ZERO_SHOT} · scenes-mini · mini"


def test_runs_that_are_not_finished_or_of_another_version_are_left_out(runs, tmp_path):
    assert find_choices(tmp_path / "nothing") == []
    (tmp_path / "begun").mkdir()
    run = open_run(find_choices(runs["runs_root"])[0].run.folder)
    other = tmp_path / "ffffffffffffffff"
    other.mkdir()
    shutil.copy(run.folder / "metrics.json", other)
    assert find_choices(tmp_path) == []
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metrics.json").write_text("{")
    assert find_choices(tmp_path) == []
    metrics = json.loads((other / "metrics.json").read_text())
    assert choice_of(run).run.metrics == metrics


def test_a_model_of_open_clip_is_named_with_its_weights():
    choice = open_clip_choice(" ViT-B-32-quickgelu   openai ", "rsicd")
    assert (choice.backbone, choice.pretrained, choice.dataset) == ("ViT-B-32-quickgelu", "openai", "rsicd")
    assert choice.row[:3] == (ZERO_SHOT, "RSICD", "ViT-B-32-quickgelu · openai")
    assert open_clip_choice("models/mine", "rsicd").pretrained == ""
    assert Path(open_clip_choice("a weights/b.pt", "ucm").pretrained).name == "b.pt"
    for name in ("", "one two three"):
        with pytest.raises(ConfigError, match="name a model and its weights"):
            open_clip_choice(name, "rsicd")
