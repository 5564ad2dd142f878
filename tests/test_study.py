"""The graph of the study: it plans, and what it plans are valid runs."""

import itertools
import subprocess
import sys

import pytest
import yaml

from petl_core.adapters import METHODS, check
from petl_core.config import RunConfig
from petl_core.parameters import ROOT

SECTIONS = yaml.safe_load((ROOT / "study.yaml").read_text())


def configs(section: dict) -> list[RunConfig]:
    shared = {key: value for key, value in section.items() if key not in ("runs", "figures", "data_root", "notebooks")}
    found = []
    for run in section["runs"]:
        fields = {k: v if isinstance(v, list) else [v] for k, v in (shared | run).items()}
        found += [RunConfig(**dict(zip(fields, v, strict=True))) for v in itertools.product(*fields.values())]
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_run_is_valid(section):
    for run in configs(SECTIONS[section]):
        check(run.method, run.method_options)


@pytest.mark.parametrize("section", ["study", "full"])
def test_every_method_is_compared(section):
    assert {run.method for run in configs(SECTIONS[section])} == METHODS.keys() - {"zero_shot"}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_graph_plans_every_run_once(section, tmp_path):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--dry-run", "--cores", "1"]
    places = ["--directory", str(tmp_path), "--configfile", str(ROOT / "study.yaml"), "--config", f"section={section}"]
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    (tmp_path / "study.yaml").symlink_to(ROOT / "study.yaml")
    planned = subprocess.run([*command, *places], capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr
    hashes = {run.hash for trained in configs(SECTIONS[section]) for run in (trained, trained.zero_shot())}
    for name in hashes:
        assert f"runs/{name}/metrics.json" in planned.stdout
    assert ("02_pretrain" in planned.stdout) == SECTIONS[section]["backbone"].startswith("embedded")
    assert f"train {len(hashes)}".split() in [line.split() for line in planned.stdout.splitlines()]
