"""What a GPU computes is what the CPU computes, and a run there repeats itself. Skipped, saying so, without a GPU."""

import json

import pytest
import torch
from petl_core.evaluation.efficiency import Subject, measure_training_steps
from petl_core.runs.folder import Run
from small_clips import captions, embed, images_for, moved, shaped_backbone
from small_steps import batch_loss, prepared_pairs, started
from small_worlds import elsewhere, killed_in_epoch, results, small_world

from petl_core.adapters import METHODS, attach
from petl_core.config import RunConfig
from petl_core.runs import batch, experiment

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU to test on")

CONFIG = RunConfig(dataset="scenes-mini", backbone="mini", epochs=3, batch_size=8, method_options={"share": 16})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield {**small_world(tmp_path_factory.mktemp("world"), patch), "device": "cuda"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_embeds_alike_on_both(method):
    backbone = shaped_backbone()
    model = moved(attach(backbone, method))
    inputs = images_for(backbone), captions(5, 9, 14, 30)
    on_cpu = embed(model, *inputs)
    on_gpu = embed(model.cuda(), *(tensor.cuda() for tensor in inputs))
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fields", [{}, {"w_image": 1.0, "w_text": 1.0, "contrast": "triplet"}, {"queue_size": 8}])
def test_a_step_has_the_same_loss_and_gradients_on_both(tmp_path, fields):
    prepared = prepared_pairs(tmp_path)
    found = {}
    for device in ("cpu", "cuda"):
        state = started(device, method="adapter", view_dropout=1e-9, **fields)
        terms = batch_loss(state, prepared)
        terms["total"].backward()
        gradients = {name: weight.grad.cpu() for name, weight in state.model.trainable().items()}
        found[device] = {name: term.item() for name, term in terms.items()}, gradients
    assert found["cuda"][0] == pytest.approx(found["cpu"][0], rel=1e-4, abs=1e-5)
    largest = max(gradient.abs().max() for gradient in found["cpu"][1].values())
    for name, gradient in found["cpu"][1].items():
        torch.testing.assert_close(found["cuda"][1][name], gradient, rtol=1e-3, atol=1e-4 * float(largest), msg=name)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": "focus", "method_options": {}, "cache_features": True, "queue_size": 16, "queue_keys": "ema"},
        {"w_image": 1.0, "w_text": 1.0, "contrast": "triplet", "gradient_cache": 4},
        {"precision": "bf16", "learn_temperature": True},
    ],
)
def test_a_run_repeats_itself(world, tmp_path, changes):
    config = CONFIG.replace(**changes)
    once, again = (experiment.run(config, **elsewhere(world, tmp_path / name)) for name in ("once", "again"))
    assert results(again) == results(once)
    metrics = json.loads((once.folder / "metrics.json").read_text())
    assert metrics["environment"]["device"] == torch.cuda.get_device_name()
    assert metrics["peak_memory_mib"] > 0


def test_a_run_on_a_gpu_is_near_one_on_the_cpu(world, tmp_path):
    config = CONFIG.replace(method="adapter", method_options={})  # dropout draws other numbers there
    runs = [experiment.run(config, **elsewhere({**world, "device": on}, tmp_path / on)) for on in ("cpu", "cuda")]
    losses = [[entry["loss"]["total"] for entry in run.metrics["history"][1:]] for run in runs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_killed_run_resumes_to_the_same_result(world, tmp_path):
    uninterrupted = experiment.run(CONFIG, **elsewhere(world, tmp_path / "whole"))
    places = elsewhere(world, tmp_path / "parts")
    with killed_in_epoch(2):
        experiment.run(CONFIG, **places)
    assert results(experiment.run(CONFIG, **places)) == results(uninterrupted)


def test_runs_side_by_side_share_a_gpu(tmp_path):
    configs = [RunConfig(dataset="scenes-tiny", epochs=1, backbone="embedded-tiny", seed=seed) for seed in (2, 3)]
    location = batch.RunLocation(tmp_path / "data", tmp_path / "runs", "cuda")
    outcomes = list(batch.train_all(configs, location, workers=2))
    assert all(isinstance(outcome, Run) for outcome in outcomes), [vars(outcome) for outcome in outcomes]


def test_memory_is_measured_on_the_device():
    subjects = [Subject("focus", "focus"), Subject("mrs", "mrs"), Subject("full", "full")]
    frame = measure_training_steps(subjects, batch_size=8, rounds=1, device="cuda").set_index("subject")
    assert frame["peak_device_mib"].is_monotonic_increasing and (frame["peak_device_mib"] > 0).all()
    assert (frame["peak_device_mib"] > frame["activation_mib"]).all()
