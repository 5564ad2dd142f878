"""Batches of an epoch, and its learning rates."""

import pytest
import torch
from petl_core.training.encoding import Inputs, PreparedSplit

from petl_core.config import RunConfig
from petl_core.training import epoch


def test_epochs_visit_every_image_or_every_caption_once():
    image_of = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])
    split = PreparedSplit(Inputs(torch.empty(0), {}, {}), torch.arange(4), torch.arange(8), image_of)
    every_caption = RunConfig(batch_size=3, pairs="captions", seed=0)
    captions = torch.cat(list(epoch.epoch_batches(split, every_caption, 1)))
    assert sorted(captions.tolist()) == list(range(8))
    every_image = RunConfig(batch_size=2, pairs="images", seed=0)
    drawn = [torch.cat(list(epoch.epoch_batches(split, every_image, number))) for number in range(60)]
    for rows in drawn:
        assert sorted(image_of[rows].tolist()) == [0, 1, 2, 3]
    assert {row for rows in drawn for row in rows.tolist()} == set(range(8))


def test_learning_rates():
    cosine = RunConfig(epochs=10, learning_rate=1.0)
    assert epoch.learning_rate(cosine, 0) == 1.0
    assert epoch.learning_rate(cosine, 5) == pytest.approx(0.5)
    assert epoch.learning_rate(cosine, 10) == pytest.approx(0)
    released = RunConfig(schedule="step", epochs=30, learning_rate=2e-4)
    assert epoch.learning_rate(released, 18.9) == 2e-4
    assert epoch.learning_rate(released, 20) == pytest.approx(1.4e-4)
