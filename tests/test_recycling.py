"""The queue against its definition written as loops, its gradients, the slow copy, and drift."""

import io
import math
from collections import deque
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import normalize

from petl_core import losses
from petl_core.recycling import DRIFT_COLUMNS, Pairs, Queue, SlowCopy, drift

WIDTH = 4

CONTRASTS = [losses.infonce_to_queue, losses.triplet_to_queue]


def pairs_of(size, seed, ids=6):
    """A batch; few ids, so that they repeat."""
    generator = torch.Generator().manual_seed(seed)
    images, texts = (normalize(torch.randn(size, WIDTH, generator=generator), dim=-1) for _ in range(2))
    return Pairs(images, texts, *(torch.randint(ids, (size,), generator=generator) for _ in range(2)))


def oldest_first(queue):
    """The queue's entries in the form and order of the naive one."""
    start = queue.stored % queue.size if len(queue) == queue.size else 0
    columns = (queue.images, queue.texts, queue.image_ids, queue.caption_ids, queue.stored_at)
    return list(zip(*(column[: len(queue)].roll(-start, 0).tolist() for column in columns), strict=True))


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def with_gradients(batch):
    return replace(batch, images=batch.images.clone().requires_grad_(), texts=batch.texts.clone().requires_grad_())


def rows_of(batch):
    """Image, text, image id and caption id of each pair, as lists and numbers."""
    return list(zip(*(column.tolist() for column in vars(batch).values()), strict=True))


def filled(size, batches):
    queue, naive = Queue(size, WIDTH), deque(maxlen=size)
    for step, batch in enumerate(batches):
        queue.enqueue(batch)
        naive.extend((*row, step) for row in rows_of(batch))
    return queue, naive


def loss_by_loops(naive, batch, keys, contrast):
    """The definition: ``contrast`` is "infonce" and a temperature, or "triplet" and a margin."""
    name, parameter = contrast
    losses = []
    for modality in (0, 1):
        for anchor, key in zip(rows_of(batch), rows_of(keys), strict=True):
            positive = dot(anchor[modality], key[1 - modality])
            kept = [entry for entry in naive if entry[2] != anchor[2] and entry[3] != anchor[3]]
            negatives = [dot(anchor[modality], entry[1 - modality]) for entry in kept]
            if name == "triplet":
                losses.append(max([0.0, *(parameter + negative - positive for negative in negatives)]))
            else:
                exponentials = [math.exp(s / parameter) for s in (positive, *negatives)]
                losses.append(math.log(sum(exponentials)) - positive / parameter)
    return sum(losses) / (1 if name == "triplet" else len(losses))


sizes = st.integers(1, 12)
batch_sizes = st.lists(st.integers(1, 9), max_size=8)
seeds = st.integers(0, 1000)


@settings(deadline=None, max_examples=60)
@given(sizes, batch_sizes, seeds)
def test_the_queue_holds_the_last_pairs_in_order(size, batch_sizes, seed):
    queue, naive = filled(size, [pairs_of(n, seed + i) for i, n in enumerate(batch_sizes)])
    assert oldest_first(queue) == list(naive)
    assert len(queue) == len(naive)
    ages = sorted(queue.ages.tolist(), reverse=True)
    assert ages == [len(batch_sizes) - entry[4] for entry in naive]


@settings(deadline=None, max_examples=100)
@given(sizes, batch_sizes, seeds, st.floats(0.05, 1), st.booleans())
def test_losses_equal_their_definition_written_as_loops(size, batch_sizes, seed, parameter, triplet):
    batches = [pairs_of(n, seed + i) for i, n in enumerate(batch_sizes)]
    queue, naive = filled(size, batches)
    batch, slow = pairs_of(5, seed + 99), pairs_of(5, seed + 98)
    if triplet:
        name, contrast = "triplet", partial(losses.triplet_to_queue, margin=parameter)
    else:
        name, contrast = "infonce", partial(losses.infonce_to_queue, temperature=parameter)
    for keys in (batch, replace(batch, images=slow.images, texts=slow.texts)):
        expected = loss_by_loops(naive, batch, keys, (name, parameter)) if naive else 0
        assert queue.loss(batch, keys, contrast).item() == pytest.approx(expected, abs=1e-4)


@settings(deadline=None, max_examples=30)
@given(sizes, batch_sizes, seeds, st.integers(0, 8))
def test_a_saved_queue_goes_on_as_if_never_saved(size, batch_sizes, seed, cut):
    batches = [pairs_of(n, seed + i) for i, n in enumerate(batch_sizes)]
    whole, _ = filled(size, batches)
    first, _ = filled(size, batches[:cut])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Queue(size, WIDTH)
    second.load_state_dict(torch.load(file, weights_only=True))
    for batch in batches[cut:]:
        second.enqueue(batch)
    ours, theirs = second.state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    batch = pairs_of(3, seed + 99)
    assert torch.equal(second.loss(batch, batch), whole.loss(batch, batch))


def test_the_state_of_another_size_is_refused():
    with pytest.raises(RuntimeError, match="size mismatch"):
        Queue(4, WIDTH).load_state_dict(Queue(5, WIDTH).state_dict())


