"""The published tables by one command: problems are found before anything is trained, in one line with a remedy."""

import argparse
import copy
import json
from types import SimpleNamespace

import drawn_scenes
import open_clip
import pytest
import torch
import yaml
from open_clip_folders import random_clip, write_folder

from petl_core import paper
from petl_core.__main__ import main
from petl_core.adapters import METHODS
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import read_json
from petl_core.runs import make, study, tuned
from petl_core.runs.study import Options, Section

PROBE = {"method": "linear_probe", "cache_features": True}
RUNS = {"epochs": 1, "batch_size": 8}
TEMPLATES = {
    "paper_tuning": RUNS | {"learning_rate": [1e-3, 1e-1], "notebooks": {"16_tuning": {"runs": [PROBE]}}},
    "paper": RUNS | {"notebooks": {"17_paper": {"runs": [PROBE]}}},  # of runs that the other has trained
}
OURS = study.load_sections()


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


# The command.


def test_the_command_ends_in_the_published_table_next_to_ours(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(make, "SNAKEMAKE", [*make.SNAKEMAKE, "--until", "notebook"])
    assert main(arguments) == 0
    assert (tmp_path / "figures" / "paper.csv").exists()
    printed = capsys.readouterr().out
    assert "Linear probe" in printed and "36.25" in printed  # as published

    # Its linear probe has the settings that were chosen on validation, and was trained once.
    assert len(list((tmp_path / "runs").glob("*/metrics.json"))) == 3
    (chosen,) = read_json(tmp_path / "figures" / "tuning" / "tuned.json")["choices"]
    section = study.load_sections(tmp_path / "runs" / "notebooks" / "paper_rsitmd.yaml")["paper_rsitmd"]
    rates = {run.learning_rate for run in study.read(section, "x").runs.values() if run.epochs}
    assert rates == {chosen["settings"]["learning_rate"]}

    # Asked again, it finds everything there.
    assert main([*arguments, "--dry-run"]) == 0
    assert "nothing is left to train" in capsys.readouterr().out


def test_nothing_is_trained_where_a_check_fails_or_in_a_dry_run(arguments, tmp_path, capsys):
    assert main([*arguments, "--dry-run"]) == 0
    assert "4 of 4 runs are left" in capsys.readouterr().out  # by one too many: the tuned probe is not known yet
    next((tmp_path / "data" / "rsitmd_precomp" / "rsitmd_images").iterdir()).unlink()
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert "FAILS" in shown.out and "images are missing" in shown.out
    assert shown.err.endswith("error: data: nothing was trained\n")
    assert not (tmp_path / "runs").exists() and not (tmp_path / "figures").exists()


def settings_of(*arguments: str) -> dict:
    """What the command sets in the templates."""
    parser = argparse.ArgumentParser()
    paper.add_command(parser.add_subparsers())
    return paper.settings_of(parser.parse_args(["paper", *arguments]))


def test_defaults_are_those_of_the_published_tables(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert settings_of("ucm", "--gpus", "1") == settings_of("ucm") == {
        "dataset": "ucm", "backbone": "ViT-B-32-quickgelu", "pretrained": "openai", "figures": "figures/paper/ucm",
        "gpus": 1, "runs_per_job": 0,
    }  # fmt: skip
    assert settings_of("ucm", "--backbone", "./clip")["pretrained"] == ""
    assert settings_of("ucm", "--gpus", "0")["gpus"] == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_cluster = settings_of("ucm", "--cluster", "--executor slurm --jobs 100", "--runs-root", "elsewhere")
    assert (on_cluster["runs_per_job"], on_cluster["gpus"], on_cluster["runs_root"]) == (1, 1, "elsewhere")
    assert settings_of("ucm", "--gpus", "1", "--cluster", "--executor slurm")["gpus"] == 1
    assert settings_of("ucm")["gpus"] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["ucm", "--gpus=1"], "--gpus 1: no CUDA device is visible here; use --gpus 0, or --cluster"),
        (["ucm", "--cores=0"], "--cores 0 must be at least 1"),
        (["data/ucm"], "data set 'data/ucm': give its name"),
        ([""], "data set '': give its name"),
    ],
)
def test_wrong_arguments_are_errors_before_any_check(given, message, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["paper", *given]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error: {message}")


# The sections.


@pytest.fixture
def settings(tmp_path):
    return {
        "dataset": "ucm", "backbone": "RN50-quickgelu", "pretrained": "openai", "data_root": "elsewhere",
        "figures": str(tmp_path), "gpus": 1, "runs_per_job": 0,
    }  # fmt: skip


def test_every_published_method_is_tuned_at_four_rates_and_two_seeds():
    trained = [run for run in study.load("paper_tuning").runs.values() if run.epochs]
    assert {run.method for run in trained} == METHODS.keys() - {"zero_shot"}
    families: dict = {}
    for run in trained:
        options = {name: value for name, value in run.method_options.items() if name not in paper.TUNED}
        family = (run.method, str(options), run.contrast, run.w_image, run.w_text)
        families.setdefault(family, []).append(run)
    for family, runs in families.items():
        assert len({run.learning_rate for run in runs}) == 4 and {run.seed for run in runs} == {2, 3}, family


def test_the_tables_hold_every_method_at_five_seeds_by_its_tuned_settings(settings):
    templates = copy.deepcopy(OURS)
    (first, tuning), (second, tables) = paper.fill(templates, settings).items()
    assert templates == OURS and (first, second) == ("paper_ucm_tuning", "paper_ucm")
    assert tuning["data_root"] == tables["data_root"] == "elsewhere" and tuning["gpus"] == 1
    assert tables["tuned"] == f"{tuning['figures']}/tuned.json" == f"{settings['figures']}/tuning/tuned.json"
    found = {}  # one setting per method and loss, with a rate that no list has
    for run in study.read(tuning, first).runs.values():
        if run.epochs:
            found[run.method, *(getattr(run, name) for name in tuned.LOSS)] = run
    tuned.write([tuned.Choice(run, {"learning_rate": 0.0123}) for run in found.values()], tables["tuned"])

    runs = study.read(tables, second).runs.values()
    assert {run.method for run in runs} == METHODS.keys()
    assert {(run.dataset, run.backbone, run.pretrained) for run in runs} == {("ucm", "RN50-quickgelu", "openai")}
    rows: dict = {}
    for run in runs:
        if run.epochs and run.schedule == "cosine":
            assert run.learning_rate == 0.0123
            rows.setdefault(run.replace(seed=0).hash, set()).add(run.seed)
    assert set(map(frozenset, rows.values())) == {frozenset({2, 3, 4, 5, 6})}
    released = {run.seed for run in runs if run.schedule == "step" and run.batch_size == 16 and run.epochs == 30}
    assert released == {2, 3, 4, 5}  # PE-RSITR's

    # All rows of the MRS-Adapter and all parts of CMER are there.
    losses = {(run.contrast, run.w_image, run.w_text) for run in runs if run.method == "mrs"}
    assert losses == {(contrast, w, w) for contrast in ("infonce", "triplet") for w in (0.0, 1.0)}
    parts = {(run.queue_size > 0, run.scene_probability > 0) for run in runs if run.method == "focus"}
    assert parts == {(queued, labelled) for queued in (False, True) for labelled in (False, True)}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"paper": OURS["paper"]}, "no section paper_tuning; known: paper$"),
        ({"paper": OURS["paper"], "paper_tuning": None}, "paper_tuning must be a mapping"),
        ({**OURS, "paper": {**OURS["paper"], "epoch": 3}}, "paper.epoch = 3: unknown"),
    ],
)
def test_a_wrong_template_is_named(settings, templates, message):
    with pytest.raises(ConfigError, match=message):
        paper.fill(templates, settings)


