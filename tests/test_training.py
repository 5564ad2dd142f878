"""The training loop: batches, learning rates, the terms of a step's loss, and gradients that no trick changes."""

import copy
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_steps import PAIRS, batch_loss, prepared_pairs, started
from torch.multiprocessing.reductions import StorageWeakRef

from petl_core import losses, training
from petl_core.adapters.towers import blocks_of, towers
from petl_core.config import RunConfig
from petl_core.data import scene_labels
from petl_core.inputs import Inputs, PreparedSplit, embed_captions, embed_image_rows, embed_text_rows
from petl_core.training import balanced_rows, epoch_batches, learning_rate, train_epoch

HMMC = {"w_image": 1.0, "w_text": 0.5}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepared_pairs(tmp_path_factory.mktemp("data"))


# Batches and learning rates.


def split_of(labels, captions_each) -> PreparedSplit:
    image_of = torch.arange(len(labels)).repeat_interleave(torch.tensor(captions_each))
    order = torch.randperm(len(image_of), generator=torch.Generator().manual_seed(0))
    rows = torch.arange(len(image_of))
    return PreparedSplit(Inputs(torch.empty(0), {}, {}), torch.arange(len(labels)), rows, image_of[order], None, labels)


def test_epochs_visit_every_image_or_every_caption_once():
    split = split_of((None,) * 4, (2, 3, 1, 2))
    every_caption = RunConfig(batch_size=3, pairs="captions", seed=0)
    assert sorted(torch.cat(list(epoch_batches(split, every_caption, 1))).tolist()) == list(range(8))
    every_image = RunConfig(batch_size=2, seed=0)
    drawn = [torch.cat(list(epoch_batches(split, every_image, number))) for number in range(60)]
    assert all(sorted(split.image_of[rows].tolist()) == [0, 1, 2, 3] for rows in drawn)
    assert {row for rows in drawn for row in rows.tolist()} == set(range(8))
    assert len({tuple(rows.tolist()) for rows in drawn}) > 30
    # Seed and epoch alone decide; a last batch of one has no negative.
    assert torch.equal(torch.cat(list(epoch_batches(split, every_image, 7))), drawn[7])
    assert [len(rows) for rows in epoch_batches(split, every_caption.replace(batch_size=7), 1)] == [7]


def test_learning_rates():
    cosine = RunConfig(epochs=10, learning_rate=1.0)
    assert [learning_rate(cosine, done) for done in (0, 5, 10)] == pytest.approx([1, 0.5, 0])
    released = RunConfig(schedule="step", epochs=30, learning_rate=2e-4)
    # x0.7 before the 20th epoch, which is the 19th from 0.
    assert [learning_rate(released, done) for done in (0, 18.9, 19, 38.9, 39)] == pytest.approx(
        [2e-4, 2e-4, 1.4e-4, 1.4e-4, 0.98e-4]
    )


LABELS = st.lists(st.sampled_from(["pond", "river", "farm", None]), min_size=1, max_size=30).map(tuple)


@given(LABELS, st.integers(0, 1000), st.data())
def test_scenes_come_round_in_turn_and_images_within_them(labels, seed, data):
    captions_each = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    captions_each[0] = 1
    split = split_of(labels, captions_each)
    images = split.image_of[balanced_rows(split, np.random.default_rng(seed))].tolist()
    captioned = {image for image, count in enumerate(captions_each) if count}
    assert len(images) == len(captioned) and set(images) <= captioned
    members = Counter(labels[image] for image in captioned)
    for start in range(0, len(images), len(members)):
        turn = [labels[image] for image in images[start : start + len(members)]]
        assert len(set(turn)) == len(turn), "a scene twice in one round"
    drawn = Counter(images)
    for scene in members:
        times = [drawn[image] for image in captioned if labels[image] == scene]
        assert max(times) - min(times) <= 1, "an image again before all of its scene"


def test_a_balanced_epoch_has_as_many_steps_and_draws_every_caption_some_time():
    split = split_of(("pond",) * 20 + ("river",) * 3, (2,) * 23)
    plain = RunConfig(batch_size=4, seed=0)
    balanced = plain.replace(scene_balance=True)
    sizes = [[len(rows) for rows in epoch_batches(split, config, 1)] for config in (plain, balanced)]
    assert sizes[0] == sizes[1] == [4, 4, 4, 4, 4, 3]
    for rows in list(epoch_batches(split, balanced, 1))[:-1]:
        assert Counter(split.scenes[image] for image in split.image_of[rows]) == {"pond": 2, "river": 2}
    epochs = [torch.cat(list(epoch_batches(split, balanced, number))) for number in range(60)]
    assert set(torch.cat(epochs).tolist()) == set(range(46))


# The terms of a step's loss.