@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize("size", [0, 5])
def test_without_entries_the_loss_is_zero_with_a_graph(contrast, size):
    queue = Queue(size, WIDTH)
    batch = with_gradients(pairs_of(3, 0))
    if size == 0:
        queue.enqueue(batch)
    loss = queue.loss(batch, batch, contrast)
    loss.backward()
    assert len(queue) == 0
    assert loss.item() == 0
    assert not batch.images.grad.any()


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_where_every_entry_is_masked_loss_and_gradient_are_zero(contrast):
    batch = pairs_of(3, 0, ids=1)
    queue, _ = filled(5, [batch])
    anchors = with_gradients(batch)
    loss = queue.loss(anchors, anchors, contrast)
    loss.backward()
    assert loss.item() == 0
    assert not anchors.images.grad.any() and not anchors.texts.grad.any()


# Gradients: a softmax over one positive p and K negatives n_k at temperature 1, whose anchor gets
# sum_k q_k n_k - (1 - q_0) p, and nobody else gets anything.


def anchors_gradient(anchor, partner, negatives):
    q = torch.cat([(anchor @ partner)[None], negatives @ anchor]).softmax(0)
    return q[1:] @ negatives - (1 - q[0]) * partner


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(1, 6), st.integers(1, 8))
def test_with_own_keys_an_anchor_gets_its_own_gradient_and_its_partner_none(seed, count, entries):
    queue, _ = filled(entries, [pairs_of(entries, seed, ids=1000)])
    batch = with_gradients(replace(pairs_of(count, seed + 1), image_ids=torch.arange(count) - 50))
    batch = replace(batch, caption_ids=batch.image_ids)
    contrast = partial(losses.infonce_to_queue, temperature=1.0)
    queue.loss(batch, batch, contrast).backward()
    sides = ((batch.images, batch.texts, queue.texts), (batch.texts, batch.images, queue.images))
    for own, partners, negatives in sides:
        expected = [anchors_gradient(a, p, negatives) for a, p in zip(own.detach(), partners.detach(), strict=True)]
        torch.testing.assert_close(own.grad, torch.stack(expected) / (2 * count), atol=1e-6, rtol=1e-4)


@settings(deadline=None, max_examples=60)
@given(seeds, st.floats(0.05, 1))
def test_an_entry_equal_to_the_partner_balances_it(seed, temperature):
    """Attraction to the positive and repulsion from its copy in the queue cancel: no loss can distinguish them."""
    batch = replace(pairs_of(1, seed), image_ids=torch.tensor([7]), caption_ids=torch.tensor([7]))
    queue, _ = filled(1, [replace(batch, image_ids=torch.tensor([8]), caption_ids=torch.tensor([8]))])
    anchors = with_gradients(batch)
    loss = queue.loss(anchors, anchors, partial(losses.infonce_to_queue, temperature=temperature))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), abs=1e-5)
    assert anchors.images.grad.abs().max() < 1e-5 and anchors.texts.grad.abs().max() < 1e-5


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(1, 6))
def test_masked_entries_change_neither_loss_nor_gradient(seed, count):
    batch = replace(pairs_of(count, seed), image_ids=torch.zeros(count).long())
    others = replace(pairs_of(5, seed + 1), image_ids=torch.arange(1, 6), caption_ids=torch.arange(50, 55))
    own = replace(pairs_of(4, seed + 2), image_ids=torch.zeros(4).long())
    found = []
    for batches in ([others], [others, own]):
        anchors = with_gradients(batch)
        loss = filled(9, batches)[0].loss(anchors, anchors)
        loss.backward()
        found.append((loss.detach(), anchors.images.grad, anchors.texts.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_neither_stored_keys_nor_slow_ones_get_a_gradient(contrast):
    old, slow = with_gradients(pairs_of(4, 1)), with_gradients(pairs_of(3, 3))
    queue = Queue(6, WIDTH)
    queue.enqueue(old)
    ids = {"image_ids": torch.arange(10, 13), "caption_ids": torch.arange(10, 13)}
    batch = replace(with_gradients(pairs_of(3, 2)), **ids)
    queue.loss(batch, slow, contrast).backward()
    assert batch.images.grad.any() and batch.texts.grad.any()
    assert all(leaf.grad is None for leaf in (old.images, old.texts, slow.images, slow.texts))
    assert not any(buffer.requires_grad for buffer in queue.buffers())
    assert not list(queue.parameters())


def test_enqueuing_before_the_backward_pass_changes_no_gradient():
    gradients = []
    for early in (False, True):
        queue, _ = filled(6, [pairs_of(4, 1)])
        batch = with_gradients(pairs_of(5, 2, ids=1000))
        loss = queue.loss(batch, batch)
        if early:
            queue.enqueue(batch)
        loss.backward()
        gradients.append(torch.cat([batch.images.grad, batch.texts.grad]))
    assert torch.equal(*gradients)


def test_a_learned_temperature_gets_a_finite_gradient_past_masked_entries():
    batch = pairs_of(4, 1)
    queue, _ = filled(6, [batch, pairs_of(2, 3, ids=1000)])
    temperature = torch.tensor(0.07, requires_grad=True)
    queue.loss(batch, batch, partial(losses.infonce_to_queue, temperature=temperature)).backward()
    assert math.isfinite(temperature.grad.item()) and temperature.grad.item() != 0


def test_lower_precision_is_stored_and_compared_as_float32():
    def lower(batch):
        return replace(batch, images=batch.images.bfloat16(), texts=batch.texts.bfloat16())

    queue = Queue(6, WIDTH)
    queue.enqueue(lower(pairs_of(4, 1, ids=1000)))
    other = lower(pairs_of(4, 2, ids=1000))
    loss = queue.loss(other, other)
    assert queue.images.dtype == loss.dtype == torch.float32


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 0.99), st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_a_slow_copy_is_the_moving_average_of_what_it_follows(momentum, values):
    weight = nn.Parameter(torch.zeros(3))
    slow, expected = SlowCopy({"w": weight}, momentum), 0.0
    for value in values:
        with torch.no_grad():
            weight.fill_(value)
        slow.update()
        expected = momentum * expected + (1 - momentum) * value
    assert slow.weights["w"].tolist() == pytest.approx([expected] * 3, abs=1e-5)
    assert weight.tolist() == pytest.approx([values[-1]] * 3)


def test_a_slow_copy_takes_the_place_of_the_weights_and_gives_it_back():
    layer = nn.Linear(3, 2)
    start = layer.weight.detach().clone()
    slow = SlowCopy(dict(layer.named_parameters()), 0.9)
    with torch.no_grad():
        layer.weight.add_(1)
    with pytest.raises(ZeroDivisionError), slow.in_place():
        assert torch.equal(layer.weight, start)
        raise ZeroDivisionError
    assert torch.equal(layer.weight, start + 1)
    assert torch.equal(slow.weights["weight"], start)


def test_a_graph_made_outside_is_not_disturbed_by_the_slow_copy():
    gradients = []
    for exchanged in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 2))
        slow = SlowCopy(dict(model.named_parameters()), 0.5)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(3)
        loss = model(torch.ones(4, 3)).square().sum()
        if exchanged:
            with slow.in_place(), torch.no_grad():
                model(torch.ones(4, 3))
        loss.backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert torch.equal(*gradients)


