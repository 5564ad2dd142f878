import re
import tomllib

import yaml

from petl_core.paths import ROOT


def pins(*extras: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + [pin for extra in extras for pin in project["optional-dependencies"][extra]]


def test_environment_yml_holds_the_pins_of_pyproject():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["dependencies"][-1]["pip"] == pins("test")


def test_every_dependency_is_pinned_and_agrees_with_the_constraints():
    constraints = dict(re.findall(r"(?m)^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text()))
    for pin in pins("test", "slurm"):
        name, version = re.fullmatch(r"([\w-]+)==([\w.]+)", pin).groups()
        assert constraints[name.lower().replace("_", "-")] == version
