"""Balanced batches hold every scene as often as any other; the cross-entropy is that of the prompts."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from petl_core.training.encoding import Inputs, PreparedSplit, embed_captions
from petl_core.training.scenes import SceneTerm, balanced_rows
from torch.nn.functional import normalize

from petl_core.adapters import attach
from petl_core.config import RunConfig
from petl_core.data.scene_labels import class_prompts
from petl_core.training import epoch


def split_of(labels, captions_each) -> PreparedSplit:
    image_of = torch.arange(len(labels)).repeat_interleave(torch.tensor(captions_each))
    rows = torch.arange(len(image_of))
    order = torch.randperm(len(image_of), generator=torch.Generator().manual_seed(0))
    return PreparedSplit(Inputs(torch.empty(0), {}, {}), torch.arange(len(labels)), rows, image_of[order], None, labels)


LABELS = st.lists(st.sampled_from(["pond", "river", "farm", None]), min_size=1, max_size=30).map(tuple)


@given(LABELS, st.integers(0, 1000), st.data())
def test_scenes_come_round_in_turn_and_images_within_them(labels, seed, data):
    captions_each = data.draw(st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels)))
    captions_each[0] = 1
    split = split_of(labels, captions_each)
    rows = balanced_rows(split, np.random.default_rng(seed))
    images = split.image_of[rows].tolist()

    captioned = {image for image, count in enumerate(captions_each) if count}
    assert len(rows) == len(captioned) and set(images) <= captioned
    members = Counter(labels[image] for image in captioned)
    for start in range(0, len(images), len(members)):
        turn = [labels[image] for image in images[start : start + len(members)]]
        assert len(set(turn)) == len(turn), "a scene twice in one round"
    drawn = Counter(images)
    for scene in members:
        times = [drawn[image] for image in captioned if labels[image] == scene]
        assert max(times) - min(times) <= 1, "an image again before all of its scene"


def test_every_caption_of_an_image_is_drawn_some_time_and_seeds_differ():
    split = split_of(("pond", "pond", "river", None), (3, 2, 2, 1))
    epochs = [balanced_rows(split, np.random.default_rng([2, number])) for number in range(60)]
    assert set(np.concatenate(epochs)) == set(range(8))
    assert any(not np.array_equal(epochs[0], other) for other in epochs[1:])
    again = balanced_rows(split, np.random.default_rng([2, 0]))
    assert np.array_equal(epochs[0], again)


def test_a_balanced_epoch_has_as_many_steps_as_any_other():
    split = split_of(("pond",) * 20 + ("river",) * 3, (2,) * 23)
    plain = RunConfig(batch_size=4, seed=0)
    balanced = plain.replace(scene_balance=True)
    sizes = [[len(rows) for rows in epoch.epoch_batches(split, config, 1)] for config in (plain, balanced)]
    assert sizes[0] == sizes[1] == [4, 4, 4, 4, 4, 3]
    for rows in list(epoch.epoch_batches(split, balanced, 1))[:-1]:
        assert Counter(split.scenes[image] for image in split.image_of[rows]) == {"pond": 2, "river": 2}


@pytest.fixture
def term(backbone):
    """Of three classes, and images of which the second has no label."""
    model = attach(backbone, "focus")
    return SceneTerm.of(model, split_of(("river", None, "farm", "pond"), (1, 1, 1, 1)))


def test_classes_are_those_of_the_training_images(term):
    assert term.classes.tolist() == [2, -1, 0, 1]


def batch_of(size: int, width: int = 32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {name: normalize(torch.randn(size, width, generator=generator), dim=-1) for name in ("images", "texts")}


def test_the_loss_is_the_mean_of_both_modalities_and_leaves_out_what_has_no_label(term, backbone):
    batches, images = batch_of(3), torch.tensor([3, 1, 0])
    prompts = embed_captions(attach(backbone, "focus"), class_prompts(["farm", "pond", "river"]))
    expected = 0.0
    for rows in batches.values():
        probabilities = (rows @ torch.from_numpy(prompts).T / 0.5).softmax(dim=1)
        expected -= (probabilities[0, 1].log() + probabilities[2, 2].log()).item() / 2 / 2
    assert term.loss(batches, images, temperature=0.5).item() == pytest.approx(expected, rel=1e-5)


def test_without_a_label_in_the_batch_the_loss_and_its_gradient_are_zero(term):
    batches = {name: rows.requires_grad_() for name, rows in batch_of(2).items()}
    loss = term.loss(batches, torch.tensor([1, 1]), 0.07)
    loss.backward()
    assert loss.item() == 0
    assert all(not rows.grad.any() for rows in batches.values())


def test_the_gradient_flows_through_the_prompts_of_what_is_trained(backbone):
    model = attach(backbone, "focus")
    term = SceneTerm.of(model, split_of(("river", None, "farm", "pond"), (1, 1, 1, 1)))
    term.loss(batch_of(3), torch.tensor([3, 1, 0]), 0.07).backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in model.trainable().values())
