"""The queue in a step of training: whose keys it holds, and how much it weighs."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from petl_core.training.encoding import embed_images, embed_texts
from small_steps import PAIRS, batch_loss, prepared_pairs, started

from petl_core.config import RunConfig
from petl_core.training import epoch

EMA = {"queue_size": PAIRS, "queue_keys": "ema", "queue_momentum": 0.5}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_pairs(tmp_path_factory.mktemp("data"))


def moved_on(state):
    """The model is elsewhere than its slow copy, which follows it half of the way."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in state.model.trainable().values():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    state.slow_copy.update()
    return state


@pytest.mark.parametrize("method", ["mrs", "lora", "full", "vpt", "focus"])
def test_slow_keys_are_what_the_slow_weights_embed_without_dropout(prepared, method):
    state = moved_on(started(method=method, **EMA))
    slow = copy.deepcopy(state.model)
    slow.load_state_dict(state.slow_copy.weights, strict=False)
    before = {name: weight.detach().clone() for name, weight in state.model.trainable().items()}
    batch_loss(state, prepared)

    images, texts = (embed(slow, prepared, rows) for embed, rows in (
        (embed_images, state.queue.image_ids), (embed_texts, state.queue.caption_ids)
    ))  # fmt: skip
    torch.testing.assert_close(state.queue.images, images, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state.queue.texts, texts, atol=1e-5, rtol=1e-4)
    assert (embed_images(state.model, prepared, state.queue.image_ids) - images).abs().max() > 1e-3
    assert all(torch.equal(weight, before[name]) for name, weight in state.model.trainable().items())


def test_slow_keys_cost_no_random_number_and_leave_training_mode_on(prepared):
    after = []
    for fields in ({"queue_size": PAIRS}, EMA):
        state = started(**fields)
        batch_loss(state, prepared)
        after.append(torch.rand(1))
        assert state.model.training
    assert torch.equal(*after)


def test_own_keys_are_the_embeddings_that_were_trained_on(prepared):
    state = started(queue_size=PAIRS, w_cross=1.0)
    assert state.slow_copy is None
    batch_loss(state, prepared)
    trained_on = state.queue.images.clone()
    batch_loss(state, prepared)  # the same dropout again
    assert torch.equal(state.queue.images, trained_on)
    fresh = embed_images(state.model, prepared, state.queue.image_ids)
    assert (fresh - trained_on).abs().max() > 1e-4, "they carry dropout"


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 120), st.floats(0, 3))
def test_the_weight_rises_from_zero_to_what_was_asked_for(warmup, ramp, step, weight):
    config = RunConfig(queue_size=8, queue_warmup=warmup, queue_ramp=ramp, queue_weight=weight)
    now, later = (epoch.queue_weight(config, s) for s in (step, step + 1))
    if step < warmup:
        assert now == 0
    elif step >= warmup + ramp:
        assert now == weight
    else:
        assert later - now == pytest.approx(weight / ramp)
    assert 0 <= now <= later <= weight


def test_the_ramp_weighs_the_queue_term_of_each_step(prepared):
    state = started(queue_size=PAIRS, queue_warmup=1, queue_ramp=4, queue_weight=2.0)
    weights = []
    for _ in range(7):
        terms = batch_loss(state, prepared, count=5)
        weights.append((terms["total"] - terms["cross"]).item() / max(1e-9, terms["queue"].item()))
    assert weights == pytest.approx([0, 0, 0.5, 1, 1.5, 2, 2], abs=1e-4)


@pytest.mark.parametrize(
    ("directions", "trained"), [("both", ["image", "text"]), ("image", ["image"]), ("text", ["text"])]
)
def test_the_queue_trains_the_anchors_of_its_directions_alone(prepared, directions, trained):
    state = started(method="linear_probe", queue_size=PAIRS, queue_directions=directions)
    batch_loss(state, prepared)
    state.queue.image_ids += 1000  # so that nothing is masked
    state.queue.caption_ids += 1000
    batch_loss(state, prepared)["queue"].backward()
    heads = {"image": state.model.method.image, "text": state.model.method.text}
    assert [side for side, head in heads.items() if head.weight.grad is not None and head.weight.grad.any()] == trained
