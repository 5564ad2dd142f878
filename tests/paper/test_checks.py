"""Problems are found before anything is trained, and reported in one line with a remedy."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import drawn_scenes
import open_clip
import pytest
import torch
from open_clip_folders import random_clip, write_folder
from petl_core.paper.checks import Plan
from petl_core.paper.costs import Cost

from petl_core import backbone
from petl_core.config import RunConfig
from petl_core.paper import checks

COST = Cost(step=1.0, image=0.0, caption=0.0, trained=2**28, peak_mib=900.0, caches={"pixels": 2**30})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a data set and a backbone."""
    folder = tmp_path_factory.mktemp("world")
    drawn_scenes.write(folder, "rsicd", domain="aerial", train=12, test=6, size=32)
    write_folder(folder / "clip")
    return folder


def plan_of(world, *runs, **fields) -> Plan:
    """To run these, each a mapping of fields."""
    shared = {"dataset": "rsicd", "backbone": f"{world}/clip", "batch_size": 4, "epochs": 1} | fields
    configs = [RunConfig(**shared | run) for run in runs or [{}]]
    return Plan({run.hash: run for run in configs}, str(world), str(world / "runs"), gpus=0, workers=1)


def failing(found) -> list[str]:
    return [check.name for check in found if not check.passed]


def test_all_is_well(world):
    found = checks.check_all(plan_of(world, {"method": "linear_probe", "cache_features": True}, {"method": "lora"}))
    assert [check.name for check in found] == ["data", "weights", "methods", "disk", "memory", "time"]
    assert failing(found) == []
    texts = {check.name: check.found for check in found}
    assert "12 / 6 images, 60 / 30 captions" in texts["data"]
    assert "NOT the published split of 9,828 / 1,093" in texts["data"]
    assert "no GPU" in texts["memory"]
    assert "2 of 2 runs are left" in texts["time"] and "minutes" in texts["time"]
    assert not (world / "runs").exists()


def test_nothing_is_tried_where_other_machines_train_or_nothing_is_left(world, tmp_path):
    plan = plan_of(world)
    assert [check.name for check in checks.check_all(plan, measured=False)] == ["data", "weights", "cluster"]
    (tmp_path / next(iter(plan.runs))).mkdir()
    (tmp_path / next(iter(plan.runs)) / "metrics.json").touch()
    done = Plan(plan.runs, plan.data_root, str(tmp_path), gpus=0, workers=1)
    assert [check.found for check in checks.check_all(done)][2:] == ["nothing is left to train"]


def test_a_missing_or_incomplete_data_set_is_reported(world, tmp_path):
    (check, *others) = checks.check_all(plan_of(world, dataset="rsitmd"))
    assert not check.passed and "data/README.md" in check.found and "\n" not in check.found
    assert [other.name for other in others] == ["weights"]
    shutil.copytree(world / "rsicd_precomp", tmp_path / "rsicd_precomp")
    next((tmp_path / "rsicd_precomp" / "rsicd_images").iterdir()).unlink()
    check, dataset = checks.check_data(Plan(plan_of(world).runs, str(tmp_path), "runs", 0, 1))
    assert dataset is None and "images are missing" in check.found


@pytest.fixture
def named_model(tmp_path):
    """A small model that open_clip knows by name, and its weights in a .pt file."""
    config, clip = random_clip()
    (tmp_path / "ViT-mini.json").write_text(json.dumps(config["model_cfg"]))
    open_clip.add_model_config(tmp_path / "ViT-mini.json")
    torch.save(clip.state_dict(), tmp_path / "mini.pt")
    return "ViT-mini", tmp_path / "mini.pt"


def test_an_own_weights_file_loads(world, named_model):
    name, weights = named_model
    check, frozen, _ = checks.check_weights(plan_of(world, backbone=name, pretrained=str(weights)))
    assert check.passed and "parameters" in check.found
    expected = backbone.fingerprint(backbone.load(f"{world}/clip").clip)
    assert backbone.fingerprint(frozen.clip) == expected


