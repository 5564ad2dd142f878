import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from petl_core.runs.collecting import collect
from petl_core.runs.folder import open_run
from safetensors.torch import load_file
from small_worlds import elsewhere, results, small_world

from petl_core.config import RunConfig
from petl_core.data import DataError, default_data
from petl_core.errors import ConfigError
from petl_core.evaluation.embedding import embed_test_split
from petl_core.evaluation.gallery_search import search
from petl_core.runs import experiment
from petl_core.training import epoch


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch)


CONFIG = RunConfig(dataset="scenes-mini", backbone="mini", epochs=3, batch_size=8, method_options={"share": 16})


@pytest.fixture(scope="module")
def finished(world):
    return experiment.run(CONFIG, **world)


def test_a_run_leaves_a_complete_account(finished):
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    asked = json.loads((finished.folder / "config.json").read_text())
    assert asked == {"title": "MRS-Adapter", "config": metrics["config"]}
    assert metrics["hash"] == finished.folder.name == CONFIG.hash
    assert [entry["epoch"] for entry in metrics["history"]] == [0, 1, 2, 3]
    best = max(metrics["history"], key=lambda entry: entry["validation_mr"])
    assert metrics["chosen_epoch"] == best["epoch"]
    assert metrics["images"] == {"train": 19, "validation": 5, "test": 10}
    assert {"revision", "python", "torch", "open_clip_torch", "threads"} <= metrics["environment"].keys()
    assert metrics["peak_memory_mib"] > 0
    assert finished.test_hits.shape == (10, 7)
    assert not (finished.folder / "checkpoint.pt").exists() and not (finished.folder / "epoch_weights").exists()


def test_the_selection_audit_has_the_test_mr_of_every_epoch_and_decides_nothing(finished):
    metrics = finished.metrics
    assert len(metrics["selection_audit"]) == len(metrics["history"])
    assert metrics["selection_audit"][metrics["chosen_epoch"]] == pytest.approx(metrics["scores"]["strict"]["mr"])


def test_without_a_better_epoch_patience_ends_a_run_early(world, tmp_path):
    stuck = CONFIG.replace(epochs=9, patience=2, learning_rate=1e-12, schedule="constant")
    metrics = experiment.run(stuck, **elsewhere(world, tmp_path)).metrics
    assert (metrics["chosen_epoch"], len(metrics["history"])) == (0, 3)


def test_an_epoch_without_a_validation_is_trained_but_never_chosen(world, finished, tmp_path):
    run = experiment.run(CONFIG.replace(epochs=5, validation_interval=2), **elsewhere(world, tmp_path))
    history = run.metrics["history"]
    assert [entry["epoch"] for entry in history if "validation_mr" in entry] == [0, 2, 4, 5]
    assert [len(entry.get("loss", [])) > 0 for entry in history] == [False, True, True, True, True, True]
    best = max((entry for entry in history if "validation_mr" in entry), key=lambda entry: entry["validation_mr"])
    assert run.metrics["chosen_epoch"] == best["epoch"]
    assert len(run.metrics["selection_audit"]) == 4


def test_validations_between_do_not_change_what_is_trained(world, finished, tmp_path):
    run = experiment.run(CONFIG.replace(validation_interval=2), **elsewhere(world, tmp_path))
    for one, other in zip(run.metrics["history"], finished.metrics["history"], strict=True):
        assert one.get("loss") == other.get("loss")
        assert one.get("validation_mr", other["validation_mr"]) == other["validation_mr"]


def test_patience_ends_a_run_only_where_it_was_validated(world, tmp_path):
    stuck = CONFIG.replace(epochs=9, patience=3, validation_interval=2, learning_rate=1e-12, schedule="constant")
    metrics = experiment.run(stuck, **elsewhere(world, tmp_path)).metrics
    assert (metrics["chosen_epoch"], metrics["history"][-1]["epoch"]) == (0, 4)