def trained_with(world, steps, size=40):
    """A queue filled from ``world``, embeddings by id that move a little at each step, and the final ones."""
    queue = Queue(size, WIDTH)
    images, texts = world.images, world.texts
    generator = torch.Generator().manual_seed(5)
    for step in range(steps):
        ids = torch.randint(len(images), (7,), generator=generator)
        moved = normalize(images + 0.1 * step * torch.ones(WIDTH), dim=-1)
        queue.enqueue(Pairs(moved[ids], texts[ids], ids, ids))
    return queue, moved, texts


def test_drift_is_one_for_an_unchanged_encoder_and_grows_with_age_for_a_changing_one():
    queue, images, texts = trained_with(pairs_of(30, 3), steps=9)
    table = drift(queue, lambda ids: images[ids], lambda ids: texts[ids])
    assert table.columns.tolist() == DRIFT_COLUMNS
    text, image = (table[table["modality"] == name] for name in ("text", "image"))
    assert text["cosine"].to_numpy() == pytest.approx(1)
    assert image["cosine"].is_monotonic_decreasing
    assert image["cosine"].iloc[-1] < 0.98
    for half in (text, image):
        assert half["age_from"].tolist() == [1, 2, 4]
        assert half["age_to"].tolist() == [1, 3, 7]
        assert half["count"].tolist() == [7, 14, 19]  # 40 entries are 5 batches of 7, and 5 pairs of a sixth


def test_drift_encodes_each_distinct_id_once_and_no_more_entries_than_asked():
    queue, images, texts = trained_with(pairs_of(6, 3), steps=9)
    asked = []

    def encode(ids):
        asked.append(ids)
        return images[ids]

    table = drift(queue, encode, lambda ids: texts[ids], limit=10)
    assert len(asked) == 1 and len(asked[0].unique()) == len(asked[0]) <= 6
    assert table.groupby("modality")["count"].sum().tolist() == [10, 10]
    assert table["age_from"].tolist() == [1, 2, 4] * 2


def test_drift_matches_a_loop_over_the_entries():
    queue, images, _ = trained_with(pairs_of(30, 3), steps=4, size=20)
    table = drift(queue, lambda ids: images[ids], lambda ids: images[ids])
    for row in table[table["modality"] == "image"].itertuples():
        cosines = [
            dot(stored, images[i].tolist())
            for stored, _, i, _, stored_at in oldest_first(queue)
            if row.age_from <= queue.steps - stored_at <= row.age_to
        ]
        assert (len(cosines), sum(cosines) / len(cosines)) == (row.count, pytest.approx(row.cosine, abs=1e-6))


def test_an_empty_queue_has_no_drift():
    table = drift(Queue(3, WIDTH), pytest.fail, pytest.fail)
    assert table.empty and table.columns.tolist() == DRIFT_COLUMNS
