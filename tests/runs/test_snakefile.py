"""The graph of a section as Snakemake runs it: every run once, and a run that fails affects no other."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from petl_core.files import ROOT
from petl_core.runs import study

SECTIONS = study.load_sections()
DYING = "import sys; sys.path.insert(0, {tests!r}); import dying_runs; dying_runs.batch._run = dying_runs.run"


@pytest.fixture
def project(tmp_path):
    """A folder in which the graph runs, with notebooks and data of its own."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "study.yaml").symlink_to(ROOT / "study.yaml")
    return tmp_path


def snakemake(folder: Path, section: dict, *arguments: str) -> subprocess.CompletedProcess:
    """Snakemake on the project's graph, with ``folder`` as its working directory and one section."""
    (folder / "one.yaml").write_text(yaml.safe_dump({"one": section}))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(folder / "one.yaml"), "--config", "section=one", *arguments]
    command += ["--cores", "2", "--rerun-triggers", "mtime", "params", "--keep-going"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def tiny(folder: Path, **notebooks) -> dict:
    places = {"runs_root": str(folder / "runs"), "figures": str(folder / "figures"), "data_root": str(ROOT / "data")}
    return {"dataset": "scenes-tiny", "epochs": 1, "train_images": 32, **places, "notebooks": notebooks}


def replace_cells(path: Path, *sources: str) -> None:
    """A notebook with these cells after its parameters alone."""
    notebook = nbformat.read(path, as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    notebook.cells = [parameters, *(nbformat.v4.new_code_cell(source) for source in sources)]
    nbformat.write(notebook, path)


def insert_cell(path: Path, source: str) -> None:
    """A notebook with a cell before its last one that is code."""
    notebook = nbformat.read(path, as_version=4)
    place = next(i for i, cell in enumerate(notebook.cells) if "train_all" in cell.source)
    notebook.cells.insert(place, nbformat.v4.new_code_cell(source))
    nbformat.write(notebook, path)


@pytest.mark.parametrize(("section", "runs_per_job"), [("study", 0), ("paper_tuning", 1)])
def test_the_graph_plans_every_run_once(section, runs_per_job, project):
    fields = SECTIONS[section] | {"runs_root": str(project / "runs"), "runs_per_job": runs_per_job}
    planned = snakemake(project, fields, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    jobs = len(study.read(fields, "one").runs) if runs_per_job else 1
    training = [line.split()[1:] for line in planned.stdout.splitlines() if line.split()[:1] == ["train"]]
    assert [str(jobs)] in training


def test_a_job_may_have_more_runs_than_a_command_line_has_room_for(project):
    """Linux takes at most 128 KiB in one argument."""
    batch = project / "notebooks" / "15_batch.ipynb"
    replace_cells(batch, "raise SystemExit(f'{len(configs)} configurations, {workers} workers')")
    section = tiny(project, **{"04_benchmark": {"runs": [{"seed": list(range(2500))}]}})
    ran = snakemake(project, section, "--until", "train", "--retries", "0")
    logs = "".join(path.read_text() for path in (project / "runs" / "notebooks" / "one").glob("*.log"))
    assert "2501 configurations, 2 workers" in logs, ran.stderr[-2000:]


def test_what_is_added_is_trained_and_read_whatever_else_changed(project):
    runs = [{"method": "linear_probe"}]
    section = tiny(project, **{"01_data": None, "16_tuning": {"runs": runs}})

    def planned() -> set[str]:
        """The rules that Snakemake would execute."""
        called = snakemake(project, section, "--dry-run")
        assert called.returncode == 0, called.stderr
        return set(re.findall(r"^(\w+) +\d+$", called.stdout, flags=re.MULTILINE)) - {"total"}

    # As if the section had been made: finished runs, executed notebooks.
    made = [f"runs/{name}/metrics.json" for name in study.read(section, "one").runs]
    for file in [*made, "runs/notebooks/one/01_data.ipynb", "runs/notebooks/one/16_tuning.ipynb"]:
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text("made")
    assert snakemake(project, section, "--touch", "--forceall").returncode == 0
    assert planned() == set()
    runs.append({"method": "clip_adapter"})
    assert planned() == {"notebook", "train", "study"}


def test_a_section_is_made_and_failing_runs_stop_nothing(project):
    """Full fine-tuning diverges; LoRA's process dies once, and BitFit's always."""
    insert_cell(project / "notebooks" / "15_batch.ipynb", DYING.format(tests=str(ROOT / "tests")))
    told = "import json; open(figures + '.json', 'w').write(json.dumps([[r.config.method for r in found], [f.reason for f in failed]]))"
    reading = (
        f"from petl_core.runs.archive import open_runs\nfound, failed = open_runs(runs, runs_root=runs_root)\n{told}"
    )
    replace_cells(project / "notebooks" / "04_benchmark.ipynb", reading)
    runs = [{"method": "full", "learning_rate": 1e30, "batch_size": 8}, {"method": ["bitfit", "lora", "mrs"]}]
    section = tiny(project, **{"04_benchmark": {"runs": runs}})
    ran = snakemake(project, section)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]

    methods, reasons = json.loads((project / "figures.json").read_text())
    assert methods == ["zero_shot", "lora", "mrs"]
    assert (project / "runs" / "lora.died").exists() and (project / "runs" / "bitfit.died").exists()
    assert "FloatingPointError: loss is" in reasons[0] and "stopped before its end: killed" in reasons[1]

    # Drawn again without training, from what is there.
    runs.append({"method": "vpt"})
    drawn = snakemake(project, section, "train=False", "--forcerun", "notebook")
    assert drawn.returncode == 0, drawn.stderr[-2000:]
    methods, reasons = json.loads((project / "figures.json").read_text())
    assert methods == ["zero_shot", "lora", "mrs"] and "not a finished run" in reasons[2]