def test_the_same_configuration_is_never_trained_twice(world, finished, monkeypatch):
    monkeypatch.setattr(epoch, "train_epoch", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(experiment, "score_test_split", lambda *_: pytest.fail("tested again"))
    assert experiment.run(CONFIG, **world).metrics == finished.metrics


def test_the_same_configuration_gives_bit_identical_metrics(world, finished, tmp_path):
    again = experiment.run(CONFIG, **elsewhere(world, tmp_path))
    assert again.folder != finished.folder
    assert results(again) == results(finished)
    one, other = (load_file(run.folder / "adapter.safetensors") for run in (again, finished))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


SLOW_KEYS = CONFIG.replace(queue_size=16, queue_keys="ema", queue_momentum=0.9, queue_warmup=1, queue_ramp=5)

SPARSE = CONFIG.replace(validation_interval=2)


@pytest.mark.parametrize(
    ("config", "killed_in_epoch"), [(CONFIG, 1), (CONFIG, 2), (CONFIG, 3), (SLOW_KEYS, 3), (SPARSE, 2)]
)
def test_a_killed_run_resumes_to_the_same_result(world, tmp_path, monkeypatch, config, killed_in_epoch):
    uninterrupted = experiment.run(config, **world)
    places = elsewhere(world, tmp_path)
    original, trained = epoch.train_epoch, []

    def until_killed(state, train):
        if state.epoch == killed_in_epoch and not trained.count("killed"):
            trained.append("killed")
            raise KeyboardInterrupt
        trained.append(state.epoch)
        return original(state, train)

    monkeypatch.setattr(epoch, "train_epoch", until_killed)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config, **places)
    assert not (tmp_path / config.hash / "metrics.json").exists()
    resumed = experiment.run(config, **places)
    assert results(resumed) == results(uninterrupted)
    one, other = (load_file(run.folder / "adapter.safetensors") for run in (resumed, uninterrupted))
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert [number for number in trained if number != "killed"] == [1, 2, 3]


def test_the_test_split_is_read_once_after_training(world, tmp_path, monkeypatch):
    events = []
    original_read, original_epoch = experiment.inputs.cached_pixels, epoch.train_epoch
    test_images = set(default_data.load_or_draw("scenes-mini", world["data_root"]).test.images)

    def read(split, *rest):
        events.append("test" if test_images & set(split.images) else "train")
        return original_read(split, *rest)

    monkeypatch.setattr(experiment.inputs, "cached_pixels", read)
    monkeypatch.setattr(epoch, "train_epoch", lambda *a: events.append("epoch") or original_epoch(*a))
    experiment.run(CONFIG, **elsewhere(world, tmp_path))
    assert events == ["train", "epoch", "epoch", "epoch", "test"]


def test_the_saved_adapter_reproduces_the_metrics(world, finished):
    dataset = default_data.load_or_draw("scenes-mini", world["data_root"])
    found = search(dataset.test, embed_test_split(finished, dataset, world["data_root"], progress=False))
    assert 100 * np.mean(found.image_ranks <= 1) == pytest.approx(finished.metrics["scores"]["strict"]["i2t_r1"])


def test_zero_shot_trains_nothing(world):
    run = experiment.run(CONFIG.zero_shot(), **world)
    assert run.metrics["parameters"]["trained"] == 0
    assert run.metrics["history"] == [{"epoch": 0}]


def test_a_broken_checkpoint_is_named(world, tmp_path):
    places = elsewhere(world, tmp_path)
    (tmp_path / CONFIG.hash).mkdir()
    (tmp_path / CONFIG.hash / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(ConfigError, match=r"checkpoint\.pt cannot be resumed .*delete it"):
        experiment.run(CONFIG, **places)


def test_changed_data_under_the_same_name_is_noticed(world, tmp_path):
    shutil.copytree(world["data_root"], tmp_path / "data")
    places = {**elsewhere(world, tmp_path / "runs"), "data_root": tmp_path / "data"}
    short = CONFIG.zero_shot()
    experiment.run(short, **places)
    captions = tmp_path / "data" / "scenes-mini_precomp" / "train_caps.txt"
    lines = captions.read_text().splitlines()
    captions.write_text("\n".join(["another caption", *lines[1:]]) + "\n")
    with pytest.raises(ConfigError, match="made with other data under the same name"):
        experiment.run(short, **places)


def test_a_run_begun_with_other_captions_is_not_resumed(world, tmp_path, monkeypatch):
    shutil.copytree(world["data_root"], tmp_path / "data")
    places = {**elsewhere(world, tmp_path / "runs"), "data_root": tmp_path / "data"}
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "score_test_split", lambda *_: 1 / 0)  # after training
        with pytest.raises(ZeroDivisionError):
            experiment.run(CONFIG, **places)
    captions = tmp_path / "data" / "scenes-mini_precomp" / "train_caps.txt"
    lines = captions.read_text().splitlines()
    captions.write_text("\n".join(["another caption", *lines[1:]]) + "\n")
    with pytest.raises(ConfigError, match=r"checkpoint\.pt cannot be resumed \(it was started with other data\)"):
        experiment.run(CONFIG, **places)


