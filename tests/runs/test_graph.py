"""The graph of the study as Snakemake runs it: every run once, and a run that fails affects no other."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
import yaml

from petl_core.__main__ import main
from petl_core.files import ROOT
from petl_core.runs import graph, progress, study

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
@pytest.mark.parametrize("runs_per_job", [0, 1])
def test_the_graph_plans_every_run_once(section, runs_per_job, tmp_path):
    moved = tmp_path / "moved.yaml"
    changes = {"runs_root": str(tmp_path / "runs"), "runs_per_job": runs_per_job}
    moved.write_text(yaml.safe_dump({section: SECTIONS[section] | changes}))
    planned = snakemake(
        tmp_path, "--dry-run", "--cores", "1", "--configfile", str(moved), "--config", f"section={section}"
    )
    assert planned.returncode == 0, planned.stderr
    runs = len(study.read(SECTIONS[section], section).runs)
    jobs = runs if runs_per_job else min(1, runs)  # a section that only measures costs trains none
    training = [line.split()[1:] for line in planned.stdout.splitlines() if line.split()[:1] == ["train"]]
    assert ([str(jobs)] in training) if jobs else not training


def test_a_job_may_have_more_runs_than_a_command_line_has_room_for(tmp_path):
    """Linux takes at most 128 KiB in one argument; the job is cut off before it trains anything."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    notebook = nbformat.read(tmp_path / "notebooks" / "15_batch.ipynb", as_version=4)
    cell = next(cell for cell in notebook.cells if "batch.train_all" in cell.source)
    cell.source = "raise SystemExit(f'{len(configs)} configurations, {workers} workers')"
    nbformat.write(notebook, tmp_path / "notebooks" / "15_batch.ipynb")
    section = TINY | {"runs_root": str(tmp_path / "runs"), "figures": str(tmp_path / "figures")}
    section["notebooks"] = {"16_tuning": {"runs": [{"seed": list(range(2500))}]}}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump({"one": section}))
    options = ["--configfile", str(tmp_path / "one.yaml"), "--config", "section=one"]
    ran = snakemake(tmp_path, "--cores", "2", "--until", "train", "--retries", "0", *options)
    logs = "".join(path.read_text() for path in (tmp_path / "runs" / "notebooks" / "one").glob("*.log"))
    assert "2501 configurations, 2 workers" in logs, ran.stderr[-2000:]


@pytest.mark.parametrize(("gpus", "sees_gpus"), [(0, False), (1, True)])
def test_a_section_without_gpus_sees_none(tmp_path, monkeypatch, gpus, sees_gpus):
    """Otherwise each of its many runs side by side would take the same GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    shows = "import os; print('sees', repr(os.environ['CUDA_VISIBLE_DEVICES']))"
    monkeypatch.setattr(graph, "SNAKEMAKE", [sys.executable, "-c", shows])
    section = {"runs_root": str(tmp_path), "gpus": gpus, "notebooks": {"01_data": None}}
    graph.make(study.read(section, "one"), "one", cores=1, options=[])
    assert ("sees '7'" in (tmp_path / "notebooks" / "one.log").read_text()) == sees_gpus


def test_a_section_with_gpus_needs_one_to_train(tmp_path, monkeypatch, capsys):
    """Without one, many runs at a time would fill this machine's memory, and take days."""
    fields = {"gpus": 1, "runs_per_gpu": 15, "runs_root": str(tmp_path)}
    section = study.read({**fields, "notebooks": {"04_benchmark": {"runs": [{"method": "mrs"}]}}}, "mine")
    made = []
    monkeypatch.setattr(study, "load", lambda name: section)
    monkeypatch.setattr(graph, "make", lambda *_, **options: made.append(options) or 0)
    monkeypatch.setattr(graph, "has_gpu", lambda: False)
    assert (main(["study", "mine"]), made) == (2, [])
    expected = "error: study.yaml: mine.gpus = 1, but no CUDA device is visible here; set it to 0 for CPUs\n"
    assert capsys.readouterr().err == expected
    assert (main(["study", "mine", "--no-training"]), made) == (0, [{"train": False}])
    monkeypatch.setattr(graph, "has_gpu", lambda: True)
    assert (main(["study", "mine"]), made[1:]) == (0, [{"train": True}])

    monkeypatch.setattr(progress, "estimate", lambda section, workers: f"{workers} at once")
    assert main(["plan", "mine", "--cores", "2"]) == 0 and "15 at once" in capsys.readouterr().out

    # Finished runs are drawn on any machine.
    monkeypatch.setattr(graph, "has_gpu", lambda: False)
    for name in section.runs:
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text("{}")
    assert main(["study", "mine", "--redraw"]) == 0


def notebooks_with_dying_runs(folder):
    """Copies of the notebooks, of which 15_batch trains runs that die: LoRA's once, BitFit's always."""
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    path = folder / "notebooks" / "15_batch.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if "batch.train_all" in cell.source)
    dying = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); import dying_runs; batch._run = dying_runs.run"
    cell.source = f"{dying}\n{cell.source}"
    nbformat.write(notebook, path)


def test_what_is_added_is_trained_and_read_whatever_else_changed(tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    runs = [{"method": "linear_probe"}]
    section = TINY | {"runs_root": str(tmp_path / "runs"), "figures": str(tmp_path / "figures")}
    section["notebooks"] = {"02_pretrain": None, "16_tuning": {"runs": runs}}

    def of_section(*options):
        """What Snakemake prints about the section."""
        (tmp_path / "one.yaml").write_text(yaml.safe_dump({"one": section}))
        place = ["--cores", "1", "--configfile", str(tmp_path / "one.yaml"), "--config", "section=one"]
        called = snakemake(tmp_path, *options, *place)
        assert called.returncode == 0, called.stderr
        return called.stdout

    def planned():
        """The rules that Snakemake would execute."""
        return set(re.findall(r"^(\w+) +\d+$", of_section("--dry-run"), flags=re.MULTILINE)) - {"total"}

    # As if the section had been made: finished runs, executed notebooks, the report.
    made = [f"runs/{name}/metrics.json" for name in study.read(section, "one").runs]
    made += ["runs/notebooks/one/02_pretrain.ipynb", "runs/notebooks/one/16_tuning.ipynb", "figures/report.html"]
    for file in made:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("made")
    of_section("--touch", "--forceall")
    assert planned() == set()

    section["notebooks"]["03_train"] = None
    assert planned() == {"notebook", "report", "study"}
    del section["notebooks"]["03_train"]

    later = (tmp_path / "figures" / "report.html").stat().st_mtime + 10
    os.utime(tmp_path / "notebooks" / "02_pretrain.ipynb", (later, later))
    runs.append({"method": "clip_adapter"})
    assert planned() == {"notebook", "train", "report", "study"}


def test_failing_runs_are_shown_and_stop_nothing(tmp_path):
    notebooks_with_dying_runs(tmp_path)
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
    assert (tmp_path / "runs" / "lora.died").exists() and (tmp_path / "runs" / "bitfit.died").exists()
    assert {name for name in table.index if table[name] == "failed"} == {
        "Full fine-tuning (InfoNCE)",
        "BitFit (InfoNCE)",
    }
    assert "Failed and left out: Full fine-tuning" in caption and "stopped before its end: killed" in caption
    assert (tmp_path / "figures" / "report.html").stat().st_size > 100_000

    runs.append({"method": "vpt"})
    _, caption, folders = make("train=False")
    assert "not run yet" in caption
    assert not folders["vpt"].exists()
