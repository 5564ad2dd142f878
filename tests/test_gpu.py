"""What a GPU computes is what the CPU computes, and a run there repeats itself. Skipped, saying so, without a GPU."""

import pytest
import torch
from small_clips import captions, embed, images_for, moved, shaped_backbone
from small_steps import batch_loss, prepared_pairs, started
from small_worlds import check_same, elsewhere, killed_in_epoch, small_run, small_world

from petl_core.adapters import METHODS, attach
from petl_core.runs import batch
from petl_core.runs.archive import Run
from petl_core.runs.run import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU to test on")


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
    "fields",
    [
        {"learn_temperature": True},
        {"method": "focus", "cache_features": True, "queue_size": 16, "queue_keys": "ema"},
        {"w_image": 1.0, "w_text": 1.0, "contrast": "triplet", "gradient_cache": 4},
    ],
)
def test_a_run_repeats_itself_and_resumes_when_killed(world, tmp_path, fields):
    config = small_run(world, **fields)
    once = run(config, **elsewhere(world, tmp_path / "once"))
    place = elsewhere(world, tmp_path / "again")
    with killed_in_epoch(2):
        run(config, **place)
    check_same(run(config, **place), once)
    assert once.metrics["environment"]["device"] == torch.cuda.get_device_name()
    assert once.metrics["peak_memory_mib"] > 0


def test_a_run_on_a_gpu_is_near_one_on_the_cpu(world, tmp_path):
    config = small_run(world, method="adapter")  # dropout draws other numbers there
    runs = [run(config, **elsewhere({**world, "device": on}, tmp_path / on)) for on in ("cpu", "cuda")]
    losses = [[entry["loss"]["total"] for entry in one.metrics["history"][1:]] for one in runs]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_runs_side_by_side_share_a_gpu(world):
    configs = [small_run(world, epochs=1, seed=seed) for seed in (2, 3)]
    outcomes = list(batch.train_all(configs, world["data_root"], world["runs_root"], "cuda", workers=2))
    assert all(isinstance(outcome, Run) for outcome in outcomes), outcomes