def test_weights_that_do_not_load_are_reported_with_the_remedy(world, named_model, tmp_path):
    name, _ = named_model
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    for fields in (
        {"backbone": name},  # random
        {"backbone": name, "pretrained": "absent.pt"},
        {"backbone": name, "pretrained": str(tmp_path / "broken.pt")},
        {"backbone": f"{world}/clip", "pretrained": "openai"},
        {"backbone": f"{world}/absent"},
        {"backbone": "no-such-model", "pretrained": "openai"},
    ):
        check, frozen, _ = checks.check_weights(plan_of(world, **fields))
        assert frozen is None and not check.passed, fields
        assert "--pretrained FILE.pt" in check.found and "\n" not in check.found


def test_a_method_that_cannot_adapt_the_backbone_is_named(world, tmp_path):
    write_folder(tmp_path / "narrow", width=64)
    plan = plan_of(world, {"method": "mrs"}, {"method": "lora"}, backbone=f"{tmp_path}/narrow")
    found = checks.check_all(plan)
    assert failing(found) == ["methods"] and found[-1].name == "methods"
    assert found[-1].found.startswith("mrs: share 64 must be below") and "study.yaml" in found[-1].found


def test_a_disk_that_is_too_small_is_reported(world, monkeypatch):
    plan = plan_of(world)
    costs_of = {checks.costs.kind_of(run).hash: COST for run in plan.left}
    # 1 GiB of caches and one of the run's weights; 8 while it is trained: weights of 2 epochs, and 2 checkpoints of 3.
    for free, passed in ((10 * 2**30, True), (10 * 2**30 - 1, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        check = checks.check_disk(plan, costs_of)
        assert check.passed == passed and "10.0 GiB at most" in check.found
    assert "--runs-root" in check.found


def test_caches_that_finished_runs_have_written_need_no_more_room(world, tmp_path):
    runs = plan_of(world, {"seed": 2}, {"seed": 3}).runs
    plan = Plan(runs, str(world), str(tmp_path), gpus=0, workers=1)
    costs_of = {checks.costs.kind_of(run).hash: COST for run in plan.left}
    assert "(caches 1.0," in checks.check_disk(plan, costs_of).found
    (tmp_path / next(iter(runs))).mkdir()
    (tmp_path / next(iter(runs)) / "metrics.json").touch()
    assert "(caches 0.0, weights of runs 9.0)" in checks.check_disk(plan, costs_of).found


def test_a_gpu_that_is_too_small_is_reported(world, monkeypatch):
    cpu = plan_of(world, {"method": "full"})
    plan = Plan(cpu.runs, cpu.data_root, cpu.runs_root, gpus=1, workers=1)
    costs_of = {checks.costs.kind_of(run).hash: COST for run in plan.left}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    for total, passed in ((1000, True), (999, False)):
        memory = SimpleNamespace(total_memory=total * 2**20)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, memory=memory: memory)
        check = checks.check_memory(plan, costs_of)
        assert check.passed == passed and "900 MiB (full, batch size 4)" in check.found
    assert "batch_size" in check.found
    shared = dataclasses.replace(plan, workers=2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=1999 * 2**20))
    check = checks.check_memory(shared, costs_of)
    assert not check.passed and "2 times 900 MiB" in check.found


def test_the_largest_of_all_kinds_counts_not_the_last_of_a_method(world, monkeypatch):
    cpu = plan_of(world, {"method": "full", "batch_size": 8}, {"method": "full", "batch_size": 4})
    plan = Plan(cpu.runs, cpu.data_root, cpu.runs_root, gpus=1, workers=1)
    peaks = {8: 900.0, 4: 100.0}
    costs_of = {
        checks.costs.kind_of(run).hash: dataclasses.replace(COST, peak_mib=peaks[run.batch_size]) for run in plan.left
    }
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=500 * 2**20))
    check = checks.check_memory(plan, costs_of)
    assert not check.passed and "900 MiB (full, batch size 8)" in check.found


def test_a_batch_that_does_not_fit_the_gpu_is_named(world, monkeypatch):
    def out_of_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(checks.costs, "measure", out_of_memory)
    found = checks.check_all(plan_of(world, {"method": "lora"}))
    assert failing(found) == ["methods"]
    assert found[-1].found.startswith("lora: a batch of 4 does not fit the GPU; lower batch_size")
