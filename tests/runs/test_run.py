"""A run: trained once, resumed to the bit, tested once, and never mistaken for another."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from small_worlds import SIZES, check_same, elsewhere, killed_in_epoch, small_run, small_world

from petl_core import retrieval, scene_tests, training
from petl_core.data import DataError, default_data
from petl_core.errors import ConfigError
from petl_core.files import write_json
from petl_core.inputs import embed, prepare
from petl_core.runs import run as run_module
from petl_core.runs.archive import open_run
from petl_core.runs.run import load_model, run, splits_of


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch)


@pytest.fixture(scope="module")
def config(world):
    return small_run(world)


@pytest.fixture(scope="module")
def finished(world, config):
    return run(config, **world)


@pytest.fixture(scope="module")
def dataset(world):
    return default_data.load_or_draw("scenes-mini", world["data_root"])


@pytest.fixture
def copy(world, tmp_path):
    """The same data and backbone in a place where they may be changed."""
    shutil.copytree(world["data_root"], tmp_path / "data")
    return {**world, "data_root": tmp_path / "data", "runs_root": tmp_path / "runs"}


def folder_of(config, place):
    return place["runs_root"] / config.hash


def other_caption(place):
    captions = place["data_root"] / "scenes-mini_precomp" / "train_caps.txt"
    captions.write_text("\n".join(["another caption", *captions.read_text().splitlines()[1:]]) + "\n")


# What a run leaves.


def test_a_run_leaves_a_complete_account(world, config, finished):
    folder, metrics = folder_of(config, world), finished.metrics
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert json.loads((folder / "config.json").read_text()) == {"config": metrics["config"]} == {"config": dict(config)}
    assert {path.name for path in folder.iterdir() if path.suffix} == {
        "config.json", "adapter.safetensors", "hits.npz", "metrics.json",
    }  # fmt: skip
    history = metrics["history"]
    assert [entry["epoch"] for entry in history] == [0, 1, 2, 3]
    assert all(entry.keys() == {"epoch", "loss", "seconds"} for entry in history[1:]), "no validation but the last"
    assert (metrics["chosen_epoch"], metrics["selection_audit"]) == (3, [])
    assert 0 <= metrics["validation_mr"] <= 100
    assert metrics["images"] == {"train": 19, "validation": 5, "test": 10}
    assert metrics["parameters"]["trained"] > 0 and metrics["peak_memory_mib"] > 0
    assert {"revision", "python", "torch", "open_clip_torch", "threads"} <= metrics["environment"].keys()
    assert finished.title == "MRS-Adapter"
    # Scores, hits and intervals tell of the same test.
    assert finished.hits.shape == (10, 7)
    found = retrieval.metrics(finished.hits)
    assert {name: metrics["scores"]["strict"][name] for name in found} == pytest.approx(found)
    for rule in ("strict", "equivalent"):
        assert all(
            low <= metrics["scores"][rule][name] <= high for name, (low, high) in metrics["intervals"][rule].items()
        )
    assert finished.scene_hits.keys() == metrics["scene_scores"].keys() == set(scene_tests.MODES)
    for mode, hits in finished.scene_hits.items():
        assert retrieval.metrics(hits)["mr"] == pytest.approx(metrics["scene_scores"][mode]["strict"]["mr"])
    assert metrics["scene_test"].keys() == {"classes", "predictor", "validation_accuracy", "accuracy", "weights"}


def test_metrics_are_written_last_and_a_run_killed_before_them_is_not_finished(
    world, config, finished, tmp_path, monkeypatch
):
    place = elsewhere(world, tmp_path)

    def killed(path, content):
        if path.name == "metrics.json":
            assert (path.parent / "hits.npz").exists() and (path.parent / "checkpoint.pt").exists()
            raise KeyboardInterrupt
        return write_json(path, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run_module, "write_json", killed)
        run(config, **place)
    with pytest.raises(ConfigError, match=r"holds no metrics\.json: not a finished run"):
        open_run(folder_of(config, place))
    monkeypatch.setattr(training, "train_epoch", lambda *_: pytest.fail("trained again"))
    check_same(run(config, **place), finished)


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_space(world, config, finished, tmp_path, monkeypatch):
    place = elsewhere(world, tmp_path)

    def full(content, path):
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0")

    with monkeypatch.context() as patch:
        patch.setattr(training.torch, "save", full)
        with pytest.raises(OSError, match=r"cannot write .*checkpoint\.pt: .*free space there"):
            run(config, **place)
    assert not list(folder_of(config, place).glob(".checkpoint*"))
    check_same(run(config, **place), finished)


def test_the_saved_adapter_gives_the_tested_embeddings(world, config, finished, dataset):
    model = load_model(finished)
    assert not model.training
    images, texts = embed(model, prepare(dataset.test, model, world["runs_root"] / "cache").part(dataset.test))
    scores = retrieval.similarity(images, texts)
    assert np.array_equal(retrieval.per_image_hits(scores, dataset.test.image_of), finished.hits)
    with pytest.raises(ConfigError, match=f"the adapter of run {config.hash} is not in the archive; train it again"):
        load_model(dataclasses.replace(finished, adapter=None))


def test_zero_shot_trains_nothing(world, config):
    zero_shot = run(config.zero_shot(), **world)
    assert zero_shot.metrics["parameters"]["trained"] == 0
    assert zero_shot.metrics["history"] == [{"epoch": 0}]
    assert not load_model(zero_shot).trainable()


# The same configuration.


def test_it_is_never_trained_twice(world, config, finished, monkeypatch):
    for name in ("fit", "prepare", "embed"):
        monkeypatch.setattr(run_module, name, lambda *_: pytest.fail("done again"))
    assert run(config, **world).metrics == finished.metrics


def test_it_gives_bit_identical_results(world, config, finished, tmp_path):
    check_same(run(config, **elsewhere(world, tmp_path)), finished)


QUEUE = {"queue_size": 16, "queue_keys": "ema", "scene_weight": 0.5, "scene_balance": True, "scene_probability": 0.5}


@pytest.mark.parametrize(
    ("fields", "epoch"),
    [
        ({}, 1),
        ({}, 2),
        ({}, 3),
        (QUEUE, 3),
        ({"select": "validation"}, 2),
        ({"audit": True, "learn_temperature": True}, 3),
    ],
)
def test_a_killed_run_resumes_to_the_same_result(world, config, tmp_path, monkeypatch, fields, epoch):
    config = config.replace(**fields)
    place = elsewhere(world, tmp_path)
    with killed_in_epoch(epoch):
        run(config, **place)
    assert not (folder_of(config, place) / "metrics.json").exists()
    train_epoch, trained = training.train_epoch, []
    with monkeypatch.context() as patch:
        patch.setattr(training, "train_epoch", lambda *a: trained.append(a[2]) or train_epoch(*a))
        resumed = run(config, **place)
    assert trained == list(range(epoch, 4))
    check_same(resumed, run(config, **world))


# What is chosen, and when the test split is read.


def test_the_test_split_is_read_once_after_everything_is_chosen(world, config, tmp_path, monkeypatch):
    events = []
    train_epoch, choose = training.train_epoch, scene_tests.choose

    def read(split, *rest, **named):
        events.append("test" if len(split.images) == SIZES["test"] else "train")
        return prepare(split, *rest, **named)

    monkeypatch.setattr(run_module, "prepare", read)
    monkeypatch.setattr(training, "train_epoch", lambda *a: events.append("epoch") or train_epoch(*a))
    monkeypatch.setattr(scene_tests, "choose", lambda *a: events.append("choice") or choose(*a))
    run(config.replace(select="validation", audit=True), **elsewhere(world, tmp_path))
    assert events == ["train", "epoch", "epoch", "epoch", "choice", "test"]


def test_the_best_epoch_on_validation_is_restored(world, config, tmp_path, monkeypatch):
    scores, mean_recall = iter([1.0, 3.0, 9.0, 2.0]), training.mean_recall
    monkeypatch.setattr(training, "mean_recall", lambda *_: next(scores))  # of the epochs; the final model's is its own
    chosen = run(config.replace(select="validation"), **elsewhere(world, tmp_path))
    assert [entry["validation_mr"] for entry in chosen.metrics["history"]] == [1.0, 3.0, 9.0, 2.0]
    assert chosen.metrics["chosen_epoch"] == 2
    assert mean_recall is run_module.mean_recall
    assert not (folder_of(chosen.config, elsewhere(world, tmp_path)) / "epochs").exists()
    # Its weights are those of the second epoch of the same training.
    with monkeypatch.context() as patch:
        patch.setattr(training, "mean_recall", mean_recall)
        audited = run(config.replace(audit=True), **elsewhere(world, tmp_path))
    assert chosen.metrics["scores"]["strict"]["mr"] == pytest.approx(audited.metrics["selection_audit"][2])


def test_an_audit_gives_the_test_mr_of_every_epoch_and_decides_nothing(world, config, finished):
    audited = run(config.replace(audit=True), **world)
    audit = audited.metrics["selection_audit"]
    assert len(audit) == 4 and len(set(audit)) > 1
    assert audit[-1] == pytest.approx(audited.metrics["scores"]["strict"]["mr"])
    for name in ("scores", "scene_scores", "scene_test", "validation_mr", "chosen_epoch"):
        assert audited.metrics[name] == finished.metrics[name], name
    losses = [[entry.get("loss") for entry in one.metrics["history"]] for one in (audited, finished)]
    assert losses[0] == losses[1], "measuring between epochs changes what is trained"
    assert audited.metrics["history"][3]["validation_mr"] == audited.metrics["validation_mr"]


# What else may lie under a name.


@pytest.mark.parametrize("what", ["data", "images", "backbone"])
def test_other_inputs_under_the_same_name_are_noticed(world, copy, tmp_path, what):
    backbone = shutil.copytree(world["data_root"].parent / "clip", tmp_path / "clip")
    config = small_run(copy).replace(backbone=str(backbone)).zero_shot()
    run(config, **copy)
    if what == "data":
        other_caption(copy)
    elif what == "images":
        image = default_data.load_or_draw("scenes-mini", copy["data_root"]).test.images[0]
        image.write_bytes(image.read_bytes() + b" ")
    else:
        settings = json.loads((backbone / "open_clip_config.json").read_text())
        settings["model_cfg"]["quick_gelu"] = True  # the same weights, and another model
        (backbone / "open_clip_config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=f"made with other {what} under the same name .*delete its folder"):
        run(config, **copy)


def test_a_run_begun_with_other_captions_is_not_resumed(config, copy):
    with killed_in_epoch(2):
        run(config, **copy)
    other_caption(copy)
    with pytest.raises(ConfigError, match=r"checkpoint\.pt cannot be resumed \(it was started with other data\)"):
        run(config, **copy)


def test_a_broken_checkpoint_is_named(world, config, tmp_path):
    place = elsewhere(world, tmp_path)
    folder_of(config, place).mkdir(parents=True)
    (folder_of(config, place) / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(ConfigError, match=r"checkpoint\.pt cannot be resumed .*delete it"):
        run(config, **place)


# Which images and captions.


def test_a_part_of_the_training_images_is_drawn_at_random_and_nested(config, dataset):
    whole, small, large = (splits_of(config.replace(train_images=n), dataset) for n in (0, 6, 12))
    assert set(small["train"].images) < set(large["train"].images) < set(whole["train"].images)
    assert list(large["train"].images) == [image for image in whole["train"].images if image in large["train"].images]
    assert large["train"].images != whole["train"].images[:12]
    assert small["validation"] is not None and small["validation"].images == whole["validation"].images
    assert splits_of(config.replace(train_images=12, seed=3), dataset)["train"].images != large["train"].images


def test_images_without_captions_are_not_drawn(config, dataset):
    first = dataset.train.image_of < 8
    captions = tuple(itertools.compress(dataset.train.captions, first))
    few = dataclasses.replace(dataset.train, captions=captions, image_of=dataset.train.image_of[first])
    bare = dataclasses.replace(dataset, train=few)
    left = len(np.unique(splits_of(config, bare)["train"].image_of))
    drawn = splits_of(config.replace(train_images=left), bare)["train"]
    assert set(drawn.image_of) == set(range(left)) and set(drawn.images) <= set(dataset.train.images[:8])
    with pytest.raises(ConfigError, match=f"train_images = {left + 1}, but only {left} are left"):
        splits_of(config.replace(train_images=left + 1), bare)


def test_blank_captions_join_the_training_part_alone(config, dataset):
    blank_of = tuple(range(0, len(dataset.train.images), 2))
    blank = dataclasses.replace(dataset, train=dataclasses.replace(dataset.train, blank_of=blank_of))
    with_them, without = (splits_of(config.replace(blank_captions=asked), blank) for asked in (True, False))
    assert with_them["validation"].captions == without["validation"].captions
    train = with_them["train"]
    count = train.captions.count("")
    assert 0 < count < len(blank_of) and len(train.captions) == len(without["train"].captions) + count
    of_train = {dataset.train.images[i] for i in blank_of} - set(without["validation"].images)
    assert {train.images[i] for i in train.image_of[-count:]} == of_train


def test_a_run_on_blank_captions_trains(config, copy):
    captions = copy["data_root"] / "scenes-mini_precomp" / "train_caps.txt"
    lines = captions.read_text().splitlines()
    captions.write_text("\n".join([" " if i % 5 == 1 else line for i, line in enumerate(lines)]) + "\n")
    trained = run(config.replace(dataset=str(captions.parent), blank_captions=True, epochs=1), **copy)
    assert trained.metrics["captions"]["train"] == 5 * 19


# What is refused.


def test_training_takes_two_images_with_captions(world, config, tmp_path, monkeypatch):
    one = lambda config, dataset: {
        **splits_of(config, dataset),
        "train": splits_of(config, dataset)["train"].subset([0]),
    }  # noqa: E731
    monkeypatch.setattr(run_module, "splits_of", one)
    with pytest.raises(ConfigError, match="1 images with captions are left for training"):
        run(config, **elsewhere(world, tmp_path))


def test_data_without_scenes_have_no_such_tests_and_train_with_none(world, config, copy):
    folder = copy["data_root"] / "views_precomp"
    shutil.copytree(world["data_root"] / "scenes-mini_precomp", folder)
    (folder / "scenes-mini_images").rename(folder / "images")
    (folder / "scene_classes.txt").unlink()
    unlabelled = config.replace(dataset="views", epochs=1)
    plain = run(unlabelled, **copy)
    assert (plain.metrics["scene_scores"], plain.metrics["scene_test"], plain.scene_hits) == ({}, {}, {})
    for use in ({"scene_probability": 0.5}, {"scene_weight": 0.5}, {"scene_balance": True}):
        with pytest.raises(ConfigError, match=f"{next(iter(use))}: no training image has a scene label"):
            run(unlabelled.replace(**use), **copy)


@pytest.mark.parametrize(
    ("changes", "device", "message"),
    [
        ({"backbone": "ViT-B-32"}, "auto", "its weights would be random; set pretrained"),
        ({"method": "msr"}, "auto", "unknown method"),
        ({"method_options": {"rank": 3}}, "auto", "unknown rank"),
        ({"cache_features": True}, "auto", "cache_features: mrs works inside the towers.*linear_probe.*focus"),
        ({"method": "full", "cache_features": True}, "auto", "cache_features: full works inside"),
        ({}, "tpu9", "device 'tpu9'"),
        ({}, "meta", "device 'meta': choose 'cpu'"),
        ({}, "cuda:99", "device 'cuda:99': .* CUDA devices are visible"),
        ({"dataset": "nowhere"}, "auto", "nowhere"),
    ],
)
def test_bad_configurations_stop_before_anything_is_loaded(
    world, config, tmp_path, monkeypatch, changes, device, message
):
    monkeypatch.setattr(run_module.backbone, "load", lambda *_, **__: pytest.fail("loaded a backbone"))
    with pytest.raises((ConfigError, DataError), match=message):
        run(config.replace(**changes), device=device, **elsewhere(world, tmp_path))


def test_a_loss_that_is_not_finite_stops_the_run_and_is_forgotten_when_it_is_tried_again(
    world, config, tmp_path, monkeypatch
):
    place = elsewhere(world, tmp_path)
    nan = {"total": torch.tensor(float("nan"), requires_grad=True)}
    with monkeypatch.context() as patch:
        patch.setattr(training, "batch_loss", lambda *_: nan)
        with pytest.raises(FloatingPointError, match=r"epoch 1, step 1: lower learning_rate"):
            run(config, **place)
    record = folder_of(config, place) / "failed.json"
    failed = json.loads(record.read_text())
    assert failed["config"] == dict(config) and failed["reason"].startswith("FloatingPointError: loss is nan")
    run(config, **place)
    assert not record.exists()
