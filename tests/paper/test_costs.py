"""The cost of runs: bytes as caches have them, seconds as a run adds them up."""

import copy
import dataclasses

import drawn_scenes
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip_folders import write_folder
from petl_core.paper.costs import Amounts, Cost

from petl_core import adapters, backbone, data
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.paper import costs
from petl_core.training import inputs

CPU = torch.device("cpu")
COST = Cost(step=1.0, image=0.0, caption=0.0, trained=100, peak_mib=0.0, caches={"pixels": 10})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A backbone and a data set."""
    folder = tmp_path_factory.mktemp("world")
    drawn_scenes.write(folder, "rsicd", domain="aerial", train=24, test=10, size=32)
    dataset = data.load("rsicd", folder)
    frozen = backbone.load(str(write_folder(folder / "clip")))
    return frozen, Amounts.of(dataset, frozen)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 3}, {"learning_rate": 0.1}, {"temperature": 0.01}, {"epochs": 30, "patience": 3},
        {"pairs": "captions"}, {"method_options": {"scale": 1.0}},
    ],
)  # fmt: skip
def test_what_changes_no_cost_changes_no_kind(change):
    run = RunConfig(method="adaptformer")
    assert costs.kind_of(run) == costs.kind_of(run.replace(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "lora"}, {"batch_size": 16}, {"w_image": 1.0}, {"queue_size": 8}, {"scene_probability": 0.5},
        {"method_options": {"bottleneck": 8}}, {"precision": "bf16"},
    ],
)  # fmt: skip
def test_what_changes_the_cost_changes_the_kind(change):
    run = RunConfig(method="adaptformer")
    assert costs.kind_of(run) != costs.kind_of(run.replace(**change))
    assert costs.kind_of(run.zero_shot()).epochs == 0


@pytest.mark.parametrize("method", ["linear_probe", "lst", "focus"])
def test_caches_take_as_many_bytes_as_a_sample_predicts(world, method, tmp_path):
    frozen, amounts = world
    kind = costs.kind_of(RunConfig(method=method, cache_features=True, batch_size=4))
    predicted = costs.measure(kind, frozen, amounts, CPU).caches
    predicted |= costs.measure(kind.zero_shot(), frozen, amounts, CPU).caches

    model = adapters.attach(copy.deepcopy(frozen), method)
    pixels, taps = 0, 0
    for split in (amounts.dataset.train, amounts.dataset.test):
        whole = inputs.cached_taps(split, model, tmp_path)
        taps += whole.image_taps.nbytes + whole.text_taps.nbytes
        pixels += inputs.cached_pixels(split, frozen, tmp_path).pixels.nbytes
    assert predicted.pop("pixels") == pixels
    assert sum(predicted.values()) == taps


@pytest.mark.parametrize(
    "fields", [{"method": "full"}, {"w_image": 1.0, "w_text": 1.0, "queue_size": 8, "scene_probability": 0.5}]
)
def test_a_batch_of_any_kind_is_trained_and_leaves_the_backbone_alone(world, fields):
    frozen, amounts = world
    before = backbone.fingerprint(frozen.clip)
    cost = costs.measure(costs.kind_of(RunConfig(batch_size=8, **fields)), frozen, amounts, CPU)
    assert cost.step > 0 and cost.image > 0 and cost.caption > 0 and cost.peak_mib > 0
    assert cost.trained == adapters.attach(copy.deepcopy(frozen), fields.get("method", "mrs")).trainable_count()
    assert backbone.fingerprint(frozen.clip) == before


def test_missing_scene_labels_are_reported_before_training(world):
    frozen, amounts = world
    train = dataclasses.replace(amounts.dataset.train, scenes=(None,) * len(amounts.dataset.train.images))
    unlabelled = dataclasses.replace(amounts, dataset=dataclasses.replace(amounts.dataset, train=train))
    with pytest.raises(ConfigError, match="no training image has a scene label"):
        costs.measure(costs.kind_of(RunConfig(scene_probability=0.5)), frozen, unlabelled, CPU)


def test_seconds_of_a_run_are_its_steps_and_what_is_encoded_and_ranked(world):
    """24 training images, 5 of them held out, five captions each; 10 test images."""
    dataset = world[1].dataset
    run = RunConfig(batch_size=8, epochs=3)
    assert costs.run_seconds(run, COST, dataset, 0.0) == 3 * 3  # 19 images
    assert costs.run_seconds(run.replace(pairs="captions"), COST, dataset, 0.0) == 3 * 12  # 95 captions
    assert costs.run_seconds(run.replace(train_images=8), COST, dataset, 0.0) == 3
    encoding = dataclasses.replace(COST, step=0.0, image=1.0, caption=100.0)
    validation, test = 5 + 25 * 100, 10 + 50 * 100
    assert costs.run_seconds(run, encoding, dataset, 0.0) == 4 * (validation + test) + test
    seldom = run.replace(validation_interval=2)  # before training, after the 2nd epoch and after the 3rd
    assert costs.run_seconds(seldom, encoding, dataset, 0.0) == 3 * (validation + test) + test
    assert costs.run_seconds(run.zero_shot(), encoding, dataset, 0.0) == test
    ranking = dataclasses.replace(COST, step=0.0)
    assert costs.run_seconds(run, ranking, dataset, 1.0) == 4 * (5 * 25 + 10 * 50) + 10 * 50


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 20))
def test_caches_are_written_once_and_weights_by_every_run(runs, workers, epochs):
    asked = [(RunConfig(seed=seed, epochs=epochs), COST) for seed in range(runs)]
    assert costs.cache_bytes(asked) == {"pixels": 10}
    assert costs.weight_bytes(asked, workers) == 400 * runs + workers * 400 * (epochs + 1 + 6)
    at_the_end = [(config.replace(validation_interval=epochs), cost) for config, cost in asked]
    assert costs.weight_bytes(at_the_end, workers) == 400 * runs + workers * 400 * (2 + 6)
