"""How long a section is said to take, and how far it has got."""

import json
import subprocess
import sys

import pytest

from petl_core.__main__ import main
from petl_core.config import RunConfig
from petl_core.runs import progress, study

TINY = {"dataset": "scenes-tiny", "backbone": "embedded-tiny", "epochs": 1}


def test_cost_is_estimated_from_similar_finished_runs(tmp_path):
    fields = {**TINY, "runs_root": str(tmp_path), "notebooks": {"04_benchmark": {"runs": [{"seed": [2, 3, 4]}]}}}
    section = study.read(fields, "one")
    assert "minutes unknown" in progress.estimate(section, 2)
    done = RunConfig(**TINY, seed=2)
    (tmp_path / done.hash).mkdir()
    seconds = {"load": 10.0, "prepare": 20.0, "train": 240.0, "validate": 30.0, "test": 60.0}
    metrics = {"config": vars(done), "seconds": seconds, "images": {"train": 80}}
    (tmp_path / done.hash / "metrics.json").write_text(json.dumps(metrics))
    assert progress.estimate(section, 2).startswith("4 runs, 1 finished, 3 to train: about 7 minutes, 2 at once")


SCRIPT = """
import pathlib, sys, time
finished, failed = map(pathlib.Path, sys.argv[1:])
for folder in (finished, failed):
    folder.mkdir()
(failed / "failed.json").write_text('{"config": {}, "title": "LoRA", "reason": "FloatingPointError: loss is nan"}')
(finished / "metrics.json").write_text("{}")
time.sleep(0.5)
"""


def test_a_failure_is_shown_at_once_by_name_and_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "POLL", 0.05)
    runs = [{"seed": 2}, {"method": "lora"}]
    fields = {**TINY, "runs_root": str(tmp_path), "notebooks": {"04_benchmark": {"runs": runs}}}
    section = study.read(fields, "one")
    mrs, lora = (name for name, run in section.runs.items() if run.epochs)
    log = tmp_path / "snakemake.log"
    log.write_text("1 of 15 steps (7%) done\n2 of 15 steps (13%) done\n")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / mrs), str(tmp_path / lora)]
    with subprocess.Popen(command) as process:
        progress.follow(section, process, log, workers=2)
    shown = capsys.readouterr()
    assert "1 of 3 runs, step 2 of 15" in shown.err
    lines = [line for line in (shown.out + shown.err).splitlines() if "failed:" in line]
    assert len(lines) == 1
    assert "lora" in lines[0] and lora in lines[0] and "FloatingPointError: loss is nan" in lines[0]


def test_a_run_that_fails_again_is_shown_again(tmp_path):
    fields = {**TINY, "runs_root": str(tmp_path), "notebooks": {"04_benchmark": {"runs": [{"method": "lora"}]}}}
    section = study.read(fields, "one")
    (lora,) = (name for name, run in section.runs.items() if run.epochs)
    failed = tmp_path / lora / "failed.json"
    failed.parent.mkdir()
    failed.write_text('{"reason": "the first"}')
    reported = {lora}  # before the study began
    assert list(progress._new_failures(section, tmp_path, reported)) == []
    failed.unlink()  # it is tried again
    assert list(progress._new_failures(section, tmp_path, reported)) == []
    failed.write_text('{"reason": "the second"}')
    (line,) = progress._new_failures(section, tmp_path, reported)
    assert line.endswith("the second")


def test_where_nothing_is_trained_no_minutes_are_given(tmp_path):
    fields = {**TINY, "runs_root": str(tmp_path), "notebooks": {"04_benchmark": {"runs": [{"seed": [2, 3]}]}}}
    assert progress.found(study.read(fields, "one")) == "3 runs, 0 finished, 3 missing and not trained"


@pytest.mark.parametrize("command", ["study", "plan", "paper"])
@pytest.mark.parametrize("cores", ["0", "-1", "two"])
def test_an_invalid_number_of_cores_is_named(command, cores, capsys):
    with pytest.raises(SystemExit):
        main([command, *(["rsitmd"] if command == "paper" else []), f"--cores={cores}"])
    assert f"argument --cores: '{cores}' is not a number of cores; give 1 or more" in capsys.readouterr().err