def test_the_total_is_the_weighted_sum_of_its_terms(prepared):
    state = started(**HMMC, queue_size=PAIRS, queue_weight=0.3, scene_weight=0.7, mask_false_negatives=True)
    classes = training._scene_classes(state.model, prepared)
    batch_loss(state, prepared, scene_classes=classes)  # fills the queue
    state.queue.image_ids += 1000  # so that nothing is masked
    state.queue.caption_ids += 1000
    terms = {name: term.item() for name, term in batch_loss(state, prepared, scene_classes=classes).items()}
    assert terms.keys() == {"cross", "image", "text", "scene", "queue", "total"} and all(terms.values())
    weights = {"cross": 1.0, "image": 1.0, "text": 0.5, "scene": 0.7, "queue": 0.3}
    assert terms["total"] == pytest.approx(sum(weight * terms[name] for name, weight in weights.items()), rel=1e-5)


def test_false_negatives_are_masked_only_when_asked(prepared):
    """A batch of two captions of each image."""
    rows = torch.arange(10).tolist()
    seen = []
    for asked in (False, True):
        state = started(method="linear_probe", mask_false_negatives=asked)
        terms = training.batch_loss(state, prepared, torch.tensor(rows), np.random.default_rng(0))
        seen.append(terms["cross"].item())
        images = embed_image_rows(state.model, prepared, prepared.image_rows[prepared.image_of[rows]])
        texts = embed_text_rows(state.model, prepared, prepared.caption_rows[rows])
        ids = prepared.image_rows[prepared.image_of[rows]], prepared.caption_rows[rows]
        exclude = losses.false_negatives(*ids)["cross"] if asked else None
        assert seen[-1] == pytest.approx(losses.infonce(images, texts, exclude).item(), rel=1e-4)
    assert seen[1] < seen[0]


def test_captions_are_read_with_their_scene_label_at_the_probability(prepared, monkeypatch):
    read = []
    original = training.read_texts
    monkeypatch.setattr(
        training, "read_texts", lambda model, split, rows: read.append(rows) or original(model, split, rows)
    )
    for probability in (0.0, 0.5, 1.0):
        batch_loss(started(method="linear_probe", scene_probability=probability), prepared)
    rows = torch.arange(0, 5 * PAIRS, 5)
    labelled = [(found == prepared.labelled_rows[rows]).sum().item() for found in read]
    assert labelled[0] == 0 < labelled[1] < labelled[2] == PAIRS
    assert torch.equal(
        torch.where(read[1] == prepared.labelled_rows[rows], prepared.caption_rows[rows], read[1]), read[0]
    )


def test_the_scene_term_is_the_cross_entropy_of_both_modalities_over_the_training_scenes(prepared):
    state = started(method="linear_probe", scene_weight=1.0, temperature=0.5)
    split = copy.copy(prepared)
    scenes = list(prepared.scenes)
    scenes[1] = None  # it has no label, and no part in the term
    object.__setattr__(split, "scenes", tuple(scenes))
    terms = batch_loss(state, split, scene_classes=training._scene_classes(state.model, split))

    rows, names = torch.arange(0, 5 * PAIRS, 5), sorted({scene for scene in scenes if scene})
    prompts = torch.from_numpy(embed_captions(state.model, scene_labels.class_prompts(names)))
    images = embed_image_rows(state.model, split, split.image_rows[split.image_of[rows]])
    texts = embed_text_rows(state.model, split, split.caption_rows[rows])
    labelled = [i for i in range(PAIRS) if scenes[split.image_of[rows[i]]]]
    expected = 0.0
    for embedded in (images, texts):
        chances = (embedded @ prompts.T / 0.5).log_softmax(dim=1)
        own = [chances[i, names.index(scenes[split.image_of[rows[i]]])] for i in labelled]
        expected -= sum(own).item() / len(labelled) / 2
    assert len(labelled) == PAIRS - 1 and terms["scene"].item() == pytest.approx(expected, rel=1e-4)


def test_the_scene_term_trains_through_the_prompts(prepared):
    state = started(scene_weight=1.0)
    prompts, class_of = training._scene_classes(state.model, prepared)
    prompted = training.embed_texts(state.model, prompts)
    images = torch.nn.functional.normalize(torch.randn(3, prompted.shape[1]), dim=-1)
    losses.class_cross_entropy(images, prompted, class_of[:3], 0.07).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in state.model.trainable().values())


def test_a_learned_temperature_is_used_and_bounded(prepared, monkeypatch):
    state = started(learn_temperature=True, learning_rate=1.0)
    assert training.temperature_of(state.model, state.config).item() == pytest.approx(0.07, rel=1e-3)
    assert training.temperature_of(state.model, RunConfig(temperature=0.5)) == 0.5
    monkeypatch.setattr(training, "batch_loss", lambda *_: {"total": -state.model.clip.logit_scale})
    for epoch in range(1, 6):
        train_epoch(state, prepared, epoch)
    assert state.model.clip.logit_scale.item() == pytest.approx(math.log(100))


# The queue.

EMA = {"queue_size": PAIRS, "queue_keys": "ema"}