def test_redrawn_images_under_the_same_names_are_noticed(world, tmp_path):
    shutil.copytree(world["data_root"], tmp_path / "data")
    places = {**elsewhere(world, tmp_path / "runs"), "data_root": tmp_path / "data"}
    experiment.run(CONFIG.zero_shot(), **places)
    image = default_data.load_or_draw("scenes-mini", tmp_path / "data").test.images[0]
    image.write_bytes(image.read_bytes() + b" ")
    with pytest.raises(ConfigError, match="made with other images under the same name"):
        experiment.run(CONFIG.zero_shot(), **places)


def test_a_run_is_read_by_its_folder_and_never_trained(world, finished, tmp_path):
    assert open_run(finished.folder).metrics == finished.metrics
    renamed = shutil.copytree(finished.folder, tmp_path / "best")
    with pytest.raises(ConfigError, match=f"keeps its configuration under {CONFIG.hash}"):
        open_run(renamed)
    (renamed / "metrics.json").write_text('{"config": {"lr": 1.0}}')
    with pytest.raises(ConfigError, match=r"metrics\.json is of another version"):
        open_run(renamed)


def test_a_part_of_the_training_images_is_drawn_at_random_and_nested(world):
    train = default_data.load_or_draw("scenes-mini", world["data_root"]).train
    small, large = (experiment.draw_images(train, count, seed=2).images for count in (6, 12))
    assert set(small) < set(large) < set(train.images)
    assert list(large) == [image for image in train.images if image in large]
    assert large != train.images[:12] and large != experiment.draw_images(train, 12, seed=3).images
    assert experiment.draw_images(train, 0, seed=2) is train


def test_images_without_captions_are_not_drawn(world):
    train = default_data.load_or_draw("scenes-mini", world["data_root"]).train
    first = train.image_of < 5
    bare = dataclasses.replace(
        train, captions=tuple(itertools.compress(train.captions, first)), image_of=train.image_of[first]
    )
    assert experiment.draw_images(bare, 5, seed=2).images == train.images[:5]
    with pytest.raises(ConfigError, match="only 5 images are left"):
        experiment.draw_images(bare, 6, seed=2)


def test_blank_captions_join_the_training_part_alone(world):
    released = default_data.load_or_draw("scenes-mini", world["data_root"])
    blank_of = tuple(range(0, len(released.train.images), 2))
    dataset = dataclasses.replace(released, train=dataclasses.replace(released.train, blank_of=blank_of))
    with_them, without = (
        experiment.splits_of(CONFIG.replace(blank_captions=asked), dataset) for asked in (True, False)
    )
    assert with_them["validation"].captions == without["validation"].captions
    assert with_them["train"].images == without["train"].images
    blank = with_them["train"].captions.count("")
    assert 0 < blank < len(blank_of) and len(with_them["train"].captions) == len(without["train"].captions) + blank
    assert {with_them["train"].images[i] for i in with_them["train"].image_of[-blank:]} == {
        released.train.images[i] for i in blank_of
    } - set(without["validation"].images)


