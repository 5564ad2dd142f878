"""GradCache gives the gradient of the whole batch, and keeps the graph of one chunk."""

import pytest
import torch
from small_steps import PAIRS, batch_loss, prepared_pairs, started
from torch.multiprocessing.reductions import StorageWeakRef

from petl_core.adapters.towers import blocks_of, towers
from petl_core.measuring import activation_bytes
from petl_core.training import epoch

HMMC = {"w_image": 1.0, "w_text": 0.5}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_pairs(tmp_path_factory.mktemp("data"))


def step(state, prepared, count=PAIRS):
    """The loss terms of a batch, the gradients they leave, and the next random number."""
    terms = batch_loss(state, prepared, count)
    terms["total"].backward()
    after = torch.rand(1).item()
    gradients = {name: weight.grad for name, weight in state.model.trainable().items()}
    return {name: term.item() for name, term in terms.items()}, gradients, after


def with_whole_graph(chunks, device):
    """In the place of GradCache: the same chunks, so the same dropout, but one graph of them all."""
    return torch.cat([encode() for encode in chunks])


def check_equal(one, other):
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert one[1].keys() == other[1].keys()
    largest = max(gradient.abs().max() for gradient in other[1].values())
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, other[1][name], rtol=1e-4, atol=1e-6 * float(largest), msg=name)


@pytest.mark.parametrize(
    ("chunk", "fields"),
    [
        (1, HMMC),
        (5, {}),
        (5, {**HMMC, "contrast": "triplet", "mask_false_negatives": True}),
        (5, {"learn_temperature": True, "queue_size": 8}),
        (5, {**HMMC, "method": "full"}),
        (5, {**HMMC, "method": "focus"}),
        (PAIRS, HMMC),
    ],
)
def test_the_gradient_is_that_of_one_graph_of_all_chunks(prepared, monkeypatch, chunk, fields):
    cached = step(started(gradient_cache=chunk, **fields), prepared)
    monkeypatch.setattr(epoch, "embed_in_chunks", with_whole_graph)
    whole = step(started(gradient_cache=chunk, **fields), prepared)
    check_equal(cached, whole)
    assert cached[2] == whole[2], "random numbers go on elsewhere"
    assert any(gradient.any() for gradient in cached[1].values())


@pytest.mark.parametrize("contrast", ["infonce", "triplet"])
def test_without_dropout_the_gradient_is_that_of_the_plain_batch(prepared, contrast):
    fields = {"contrast": contrast, "method": "adapter", "queue_size": 8, "queue_keys": "ema"}
    cached, plain = (step(started(gradient_cache=chunk, **fields), prepared) for chunk in (5, 0))
    check_equal(cached, plain)


def test_one_chunk_of_the_whole_batch_is_the_plain_batch_with_its_dropout(prepared):
    cached, plain = (step(started(gradient_cache=chunk, **HMMC), prepared) for chunk in (PAIRS, 0))
    check_equal(cached, plain)
    assert cached[2] == plain[2]


def peak_of_activations(prepared, count, **fields):
    """The most bytes of block outputs of the towers that are in memory at once, forward and back."""
    alive, most = {}, 0

    def watch(_, __, output):
        nonlocal alive, most
        storage = output.untyped_storage()
        alive[StorageWeakRef(storage)] = storage.nbytes()
        alive = {reference: size for reference, size in alive.items() if not reference.expired()}
        most = max(most, sum(alive.values()))

    state = started(**HMMC, **fields)
    for tower in towers(state.model.clip).values():
        for block in blocks_of(tower):
            block.register_forward_hook(watch)
    step(state, prepared, count)
    return most


def test_no_more_is_in_memory_than_for_a_batch_of_one_chunk(prepared, monkeypatch):
    chunk, plain = peak_of_activations(prepared, 2), peak_of_activations(prepared, PAIRS)
    cached = peak_of_activations(prepared, PAIRS, gradient_cache=2)
    assert 0 < cached < chunk < plain / 3
    monkeypatch.setattr(epoch, "embed_in_chunks", with_whole_graph)
    assert peak_of_activations(prepared, PAIRS, gradient_cache=2) > plain / 2, "one graph would pass for many"


def test_the_loss_keeps_embeddings_and_no_activations(prepared):
    state = started(**HMMC, gradient_cache=2)
    saved = activation_bytes(lambda: batch_loss(state, prepared)["total"])
    embeddings = 4 * PAIRS * 32 * 4  # two views of images and texts, d = 32, four bytes
    assert saved < 2 * embeddings + 3 * 6 * PAIRS**2 * 4  # and what three contrasts keep of their similarities