@pytest.mark.parametrize("method", ["mrs", "lora", "full", "vpt", "focus"])
def test_slow_keys_are_what_the_slow_weights_embed_without_dropout(prepared, method):
    state = started(method=method, **EMA)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in state.model.trainable().values():  # the model is elsewhere than its slow copy
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    state.slow_copy.update()
    slow = copy.deepcopy(state.model)
    slow.load_state_dict(state.slow_copy.weights, strict=False)
    before = {name: weight.detach().clone() for name, weight in state.model.trainable().items()}
    batch_loss(state, prepared)
    assert state.model.training

    images = embed_image_rows(slow, prepared, state.queue.image_ids)
    texts = embed_text_rows(slow, prepared, state.queue.caption_ids)
    torch.testing.assert_close(state.queue.images, images, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(state.queue.texts, texts, atol=1e-5, rtol=1e-4)
    assert (embed_image_rows(state.model, prepared, state.queue.image_ids) - images).abs().max() > 1e-3
    assert all(torch.equal(weight, before[name]) for name, weight in state.model.trainable().items())


def test_slow_keys_cost_no_random_number(prepared):
    after = []
    for fields in ({"queue_size": PAIRS}, EMA):
        batch_loss(started(**fields), prepared)
        after.append(torch.rand(1))
    assert torch.equal(*after)


def test_own_keys_are_the_embeddings_that_were_trained_on(prepared):
    state = started(queue_size=PAIRS)
    assert state.slow_copy is None
    batch_loss(state, prepared)
    trained_on = state.queue.images.clone()
    batch_loss(state, prepared)  # the same dropout again
    assert torch.equal(state.queue.images, trained_on)
    fresh = embed_image_rows(state.model, prepared, state.queue.image_ids)
    assert (fresh - trained_on).abs().max() > 1e-4, "they carry dropout"


def test_drift_is_measured_with_the_encoder_of_the_keys(prepared):
    for fields in ({"queue_size": PAIRS, "method_options": {"dropout": 0.0}}, EMA):
        state = started(**fields)
        batch_loss(state, prepared)
        assert all(row["cosine"] == pytest.approx(1, abs=1e-5) for row in training._drift(state, prepared))
        with torch.no_grad():
            for weight in state.model.trainable().values():
                weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(4))
        cosines = {row["cosine"] for row in training._drift(state, prepared)}
        assert (min(cosines) < 0.999) == (state.slow_copy is None), "the slow weights have not moved"
        assert state.model.training


# GradCache gives the gradient of the whole batch, and keeps the graph of one chunk.


def step(state, prepared, count=PAIRS):
    """The loss terms of a batch, the gradients they leave, and the next random number."""
    classes = training._scene_classes(state.model, prepared) if state.config.scene_weight else None
    terms = batch_loss(state, prepared, count, scene_classes=classes)
    terms["total"].backward()
    after = torch.rand(1).item()
    gradients = {name: weight.grad for name, weight in state.model.trainable().items()}
    return {name: term.item() for name, term in terms.items()}, gradients, after


def with_whole_graph(monkeypatch):
    """In the place of GradCache: the same chunks, so the same dropout, but one graph of them all."""
    monkeypatch.setattr(training, "checkpoint", lambda encode, chunk, use_reentrant: encode(chunk))


def check_equal(one, other):
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert one[1].keys() == other[1].keys() and any(gradient.any() for gradient in one[1].values())
    largest = max(gradient.abs().max() for gradient in other[1].values())
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, other[1][name], rtol=1e-4, atol=1e-6 * float(largest), msg=name)


@pytest.mark.parametrize(
    ("chunk", "fields"),
    [
        (1, HMMC),
        (5, {"scene_weight": 0.5, "scene_probability": 0.5}),
        (5, {**HMMC, "contrast": "triplet", "mask_false_negatives": True}),
        (5, {"learn_temperature": True, "queue_size": 8}),
        (5, {**HMMC, "method": "full"}),
        (5, {**HMMC, "method": "focus"}),
    ],
)
def test_the_gradient_is_that_of_one_graph_of_all_chunks(prepared, monkeypatch, chunk, fields):
    cached = step(started(gradient_cache=chunk, **fields), prepared)
    with_whole_graph(monkeypatch)
    whole = step(started(gradient_cache=chunk, **fields), prepared)
    check_equal(cached, whole)
    assert cached[2] == whole[2], "random numbers go on elsewhere"


@pytest.mark.parametrize("contrast", ["infonce", "triplet"])
def test_without_dropout_the_gradient_is_that_of_the_plain_batch(prepared, contrast):
    fields = {"contrast": contrast, "method_options": {"dropout": 0.0}, "queue_size": 8, "queue_keys": "ema"}
    check_equal(*(step(started(gradient_cache=chunk, **fields), prepared) for chunk in (5, 0)))


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
    assert 0 < cached < 1.1 * chunk < plain / 3
    with_whole_graph(monkeypatch)
    assert peak_of_activations(prepared, PAIRS, gradient_cache=2) > plain / 2, "one graph would pass for many"