def test_training_takes_two_images_with_captions(world, tmp_path, monkeypatch):
    splits = experiment.splits_of(CONFIG, default_data.load_or_draw("scenes-mini", world["data_root"]))
    one = {**splits, "train": splits["train"].subset([0])}
    monkeypatch.setattr(experiment, "splits_of", lambda *_: one)
    with pytest.raises(ConfigError, match="1 images with captions are left for training"):
        experiment.run(CONFIG, **elsewhere(world, tmp_path))


def test_a_queue_is_as_wide_as_what_the_method_embeds(world, tmp_path):
    probe = CONFIG.replace(method="linear_probe", method_options={}, queue_size=16, epochs=1)
    assert "queue" in experiment.run(probe, **elsewhere(world, tmp_path)).metrics["history"][1]["loss"]


def test_scene_labels_need_scenes(world, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment.scene_labels, "scene_classes", lambda _: [])
    with pytest.raises(ConfigError, match="no training image has a scene label"):
        experiment.run(CONFIG.replace(scene_probability=0.5), **elsewhere(world, tmp_path))


@pytest.mark.parametrize(
    ("changes", "device", "message"),
    [
        ({"backbone": "ViT-B-32"}, "auto", "its weights would be random; set pretrained"),
        ({"method": "msr"}, "auto", "unknown method"),
        ({"method_options": {"rank": 3}}, "auto", "unknown rank"),
        ({}, "tpu9", "device 'tpu9'"),
        ({}, "meta", "device 'meta': choose 'cpu'"),
        ({}, "cuda:99", "device 'cuda:99': no CUDA devices are visible"),
        ({"dataset": "nowhere"}, "auto", "nowhere"),
    ],
)
def test_bad_configurations_stop_before_anything_is_loaded(world, monkeypatch, changes, device, message):
    monkeypatch.setattr(experiment.backbone, "load", lambda *_: pytest.fail("loaded a backbone"))
    with pytest.raises((ConfigError, DataError), match=message):
        experiment.run(CONFIG.replace(**changes), device=device, **world)


def test_a_loss_that_is_not_finite_stops_the_run(world, tmp_path, monkeypatch):
    nan = {"total": torch.tensor(float("nan"), requires_grad=True)}
    monkeypatch.setattr(epoch, "batch_loss", lambda *_: nan)
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 1: lower learning_rate"):
        experiment.run(CONFIG, **elsewhere(world, tmp_path))


def test_runs_are_collected_with_the_reasons_of_those_that_failed(world, finished, tmp_path):
    there = elsewhere(world, tmp_path)
    shutil.copytree(finished.folder, tmp_path / finished.folder.name)
    killed = CONFIG.replace(seed=8)
    (tmp_path / killed.hash).mkdir()
    (tmp_path / killed.hash / "config.json").write_text(json.dumps({"title": "MRS", "config": vars(killed)}))
    diverging = CONFIG.replace(seed=9, learning_rate=1e30, epochs=1)
    runs, failed = collect([CONFIG.hash, killed.hash, diverging, "0123456789abcdef"], **there)
    assert [run.config for run in runs] == [CONFIG]
    assert [failure.config for failure in failed] == [killed, diverging, None]
    assert "killed" in failed[0].reason
    assert "FloatingPointError" in failed[1].reason and "loss" in failed[1].reason
    assert failed[2].reason == "not run yet"
    with pytest.raises(ConfigError, match=f"no finished run .*{killed.hash}: stopped before its end"):
        collect([killed.hash], **there)


def test_a_run_without_a_folder_fails_with_its_own_reason(world, tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"no finished run .*(NotADirectoryError|FileExistsError)"):
        collect([CONFIG], **world | {"runs_root": tmp_path / "runs"})


def test_a_reason_to_fail_is_forgotten_when_a_run_is_tried_again(world, tmp_path, monkeypatch):
    there = elsewhere(world, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "score_test_split", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            experiment.run(CONFIG, **there)
    record = tmp_path / CONFIG.hash / "failed.json"
    reason = "ZeroDivisionError: division by zero"
    assert json.loads(record.read_text()) == {"config": vars(CONFIG), "title": "MRS-Adapter", "reason": reason}
    experiment.run(CONFIG, **there)
    assert not record.exists()
