"""Activation memory of a finished run's training step, measured exactly and without training again.

:mod:`efficiency` measures methods on random batches; here each run has its own batch, loss and options.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from petl_core import adapters, backbone
from petl_core.config import RunConfig
from petl_core.data import Split, default_data
from petl_core.measuring import MIB, activation_bytes
from petl_core.runs.experiment import draw_images, find_device
from petl_core.runs.folder import Run
from petl_core.training import default_backbones, encoding, inputs
from petl_core.training.encoding import PreparedSplit, embed_texts
from petl_core.training.epoch import batch_loss, epoch_batches
from petl_core.training.scenes import SceneTerm
from petl_core.training.state import TrainState


def activation_mib(run: Run, data_root: str | Path = "data", device: str = "cpu") -> float:
    """MiB of activations that one training step of a run saves for its backward pass.

    The method is attached to the backbone again and computes its whole loss on one batch of the training split, with a
    full queue if it has one. Counted is what autograd has saved by then
    (:func:`petl_core.measuring.activation_bytes`), without weights, the queue, and the batch's pixels and tokens,
    which are in memory anyway. Equal configurations give equal bytes; runs with the same seed and batch size are
    measured on the same batch.

    Args:
        run: a finished one.
        data_root: folder of the data sets; the run's data set must be there.
        device: "cpu", "cuda", "cuda:1", or "auto".

    Returns:
        MiB; 0 for a run that trains nothing, NaN for one with a gradient cache, which builds its graphs only during the
        backward pass.
    """
    config = run.config
    if not config.epochs:
        return 0.0
    if config.gradient_cache:
        return float("nan")
    torch.manual_seed(config.seed)
    weights = default_backbones.find_or_pretrain(config.backbone, run.folder.parent, data_root)
    frozen = backbone.load(weights, config.pretrained, config.precision, find_device(device))
    model = adapters.attach(frozen, config.method, train_logit_scale=config.learn_temperature, **config.method_options)
    if not model.trainable():
        return 0.0

    # A batch, the scene classes of all images, and a state in which the queue is full and past its warm-up.
    split = default_data.load_or_draw(config.dataset, data_root).train
    train = _prepare(draw_images(split, min(config.batch_size, len(split.images)), config.seed), model, config)
    rows = next(epoch_batches(train, config, epoch=1))
    with_all_classes = replace(train, scenes=(*train.scenes, *split.scenes))
    scene_term = SceneTerm.of(model, with_all_classes) if config.scene_weight else None
    state = TrainState.start(config, model, width=embed_texts(model, train, train.caption_rows[:1]).shape[1])
    state.queue.stored, state.queue.steps = config.queue_size, config.queue_warmup + config.queue_ramp
    model.train()

    # The pixels and tokens that the step reads, to exclude them.
    read: list[torch.Tensor] = []
    for name in ("encode_image", "encode_text"):
        setattr(model, name, _recording(getattr(model, name), read))

    def step() -> torch.Tensor:
        return batch_loss(state, train, rows, np.random.default_rng(config.seed), scene_term)["total"]

    return activation_bytes(step, chain(model.parameters(), model.buffers(), state.queue.buffers(), read)) / MIB


def _prepare(split: Split, model: adapters.AdaptedCLIP, config: RunConfig) -> PreparedSplit:
    """The training split as the run read it, but without the cache that runs share."""
    if not config.cache_features:
        template = config.scene_template if config.scene_probability else ""
        return encoding.prepare(split, model.backbone, scene_template=template)
    with tempfile.TemporaryDirectory() as root:
        return inputs.cached_taps(split, model, Path(root)).part(split)


def _recording(encode: Callable, read: list[torch.Tensor]) -> Callable:
    """``encode``, which also appends its input to ``read``."""

    def encode_and_record(batch: torch.Tensor, **options: bool) -> torch.Tensor:
        read.append(batch)
        return encode(batch, **options)

    return encode_and_record
