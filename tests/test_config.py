"""What identifies a run."""

import subprocess
import sys

import pytest

from petl_core import config
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import ROOT


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": "3"}, {"epochs": -1}, {"epochs": True}, {"contrast": "tripel"}, {"batch_size": 1}, {"seed": 2.0},
        {"learning_rate": 0.0}, {"learning_rate": float("inf")}, {"temperature": 0.0}, {"queue_weight": float("nan")},
        {"w_cross": 0.0, "w_image": 0.0, "w_text": 0.0}, {"w_image": -1.0}, {"view_dropout": 0.0}, {"view_dropout": 1.0},
        {"method_options": {"a": float("nan")}}, {"method_options": {"a": 1, 2: 3}}, {"method_options": {"a": {1}}},
        {"queue_keys": "new"}, {"queue_size": 65_537}, {"pairs": "all"}, {"schedule": "linear"}, {"select": "test"},
        {"scene_probability": 1.1}, {"scene_balance": True, "pairs": "captions"}, {"train_images": 1},
        {"gradient_cache": 8, "cache_features": True}, {"cache_features": True, "scene_probability": 0.5},
        {"epochs": 2, "method": "zero_shot"}, {"audit": 1}, {"dataset": None},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_refused_by_name(fields):
    with pytest.raises(ConfigError, match=f"^run configuration: .*{next(iter(fields))}"):
        RunConfig(**fields)


def test_an_unknown_field_is_named_with_those_that_are_known():
    with pytest.raises(
        ConfigError, match=r"^run configuration: lr = 0.1: .*; known fields: dataset, backbone, .*audit"
    ):
        RunConfig(lr=0.1, seed=3)


def test_integers_are_floats_where_floats_are_asked_for():
    assert RunConfig(w_image=0, temperature=1).hash == RunConfig(temperature=1.0).hash
    assert type(RunConfig(temperature=1).temperature) is float


CHANGED = {
    "dataset": "scenes", "backbone": "ViT-B-32", "pretrained": "openai", "method": "lora",
    "method_options": {"bottleneck": 8}, "contrast": "triplet", "pairs": "captions", "schedule": "step",
    "select": "validation", "queue_keys": "ema",
}  # fmt: skip


@pytest.mark.parametrize("name", RunConfig.model_fields)
def test_the_name_of_a_run_depends_on_every_field(name):
    default = getattr(RunConfig(), name)
    changed = CHANGED.get(name, {bool: not default, int: 7, float: 0.5}.get(type(default)))
    assert RunConfig(**{name: changed}).hash != RunConfig().hash
    assert RunConfig(**{name: changed}).replace(**{name: default}).hash == RunConfig().hash


def test_a_new_field_with_a_neutral_default_renames_no_run():
    class Extended(RunConfig):
        w_views: config.NotNegative = 0.0

    run = {"method": "lora", "seed": 4, "method_options": {"rank": 8}}
    assert Extended(**run).hash == RunConfig(**run).hash
    assert Extended(**run, w_views=1.0).hash != RunConfig(**run).hash
    assert Extended(w_cross=0.0, w_views=1.0).terms == {"cross": 0.0, "image": 0.0, "text": 0.0, "views": 1.0}
    with pytest.raises(ConfigError, match="w_views"):
        Extended(w_views=-1.0)


def test_a_new_recipe_renames_every_run(monkeypatch):
    before = RunConfig().hash
    monkeypatch.setattr(config, "RECIPE", config.RECIPE + 1)
    assert RunConfig().hash != before


def test_a_run_is_given_by_what_differs_from_the_defaults():
    run = RunConfig(method="lora", seed=4)
    assert run.changed() == {"method": "lora", "seed": 4}
    assert RunConfig(**run.changed()) == run
    with pytest.raises(ValueError, match="frozen"):
        run.seed = 5


def test_a_folder_has_one_name_however_it_is_written():
    names = {RunConfig(backbone=name).backbone for name in ("runs/x", "./runs/x", f"{ROOT}/runs/x", "local-dir:runs/x")}
    assert names == {"runs/x"}
    assert RunConfig(dataset=str(ROOT / "mine" / "rsicd_precomp")).dataset == "mine/rsicd_precomp"
    assert RunConfig(pretrained=str(ROOT / "weights" / "ViT-B-32.pt")).pretrained == "weights/ViT-B-32.pt"
    for name in ("laion2b_s34b_b79k", "hf-hub:org/repo", "ViT-B-32-quickgelu"):
        assert RunConfig(backbone=name).backbone == name


def test_a_link_inside_the_project_is_named_by_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "ROOT", tmp_path / "project")
    monkeypatch.setattr(config, "resolve", lambda path: tmp_path / "project" / path)
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "large-disk").mkdir()
    (tmp_path / "project" / "data" / "clip").symlink_to(tmp_path / "large-disk")
    (tmp_path / "link").symlink_to(tmp_path / "project")
    assert RunConfig(backbone="data/clip").backbone == "data/clip"
    assert RunConfig(backbone=str(tmp_path / "link" / "weights")).backbone == "weights"
    assert RunConfig(backbone=str(tmp_path / "large-disk")).backbone == str(tmp_path / "large-disk")


def test_zero_shot_is_one_run_for_all_trainings_on_the_same_data_and_backbone():
    one, other = RunConfig(seed=3, learning_rate=1e-4, method="full", audit=True), RunConfig(epochs=9, w_text=1.0)
    assert one.zero_shot().hash == other.zero_shot().hash
    assert one.zero_shot().hash != one.replace(dataset="scenes").zero_shot().hash


def test_a_configuration_needs_no_torch():
    code = "import sys, petl_core.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
