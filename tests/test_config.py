"""What identifies a run."""

import dataclasses
import subprocess
import sys
from dataclasses import dataclass

import pytest

from petl_core import config
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import ROOT


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": "3"}, {"epochs": -1}, {"contrast": "tripel"}, {"batch_size": 1}, {"learning_rate": 0.0},
        {"w_cross": 0.0, "w_image": 0.0, "w_text": 0.0}, {"validation_fraction": 1.0}, {"precision": "fp16"},
        {"method_options": {"a": float("nan")}}, {"method_options": {"a": 1, 2: 3}},
        {"patience": -1}, {"queue_keys": "new"}, {"queue_momentum": 1.0}, {"queue_directions": "none"},
        {"scene_balance": True, "pairs": "captions"}, {"gradient_cache": 8, "cache_features": True},
        {"pairs": "all"}, {"schedule": "linear"}, {"temperature": 0.0},
        {"validation_interval": 0}, {"learning_rate": float("inf")},
        {"margin": float("nan")}, {"queue_weight": float("inf")},
    ],
)  # fmt: skip
def test_run_configuration_refuses_values_out_of_range(fields):
    with pytest.raises(ConfigError, match=f"run configuration: .*{next(iter(fields))}"):
        RunConfig(**fields)


def test_hash_depends_on_every_field_and_on_nothing_else():
    base = RunConfig()
    assert RunConfig().hash == base.hash and RunConfig(weight_decay=0).hash == base.hash
    changes = {str: "bf16", int: 7, float: 0.5, bool: True, dict: {"bottleneck": 8}}
    special = {
        "contrast": "triplet", "pairs": "captions", "schedule": "step", "scene_template": "{scene} {caption}",
        "queue_keys": "ema", "queue_directions": "text",
    }  # fmt: skip
    for field in dataclasses.fields(RunConfig):
        changed = base.replace(**{field.name: special.get(field.name, changes[field.type])})
        assert changed.hash != base.hash, field.name


def test_a_new_field_with_a_neutral_default_renames_no_run():
    @dataclass(frozen=True)
    class Extended(RunConfig):
        w_views: float = 0.0

    run = {"method": "lora", "seed": 4, "method_options": {"rank": 8}}
    assert Extended(**run).hash == RunConfig(**run).hash
    assert Extended(**run, w_views=1.0).hash != RunConfig(**run).hash
    assert Extended(w_cross=0.0, w_image=0.0, w_text=0.0, w_views=1.0).changed()["w_views"] == 1.0
    with pytest.raises(ConfigError, match="w_views"):
        Extended(w_views=-1.0)


def test_a_new_recipe_renames_every_run(monkeypatch):
    before = RunConfig().hash
    monkeypatch.setattr(config, "RECIPE", config.RECIPE + 1)
    assert RunConfig().hash != before


def test_a_revised_field_renames_only_the_runs_that_use_it(monkeypatch):
    plain, changed = RunConfig().hash, RunConfig(patience=3).hash
    monkeypatch.setattr(config, "REVISED", {"patience": 2})
    assert RunConfig().hash == plain and RunConfig(patience=3).hash != changed


def test_a_run_is_given_by_what_differs_from_the_defaults():
    run = RunConfig(method="lora", seed=4)
    assert run.changed() == {"method": "lora", "seed": 4}
    assert RunConfig(**run.changed()) == run


def test_a_folder_has_one_name_however_it_is_written():
    names = {RunConfig(backbone=name).backbone for name in ("runs/x", "./runs/x", f"{ROOT}/runs/x", "local-dir:runs/x")}
    assert names == {"runs/x"}
    assert RunConfig(dataset=str(ROOT / "mine" / "rsicd_precomp")).dataset == "mine/rsicd_precomp"
    assert RunConfig(pretrained=str(ROOT / "weights" / "ViT-B-32.pt")).pretrained == "weights/ViT-B-32.pt"
    assert RunConfig(pretrained="laion2b_s34b_b79k").pretrained == "laion2b_s34b_b79k"
    assert RunConfig(backbone="hf-hub:org/repo").backbone == "hf-hub:org/repo"
    assert RunConfig(backbone="ViT-B-32-quickgelu").backbone == "ViT-B-32-quickgelu"


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
    one, other = RunConfig(seed=3, learning_rate=1e-4, method="full"), RunConfig(epochs=9, w_text=0.0)
    assert one.zero_shot().hash == other.zero_shot().hash
    assert one.zero_shot().hash != one.replace(dataset="scenes").zero_shot().hash


def test_configuration_imports_without_torch():
    code = "import sys, petl_core.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