# The checks.


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a data set and a backbone."""
    folder = tmp_path_factory.mktemp("world")
    drawn_scenes.write(folder, "rsicd", domain="aerial", train=12, test=6, size=32)
    write_folder(folder / "clip")
    return folder


def found_of(world, *runs, gpus: int = 0, runs_per_gpu: int = 1, measured: bool = True, **fields) -> dict[str, tuple]:
    """What the checks find: whether passed, and the text, by name."""
    shared = {"dataset": "rsicd", "backbone": f"{world}/clip", "batch_size": 4, "epochs": 1} | fields
    configs = [RunConfig(**shared | run) for run in runs or [{}]]
    options = Options(data_root=str(world), runs_root=str(world / "runs"), gpus=gpus, runs_per_gpu=runs_per_gpu)
    section = Section({}, {}, {run.hash: run for run in configs}, options)
    return {name: (passed, text) for name, passed, text in paper.checks([section], 1, measured)}


def test_all_is_well(world):
    kinds = {"queue_size": 8}, {"scene_probability": 0.5}, {"w_image": 1.0}, {"method": "lora", "seed": 3}
    found = found_of(world, {"method": "linear_probe", "cache_features": True}, {"method": "lora"}, *kinds)
    assert list(found) == ["data", "weights", "methods", "time"] and all(passed for passed, _ in found.values())
    assert "12 / 6 images, 60 / 30 captions" in found["data"][1]
    assert "NOT the published split of 9,828 / 1,093" in found["data"][1]
    assert "each of 5 kinds of run" in found["methods"][1]  # seeds cost the same
    assert "6 of 6 runs are left" in found["time"][1] and "minutes" in found["time"][1]
    assert not (world / "runs").exists()
    assert list(found_of(world, measured=False)) == ["data", "weights", "cluster"]  # other machines train


def test_a_missing_data_set_is_reported(world):
    found = found_of(world, dataset="rsitmd")
    assert list(found) == ["data", "weights"]
    assert not found["data"][0] and "data/README.md" in found["data"][1] and "\n" not in found["data"][1]


def test_weights_that_do_not_load_are_reported_with_the_remedy(world, tmp_path):
    config, clip = random_clip()
    (tmp_path / "ViT-mini.json").write_text(json.dumps(config["model_cfg"]))
    open_clip.add_model_config(tmp_path / "ViT-mini.json")
    torch.save(clip.state_dict(), tmp_path / "mini.pt")
    assert found_of(world, backbone="ViT-mini", pretrained=str(tmp_path / "mini.pt"))["weights"][0]
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    for fields in (
        {"backbone": "ViT-mini"},  # random
        {"backbone": "ViT-mini", "pretrained": "absent.pt"},
        {"backbone": "ViT-mini", "pretrained": str(tmp_path / "broken.pt")},
        {"backbone": f"{world}/clip", "pretrained": "openai"},
        {"backbone": f"{world}/absent"},
        {"backbone": "no-such-model", "pretrained": "openai"},
    ):
        passed, text = found_of(world, **fields)["weights"]
        assert not passed and "--pretrained FILE.pt" in text and "\n" not in text, fields


def test_a_method_that_cannot_be_trained_is_named(world, tmp_path, monkeypatch):
    write_folder(tmp_path / "narrow", width=64)
    found = found_of(world, {"method": "mrs"}, {"method": "lora"}, backbone=f"{tmp_path}/narrow")
    passed, text = found["methods"]
    assert list(found)[-1] == "methods" and not passed
    assert text.startswith("mrs: share 64 must be below") and "study.yaml" in text

    def out_of_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(paper, "measure", out_of_memory)
    assert found_of(world)["methods"][1].startswith("mrs: a batch of 4 does not fit the GPU; lower batch_size")


@pytest.mark.parametrize(("total", "shared", "passed"), [(1000, 1, True), (999, 1, False), (1999, 2, False)])
def test_a_gpu_that_is_too_small_is_reported(world, monkeypatch, total, shared, passed):
    from petl_core import backbone

    load = backbone.load
    monkeypatch.setattr(backbone, "load", lambda name, pretrained, device: load(name, pretrained))
    monkeypatch.setattr(paper, "measure", lambda run, *_: (1.0, {8: 900.0, 4: 100.0}[run.batch_size]))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    memory = SimpleNamespace(total_memory=total * 2**20)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: memory)
    runs = {"method": "full", "batch_size": 8}, {"method": "full", "batch_size": 4}
    found = found_of(world, *runs, gpus=1, runs_per_gpu=shared)
    assert found["memory"][0] is passed and "900 MiB (full, batch size 8)" in found["memory"][1]
    assert ("2 times 900" in found["memory"][1]) is (shared == 2) and ("batch_size" in found["memory"][1]) is not passed
    # 12 images, a fifth for validation: 2 steps of 8 and 3 of 4, of a second each.
    assert "about 0 minutes" in found["time"][1]
    hours = found_of(world, {"batch_size": 8}, gpus=1, epochs=7200, pairs="captions")["time"][1]
    assert "about 14.0 hours" in hours  # 50 captions, 7 steps an epoch
