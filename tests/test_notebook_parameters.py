import dataclasses
import subprocess
import sys

import pytest

from petl_core.config import RunConfig
from petl_core.notebook_parameters import check_parameters
from petl_core.paths import ROOT, resolve
from petl_core.validation import ConfigError


def notebook(**extra) -> dict:
    """A notebook's namespace after its parameters cell."""
    annotations = {"epochs": int, "rate": float, "name": str, "flag": bool, "options": dict, "seeds": list}
    values = {"epochs": 3, "rate": 1, "name": "a", "flag": False, "options": {}, "seeds": [1]}
    return {
        "__annotations__": annotations,
        "__name__": "__main__",
        "In": [],
        "get_ipython": None,
        "_": 1,
        **values,
        **extra,
    }


def test_declared_parameters_come_back_with_integers_as_floats():
    values = check_parameters(notebook())
    assert values["rate"] == 1.0 and type(values["rate"]) is float
    assert set(values) == {"epochs", "rate", "name", "flag", "options", "seeds"}


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"epoch": 5}, "unknown epoch; known: epochs"),
        ({"epochs": "5"}, "epochs = '5' is str, but must be int"),
        ({"epochs": True}, "epochs = True is bool"),
        ({"flag": 1}, "flag = 1 is int, but must be bool"),
        ({"rate": "fast"}, "rate = 'fast' is str"),
    ],
)
def test_bad_parameters_are_refused_by_name(extra, message):
    with pytest.raises(ConfigError, match=message):
        check_parameters(notebook(**extra))


def test_a_cell_may_be_run_again_after_the_notebook_has_variables():
    namespace = notebook()
    check_parameters(namespace)
    namespace["later"] = 1
    check_parameters(namespace)
    namespace["epochs"] = "x"
    with pytest.raises(ConfigError, match="epochs"):
        check_parameters(namespace)


def test_relative_paths_start_at_the_project():
    assert resolve("data") == ROOT / "data"
    assert resolve("/elsewhere").as_posix() == "/elsewhere"


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": "3"}, {"epochs": -1}, {"contrast": "tripel"}, {"batch_size": 1}, {"learning_rate": 0.0},
        {"w_cross": 0.0, "w_image": 0.0, "w_text": 0.0}, {"validation_fraction": 1.0}, {"precision": "fp16"},
        {"method_options": {"a": float("nan")}}, {"pairs": "all"}, {"schedule": "linear"}, {"temperature": 0.0},
    ],
)  # fmt: skip
def test_run_configuration_refuses_values_out_of_range(fields):
    with pytest.raises(ConfigError, match=f"run configuration: .*{next(iter(fields))}"):
        RunConfig(**fields)


def test_hash_depends_on_every_field_and_on_nothing_else():
    base = RunConfig()
    assert RunConfig().hash == base.hash and RunConfig(weight_decay=0).hash == base.hash
    changes = {str: "bf16", int: 7, float: 0.5, bool: True, dict: {"bottleneck": 8}}
    special = {"contrast": "triplet", "pairs": "captions", "schedule": "step", "scene_template": "{scene} {caption}"}
    for field in dataclasses.fields(RunConfig):
        changed = base.replace(**{field.name: special.get(field.name, changes[field.type])})
        assert changed.hash != base.hash, field.name


def test_a_folder_has_one_name_however_it_is_written():
    names = {RunConfig(backbone=name).backbone for name in ("runs/x", "./runs/x", f"{ROOT}/runs/x", "local-dir:runs/x")}
    assert names == {"runs/x"}
    assert RunConfig(dataset=str(ROOT / "mine" / "rsicd_precomp")).dataset == "mine/rsicd_precomp"
    assert RunConfig(backbone="hf-hub:org/repo").backbone == "hf-hub:org/repo"
    assert RunConfig(backbone="ViT-B-32-quickgelu").backbone == "ViT-B-32-quickgelu"


def test_zero_shot_is_one_run_for_all_trainings_on_the_same_data_and_backbone():
    one, other = RunConfig(seed=3, learning_rate=1e-4, method="full"), RunConfig(epochs=9, w_text=0.0)
    assert one.zero_shot().hash == other.zero_shot().hash
    assert one.zero_shot().hash != one.replace(dataset="scenes").zero_shot().hash


def test_configuration_imports_without_torch():
    code = "import sys, petl_core.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
