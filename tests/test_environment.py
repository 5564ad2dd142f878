"""Installation: the same pins wherever they are written, and every package of the project."""

import re
import tomllib

import yaml

from petl_core.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(*extras: str) -> list[str]:
    project = PROJECT["project"]
    return project["dependencies"] + [pin for extra in extras for pin in project["optional-dependencies"][extra]]


def test_environment_yml_holds_the_pins_of_pyproject():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["dependencies"][-1]["pip"] == pins("test")


def test_every_dependency_is_pinned_and_agrees_with_the_constraints():
    constraints = dict(re.findall(r"(?m)^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text()))
    for pin in pins("test", "slurm"):
        name, version = re.fullmatch(r"([\w-]+)==([\w.]+)", pin).groups()
        assert constraints[name.lower().replace("_", "-")] == version


def test_every_package_is_installed():
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "petl_core").rglob("__init__.py")}
    assert {name for name in PROJECT["tool"]["setuptools"]["packages"] if name != "drawn_scenes"} == found


def test_the_citation_names_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
