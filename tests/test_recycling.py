import io
import math
from collections import deque
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from petl_core import losses, recycling
from petl_core.recycling import Queue, drift

WIDTH = 4
CONTRASTS = [losses.infonce_to_queue, losses.triplet_to_queue]


def batch(size, seed, ids=6):
    """Images, texts, image ids and caption ids; few ids, so that they repeat."""
    generator = torch.Generator().manual_seed(seed)
    images, texts = (normalize(torch.randn(size, WIDTH, generator=generator), dim=-1) for _ in range(2))
    return images, texts, *(torch.randint(ids, (size,), generator=generator) for _ in range(2))


def filled(size, batches, warmup=0):
    queue, naive = Queue(size, WIDTH, warmup), deque(maxlen=size)
    for step, pairs in enumerate(batches):
        queue.enqueue(*pairs)
        naive.extend(zip(*(column.tolist() for column in pairs), [step] * len(pairs[0]), strict=True))
    return queue, naive


def oldest_first(queue):
    """The queue's entries in the form and order of the naive one."""
    start = queue.stored % queue.size if len(queue) == queue.size else 0
    columns = (queue.images, queue.texts, queue.image_ids, queue.caption_ids, queue.stored_at)
    return list(zip(*(column[: len(queue)].roll(-start, 0).tolist() for column in columns), strict=True))


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def loss_by_loops(naive, pairs, contrast, parameter):
    """The definition: ``contrast`` is "infonce" (of a temperature) or "triplet" (of a margin)."""
    anchors = list(zip(*(column.tolist() for column in pairs), strict=True))
    losses = []
    for modality in (0, 1):
        for anchor in anchors:
            positive = dot(anchor[0], anchor[1])
            kept = [entry for entry in naive if entry[2] != anchor[2] and entry[3] != anchor[3]]
            negatives = [dot(anchor[modality], entry[1 - modality]) for entry in kept]
            if contrast == "triplet":
                losses.append(max([0.0, *(parameter + negative - positive for negative in negatives)]))
            else:
                exponentials = [math.exp(s / parameter) for s in (positive, *negatives)]
                losses.append(math.log(sum(exponentials)) - positive / parameter)
    return sum(losses) / (1 if contrast == "triplet" else len(losses))


sizes = st.integers(1, 12)
batch_sizes = st.lists(st.integers(1, 9), max_size=8)
seeds = st.integers(0, 1000)


@settings(deadline=None, max_examples=60)
@given(sizes, batch_sizes, seeds)
def test_the_queue_holds_the_last_pairs_in_order(size, batch_sizes, seed):
    queue, naive = filled(size, [batch(n, seed + i) for i, n in enumerate(batch_sizes)])
    assert oldest_first(queue) == list(naive)
    assert len(queue) == len(naive)
    ages = sorted(queue.ages.tolist(), reverse=True)
    assert ages == [len(batch_sizes) - entry[4] for entry in naive]


@settings(deadline=None, max_examples=60)
@given(sizes, batch_sizes, seeds, st.integers(1, 5), st.floats(0.05, 1), st.booleans())
def test_losses_equal_their_definition_written_as_loops(size, batch_sizes, seed, anchors, parameter, triplet):
    queue, naive = filled(size, [batch(n, seed + i) for i, n in enumerate(batch_sizes)])
    pairs = batch(anchors, seed + 99)
    if triplet:
        name, contrast = "triplet", partial(losses.triplet_to_queue, margin=parameter)
    else:
        name, contrast = "infonce", partial(losses.infonce_to_queue, temperature=parameter)
    expected = loss_by_loops(naive, pairs, name, parameter)
    assert queue.loss(*pairs, contrast).item() == pytest.approx(expected, abs=1e-4)


@settings(deadline=None, max_examples=30)
@given(sizes, batch_sizes, seeds, st.integers(0, 8))
def test_a_saved_queue_goes_on_as_if_never_saved(size, batch_sizes, seed, cut):
    batches = [batch(n, seed + i) for i, n in enumerate(batch_sizes)]
    whole, _ = filled(size, batches, warmup=2)
    first, _ = filled(size, batches[:cut], warmup=2)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = Queue(size, WIDTH, warmup=2)
    second.load_state_dict(torch.load(file, weights_only=True))
    for pairs in batches[cut:]:
        second.enqueue(*pairs)
    ours, theirs = second.state_dict(), whole.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    pairs = batch(3, seed + 99)
    assert torch.equal(second.loss(*pairs), whole.loss(*pairs))


def test_the_state_of_another_size_is_refused():
    with pytest.raises(RuntimeError, match="size mismatch"):
        Queue(4, WIDTH).load_state_dict(Queue(5, WIDTH).state_dict())


