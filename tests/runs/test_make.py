"""A section made by Snakemake, with one line of progress; what ``make clean`` and ``make clean-runs`` remove."""

import json
import shutil
import subprocess
import sys
import time

import pytest
import torch

from petl_core.__main__ import main
from petl_core.data import default_data
from petl_core.files import ROOT
from petl_core.runs import make, study


def section_of(root, *runs, **options) -> study.Section:
    return study.read({"runs_root": str(root), **options, "notebooks": {"04_benchmark": {"runs": list(runs)}}}, "mine")


def finish(root, name, **metrics):
    (root / name).mkdir(parents=True)
    (root / name / "metrics.json").write_text(json.dumps(metrics))


def test_the_time_left_is_that_of_finished_runs(tmp_path):
    section = section_of(tmp_path, {"seed": [2, 3, 4]})
    assert make.plan(section, 2) == "4 runs, 0 finished, 4 to train"
    finish(tmp_path, list(section.runs)[1], seconds={"prepare": 30.0, "train": 240.0, "test": 90.0})
    assert make.plan(section, 2) == "4 runs, 1 finished, 3 to train: about 9 minutes, 2 at once"


@pytest.mark.parametrize(("gpus", "sees_gpus"), [(0, False), (1, True)])
def test_a_section_without_gpus_sees_none(tmp_path, monkeypatch, gpus, sees_gpus):
    """Otherwise each of its many runs side by side would take the same GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    shows = "import os; print('sees', repr(os.environ['CUDA_VISIBLE_DEVICES']))"
    monkeypatch.setattr(make, "SNAKEMAKE", [sys.executable, "-c", shows])
    assert make.make(section_of(tmp_path, {}, gpus=gpus), "one", cores=1, options=[]) == 0
    assert ("sees '7'" in (tmp_path / "notebooks" / "one.log").read_text()) == sees_gpus


FAILING = """
import json, pathlib, sys, time
finished, failed, again = map(pathlib.Path, {folders})
for folder in (finished, failed):
    folder.mkdir()
(again / "failed.json").unlink()
(failed / "failed.json").write_text(json.dumps({{"config": {{}}, "reason": "FloatingPointError: loss is nan"}}))
(finished / "metrics.json").write_text("{{}}")
time.sleep(0.5)
(again / "failed.json").write_text(json.dumps({{"config": {{}}, "reason": "the second"}}))
print("and this is why")
sys.exit(1)
"""


def test_a_failure_is_shown_at_once_by_name_and_reason(tmp_path, monkeypatch, capsys):
    section = section_of(tmp_path, {"method": ["mrs", "lora", "vpt"]})
    mrs, lora, vpt = (tmp_path / name for name, run in section.runs.items() if run.epochs)
    vpt.mkdir()
    (vpt / "failed.json").write_text('{"reason": "the first, before this command"}')
    code = FAILING.format(folders=[str(mrs), str(lora), str(vpt)])
    sleep = time.sleep
    monkeypatch.setattr(make.time, "sleep", lambda _: sleep(0.02))
    monkeypatch.setattr(make, "SNAKEMAKE", [sys.executable, "-c", code])
    assert make.make(section, "one", cores=1, options=[]) == 1
    shown = capsys.readouterr().err
    lines = [line for line in shown.splitlines() if "failed:" in line]
    assert len(lines) == 2 and "the first" not in shown
    assert f"lora, seed 2 ({lora}): FloatingPointError: loss is nan" in lines[0] and "the second" in lines[1]
    assert "1 of 4 runs" in shown
    assert "and this is why\nerror: not everything could be made; see " in shown


def test_a_section_with_gpus_needs_one_to_train(tmp_path, monkeypatch, capsys):
    """Without one, many runs at a time would fill this machine's memory, and take days."""
    section = section_of(tmp_path, {"method": "mrs"}, gpus=1, runs_per_gpu=15)
    made = []
    monkeypatch.setattr(study, "load", lambda name: section)
    monkeypatch.setattr(make, "make", lambda *_, **options: made.append(options) or 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (main(["study", "mine"]), made) == (2, [])
    expected = "error: study.yaml: mine.gpus = 1, but no CUDA device is visible here; set it to 0 for CPUs\n"
    assert capsys.readouterr().err == expected
    assert (main(["study", "mine", "--no-training"]), made) == (0, [{"train": False}])
    assert main(["study", "mine", "--plan"]) == 0
    assert capsys.readouterr().out == "mine: 2 runs, 0 finished, 2 to train; 1 notebooks\n"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (main(["study", "mine"]), made[1:]) == (0, [{"train": True}])

    # Finished runs are drawn on any machine.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in section.runs:
        finish(tmp_path, name)
    assert main(["study", "mine", "--redraw"]) == 0


@pytest.mark.parametrize("cores", ["0", "-1", "two"])
def test_an_invalid_number_of_cores_is_named(cores, capsys):
    with pytest.raises(SystemExit):
        main(["study", f"--cores={cores}"])
    assert f"argument --cores: '{cores}' is not a number of 1 or more" in capsys.readouterr().err


def test_a_plan_needs_no_torch():
    script = "import sys; from petl_core.__main__ import main; code = main(['study', '--plan'])"
    script += "; sys.exit(code or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("study: ") and "runs, " in done.stdout


def test_an_error_is_one_line(capsys):
    assert main(["study", "nowhere", "--plan"]) == 2
    assert capsys.readouterr().err.startswith("error: study.yaml: no section nowhere; known: study, full")


# The Makefile.

DRAWN = ("scenes", "scenes-tiny", "scenes-natural", "scenes-natural-tiny")  # as in the Makefile


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile, and with what it removes or keeps."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    folders = [".snakemake", "runs/0123456789abcdef", "figures/study", "figures/full"]
    folders += [f"data/{name}_precomp" for name in (*DRAWN, "scenes_mine", "rsicd")]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "figures/full/benchmark.csv").touch()
    return tmp_path


def left_by(target, checkout) -> set[str]:
    """Files, and folders without any, that are there after ``make TARGET``."""
    subprocess.run(["make", target], cwd=checkout, check=True, capture_output=True)
    paths = [path for path in checkout.rglob("*") if not path.is_dir() or not any(path.iterdir())]
    return {path.relative_to(checkout).as_posix() for path in paths} - {"Makefile"}


def test_clean_leaves_runs_data_and_figures(checkout):
    kept = {"runs/0123456789abcdef", "figures/full/benchmark.csv", "data/rsicd_precomp", "data/scenes_mine_precomp"}
    drawn = {f"data/{name}_precomp" for name in DRAWN}
    assert left_by("clean", checkout) == kept | drawn
    assert left_by("clean-runs", checkout) == kept - {"runs/0123456789abcdef"}


def test_the_makefile_knows_every_data_set_that_is_drawn():
    # Fixtures of other tests add small ones.
    assert {name for name in default_data.DRAWN if not name.endswith("-mini")} == set(DRAWN)


def test_help_lists_every_target_and_says_what_is_lost():
    printed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = dict(line.split(maxsplit=1) for line in printed.splitlines())
    assert "EVERY FINISHED RUN" in lines["clean-runs"] and "runs" not in lines["clean"]
