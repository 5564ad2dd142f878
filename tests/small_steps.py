"""A run before its first step on a dozen drawn pairs, and that step."""

from pathlib import Path

import drawn_scenes
import numpy as np
import torch
from small_clips import moved, tiny_backbone

from petl_core import adapters, data, inputs, training
from petl_core.config import RunConfig
from petl_core.inputs import PreparedSplit
from petl_core.training import TrainState

PAIRS = 12


def prepared_pairs(root: Path) -> PreparedSplit:
    """``PAIRS`` images, five captions each, for a backbone of :func:`tiny_backbone`."""
    folder = drawn_scenes.write(root, "scenes-x", train=PAIRS, test=6, progress=False, size=32)
    train = data.load("scenes-x", folder.parent).train
    model = adapters.attach(tiny_backbone(), "zero_shot")
    return inputs.prepare(train, model, root / "cache", labelled=True).part(train, labelled=True)


def started(device: str = "cpu", **fields) -> TrainState:
    """In training mode, moved from where an adapter changes nothing."""
    config = RunConfig(**fields)
    frozen = tiny_backbone()
    frozen.clip.to(device)
    torch.manual_seed(0)
    model = adapters.attach(frozen, config.method, train_logit_scale=config.learn_temperature, **config.method_options)
    width = model.encode_text(frozen.tokens(["a pond"]).to(device)).shape[1]
    return TrainState.start(config, moved(model).train(), width)


def batch_loss(state: TrainState, prepared: PreparedSplit, count: int = PAIRS, **rest) -> dict[str, torch.Tensor]:
    """The loss terms of a batch of ``count`` pairs, with the same dropout at every call."""
    rows = torch.arange(0, 5 * count, 5)  # a caption of each image
    torch.manual_seed(1)
    return training.batch_loss(state, prepared, rows, np.random.default_rng(0), **rest)