@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize("size", [0, 5])
def test_without_entries_the_loss_is_zero_with_a_graph(contrast, size):
    queue = Queue(size, WIDTH)
    images, texts, *ids = batch(3, 0)
    if size == 0:
        queue.enqueue(images, texts, *ids)
    images.requires_grad_()
    loss = queue.loss(images, texts, *ids, contrast)
    loss.backward()
    assert len(queue) == 0
    assert loss.item() == 0
    assert not images.grad.any()


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_where_every_entry_is_masked_loss_and_gradient_are_zero(contrast):
    images, texts, image_ids, caption_ids = batch(3, 0, ids=1)
    queue, _ = filled(5, [(images, texts, image_ids, caption_ids)])
    leaf = images.clone().requires_grad_()
    loss = queue.loss(leaf, texts, image_ids, caption_ids, contrast)
    loss.backward()
    assert loss.item() == 0
    assert not leaf.grad.any()


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_gradients_flow_to_the_current_batch_alone(contrast):
    old = batch(4, 1)
    for column in old[:2]:
        column.requires_grad_()
    queue = Queue(6, WIDTH)
    queue.enqueue(*old)
    images, texts, *_ = batch(3, 2)
    images.requires_grad_()
    texts.requires_grad_()
    queue.loss(images, texts, torch.arange(10, 13), torch.arange(10, 13), contrast).backward()
    assert images.grad.any() and texts.grad.any()
    assert old[0].grad is None and old[1].grad is None
    assert not any(buffer.requires_grad for buffer in queue.buffers())
    assert not list(queue.parameters())


def test_enqueuing_before_the_backward_pass_changes_no_gradient():
    gradients = []
    for early in (False, True):
        queue, _ = filled(6, [batch(4, 1)])
        images, texts, *ids = batch(5, 2, ids=1000)
        leaves = images.requires_grad_(), texts.requires_grad_()
        loss = queue.loss(images, texts, *ids)
        if early:
            queue.enqueue(images, texts, *ids)
        loss.backward()
        gradients.append(torch.cat([leaf.grad for leaf in leaves]))
    assert torch.equal(*gradients)


def test_a_learned_temperature_gets_a_finite_gradient_past_masked_entries():
    pairs = batch(4, 1)
    queue, _ = filled(6, [pairs])
    temperature = torch.tensor(0.07, requires_grad=True)
    queue.loss(*pairs, partial(losses.infonce_to_queue, temperature=temperature)).backward()
    assert math.isfinite(temperature.grad.item()) and temperature.grad.item() != 0


def test_warm_up_fills_the_queue_but_gives_no_loss():
    queue, losses = Queue(20, WIDTH, warmup=3), []
    for step in range(5):
        pairs = batch(4, step, ids=1000)
        losses.append(queue.loss(*pairs).item())
        queue.enqueue(*pairs)
    assert [loss > 0 for loss in losses] == [False, False, False, True, True]
    assert len(queue) == 20


def test_lower_precision_is_stored_and_compared_as_float32():
    queue = Queue(6, WIDTH)
    images, texts, *ids = batch(4, 1, ids=1000)
    queue.enqueue(images.bfloat16(), texts.bfloat16(), *ids)
    other, others, *other_ids = batch(4, 2, ids=1000)
    loss = queue.loss(other.bfloat16(), others.bfloat16(), *other_ids)
    assert queue.images.dtype == loss.dtype == torch.float32


def trained_with(world, steps, size=40):
    """A queue filled from ``world``, embeddings by id that move a little at each step, and the final ones."""
    queue = Queue(size, WIDTH)
    images, texts = world
    generator = torch.Generator().manual_seed(5)
    for step in range(steps):
        ids = torch.randint(len(images), (7,), generator=generator)
        moved = normalize(images + 0.1 * step * torch.ones(WIDTH), dim=-1)
        queue.enqueue(moved[ids], texts[ids], ids, ids)
    return queue, moved, texts


def test_drift_is_one_for_an_unchanged_encoder_and_grows_with_age_for_a_changing_one():
    queue, images, texts = trained_with(batch(30, 3)[:2], steps=9)
    table = drift(queue, lambda ids: images[ids], lambda ids: texts[ids], bins=3)
    assert table.columns.tolist() == recycling.DRIFT_COLUMNS
    text, image = (table[table["modality"] == name] for name in ("text", "image"))
    assert text["cosine"].to_numpy() == pytest.approx(1)
    assert image["cosine"].is_monotonic_decreasing
    assert image["cosine"].iloc[-1] < 0.98
    for half in (text, image):
        assert half["age_from"].tolist() == [1, 3, 5]
        assert half["age_to"].tolist() == [2, 4, 6]
        assert half["count"].tolist() == [14, 14, 12]  # 40 entries are 5 batches of 7, and 5 pairs of a sixth


def test_drift_encodes_each_distinct_id_once_and_no_more_entries_than_asked():
    queue, images, texts = trained_with(batch(6, 3)[:2], steps=9)
    asked = []

    def encode(ids):
        asked.append(ids)
        return images[ids]

    table = drift(queue, encode, lambda ids: texts[ids], limit=10)
    assert len(asked) == 1 and len(asked[0].unique()) == len(asked[0]) <= 6
    assert table.groupby("modality")["count"].sum().tolist() == [10, 10]
    assert table["age_from"].min() == 1 and table["age_to"].max() == 6


def test_drift_matches_a_loop_over_the_entries():
    queue, images, _ = trained_with(batch(30, 3)[:2], steps=4, size=20)
    table = drift(queue, lambda ids: images[ids], lambda ids: images[ids], bins=100)
    for row in table[table["modality"] == "image"].itertuples():
        cosines = [
            dot(stored, images[i].tolist())
            for stored, _, i, _, stored_at in oldest_first(queue)
            if queue.steps - stored_at == row.age_from == row.age_to
        ]
        assert (len(cosines), sum(cosines) / len(cosines)) == (row.count, pytest.approx(row.cosine, abs=1e-6))


def test_an_empty_queue_has_no_drift():
    table = drift(Queue(3, WIDTH), pytest.fail, pytest.fail)
    assert table.empty and table.columns.tolist() == recycling.DRIFT_COLUMNS
