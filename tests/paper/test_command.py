"""One command from a folder of images to the published table next to ours; and nothing is trained if a check fails."""

import drawn_scenes
import pandas as pd
import pytest
import torch
import yaml
from open_clip_folders import write_folder

from petl_core.__main__ import main
from petl_core.files import read_json
from petl_core.paper import command
from petl_core.runs import graph

PROBE = {"method": "linear_probe", "cache_features": True}
RUNS = {"epochs": 1, "batch_size": 8}
TEMPLATES = {
    "paper_tuning": RUNS | {"learning_rate": [1e-3, 1e-1], "notebooks": {"16_tuning": {"runs": [PROBE]}}},
    "paper": RUNS | {"notebooks": {"17_paper": {"runs": [PROBE]}}},  # of runs that the other has trained
}


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """Arguments of the command: small folders in the layouts of the real ones, and a study of a few runs."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which the command sets, too, for runs on a CPU
    drawn_scenes.write(tmp_path / "data", "rsitmd", domain="aerial", train=16, test=6, size=32)
    write_folder(tmp_path / "clip")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(TEMPLATES))
    places = {"--data-root": "data", "--runs-root": "runs", "--figures": "figures", "--study": "study.yaml"}
    places["--backbone"] = "clip"
    named = [f"{name}={tmp_path / place}" for name, place in places.items()]
    return ["paper", "rsitmd", "--cores=2", "--gpus=0", *named]


def test_the_command_ends_in_the_published_table_next_to_ours(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(graph, "SNAKEMAKE", [*graph.SNAKEMAKE, "--until", "notebook"])  # reports: test_graph.py
    assert main(arguments) == 0
    table = pd.read_csv(tmp_path / "figures" / "paper.csv").set_index("Method")
    assert table["Published mR"].to_dict() == {"Zero-shot CLIP": 23.89, "Linear probe (InfoNCE)": 36.25}
    printed = capsys.readouterr().out
    assert "| Linear probe (InfoNCE) " in printed
    assert "RSITMD (NOT its published split: 6 test images)" in printed

    # Its linear probe has the settings that were chosen on validation, and was trained once.
    assert len(list((tmp_path / "runs").glob("*/metrics.json"))) == 3
    (chosen,) = read_json(tmp_path / "figures" / "tuning" / "tuned.json")["choices"]
    shown = [run for run in read_json(tmp_path / "figures" / "manifest.json")["configs"].values() if run["epochs"]]
    assert [run["learning_rate"] for run in shown] == [chosen["settings"]["learning_rate"]]

    # Asked again, it finds everything there.
    assert main([*arguments, "--dry-run"]) == 0
    assert "nothing is left to train" in capsys.readouterr().out


def test_nothing_is_trained_where_a_check_fails(arguments, tmp_path, capsys):
    next((tmp_path / "data" / "rsitmd_precomp" / "rsitmd_images").iterdir()).unlink()
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert "FAILS" in shown.out and "images are missing" in shown.out
    assert shown.err.endswith("error: data: nothing was trained\n")
    assert not (tmp_path / "runs").exists() and not (tmp_path / "figures").exists()


def test_a_dry_run_only_checks(arguments, tmp_path, capsys):
    assert main([*arguments, "--dry-run"]) == 0
    assert "4 of 4 runs are left" in capsys.readouterr().out  # by one too many: the tuned probe is not known yet
    assert not (tmp_path / "runs").exists() and not (tmp_path / "figures").exists()


def settings_of(*arguments: str) -> dict:
    """What the command sets in the templates."""
    parser = command.argparse.ArgumentParser()
    command.add_to(parser.add_subparsers())
    return command.settings_of(parser.parse_args(["paper", *arguments]))


def test_defaults_are_those_of_the_published_tables(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert settings_of("ucm", "--gpus", "1") == {
        "dataset": "ucm", "backbone": "ViT-B-32-quickgelu", "pretrained": "openai", "figures": "figures/paper/ucm",
        "gpus": 1, "runs_per_job": 0,
    }  # fmt: skip
    assert settings_of("ucm", "--backbone", "./clip")["pretrained"] == ""
    on_cluster = settings_of("ucm", "--cluster", "--executor slurm --jobs 100", "--runs-root", "elsewhere")
    assert (on_cluster["runs_per_job"], on_cluster["gpus"], on_cluster["runs_root"]) == (1, 1, "elsewhere")


def test_a_gpu_that_is_not_visible_is_an_error_before_any_check(arguments, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*arguments, "--gpus=1"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: --gpus 1: no CUDA device is visible here; use --gpus 0, or --cluster\n")
    assert settings_of("ucm", "--gpus", "1", "--cluster", "--executor slurm")["gpus"] == 1
    assert settings_of("ucm")["gpus"] == 0


@pytest.mark.parametrize("name", ["", "data/ucm", "../ucm", "u c m"])
def test_a_data_set_is_asked_for_by_name(name, capsys):
    assert main(["paper", name]) == 2
    assert "give its name" in capsys.readouterr().err
