"""The graph of the study as Snakemake runs it: every run once, and a run that fails costs nothing but itself."""

import json
import shutil
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
import yaml

from petl_core.paths import ROOT
from petl_core.runs import study

SECTIONS = yaml.safe_load((ROOT / "study.yaml").read_text())
TINY = {"dataset": "scenes-tiny", "backbone": "embedded-tiny", "epochs": 1}


def snakemake(folder, *arguments):
    """Snakemake on the project's graph, with ``folder`` as its working directory."""
    for name in ("notebooks", "study.yaml"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--rerun-triggers", "mtime", "params", "--keep-going", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_graph_plans_every_run_once(section, tmp_path):
    moved = tmp_path / "moved.yaml"
    moved.write_text(yaml.safe_dump({section: SECTIONS[section] | {"runs_root": str(tmp_path / "runs")}}))
    planned = snakemake(
        tmp_path, "--dry-run", "--cores", "1", "--configfile", str(moved), "--config", f"section={section}"
    )
    assert planned.returncode == 0, planned.stderr
    asked = study.read(SECTIONS[section], section)
    for name in asked.runs:
        assert f"runs/{name}/03_train.ipynb" in planned.stdout
    assert f"train {len(asked.runs)}".split() in [line.split() for line in planned.stdout.splitlines()]
    assert f"{len(asked.runs)} runs, 0 finished" in planned.stderr


def train_notebook_that_dies(folder):
    """Copies of the notebooks, of which the kernel of 03_train dies after training: LoRA's once, BitFit's always."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    path = folder / "notebooks" / "03_train.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if "config = RunConfig(" in cell.source)
    cell.source += """
import os, pathlib
died = pathlib.Path(f"{method}.died")
if method == "bitfit" or method == "lora" and not died.exists():
    experiment.retrieval.per_image_hits = lambda *_: (died.touch(), os._exit(137))"""
    nbformat.write(notebook, path)


def test_failing_runs_are_shown_and_stop_nothing(tmp_path):
    train_notebook_that_dies(tmp_path)
    runs = [{"method": "full", "learning_rate": 1e30}, {"method": ["bitfit", "lora", "mrs"]}]
    section = TINY | {"runs_root": str(tmp_path / "runs"), "figures": str(tmp_path / "figures")}
    section |= {"data_root": str(ROOT / "data"), "notebooks": {"04_benchmark": {"runs": runs}}}

    def make(*settings):
        """Snakemake on the section as it is now: its output, the table, and the runs by method."""
        (tmp_path / "one.yaml").write_text(yaml.safe_dump({"one": section}))
        options = ["--cores", "2", "--configfile", str(tmp_path / "one.yaml"), "--config", "section=one", *settings]
        ran = snakemake(tmp_path, *options)
        assert ran.returncode == 0, ran.stderr
        table = pd.read_csv(tmp_path / "figures" / "benchmark.csv", index_col="Method")["mR"]
        caption = (tmp_path / "figures" / "benchmark.md").read_text()
        named = {
            run.method: tmp_path / "runs" / name for name, run in study.read(section, "one").runs.items() if run.epochs
        }
        return table, caption, named

    table, caption, folders = make()
    assert "loss" in json.loads((folders["full"] / "failed.json").read_text())["reason"]
    finished = {method for method, folder in folders.items() if (folder / "metrics.json").exists()}
    assert finished == {"lora", "mrs"}
    assert (tmp_path / "lora.died").exists() and (tmp_path / "bitfit.died").exists()
    assert "resuming" in (folders["lora"] / "03_train.ipynb").read_text()
    assert {name for name in table.index if table[name] == "failed"} == {
        "Full fine-tuning + HMMC (InfoNCE)",
        "BitFit + HMMC (InfoNCE)",
    }
    assert "Failed and left out: Full fine-tuning" in caption and "stopped before its end: killed" in caption
    assert (tmp_path / "figures" / "report.html").stat().st_size > 100_000

    runs.append({"method": "vpt"})
    _, caption, folders = make("train=False")
    assert "not run yet" in caption
    assert not folders["vpt"].exists()
