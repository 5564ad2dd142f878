"""What runs will take, before they start: one step of each kind is timed on real images and multiplied.

Runs are of one kind if their steps cost the same: seeds, learning rates and numbers of epochs may differ.
"""

import copy
import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from petl_core import adapters, retrieval
from petl_core.adapters import AdaptedCLIP
from petl_core.backbone import Backbone, caption_lengths
from petl_core.config import RunConfig
from petl_core.data import RetrievalData, Split, caption_key, scene_labels
from petl_core.errors import ConfigError
from petl_core.evaluation import tuning
from petl_core.measuring import PeakMemory, seconds_of
from petl_core.runs import experiment
from petl_core.training import epoch, inputs
from petl_core.training.encoding import ENCODE_BATCH, Inputs, PreparedSplit, embed_images, embed_texts
from petl_core.training.state import TrainState

# Fields that do not change the cost of a step.
FREE = (
    *("seed", "contrast", "margin", "temperature", "learn_temperature", "learning_rate", "weight_decay", "schedule"),
    *("patience", "validation_interval", "validation_fraction", "pairs", "train_images", "blank_captions"),
    "queue_weight",
)
RATE = 1e-9  # learning rate of the measured steps, so that none diverges
STATES = 3  # numbers in a checkpoint for each trained parameter: itself and Adam's two moments


@dataclass(frozen=True)
class Cost:
    """Of one kind of run, on this machine."""

    step: float  # seconds of training; 0 for an untrained kind
    image: float  # seconds of encoding one image
    caption: float  # seconds of encoding one caption
    trained: int  # parameters
    peak_mib: float  # of the GPU, in training and encoding; on a CPU, of the process
    caches: dict[str, int]  # bytes of the caches it reads, for the whole data set: "pixels", or tapped features


@dataclass(frozen=True)
class Amounts:
    """The size of a data set, as far as it decides costs."""

    dataset: RetrievalData
    captions: tuple[int, int]  # distinct ones, in train and test
    longest: tuple[int, int]  # tokens of the longest, in train and test

    @classmethod
    def of(cls, dataset: RetrievalData, backbone: Backbone) -> "Amounts":
        """Count what a backbone reads from a data set."""
        distinct = [{caption_key(caption): caption for caption in split.captions} for split in _splits(dataset)]
        longest = [int(caption_lengths(backbone.tokens(list(t.values())), backbone.clip).max()) for t in distinct]
        return cls(dataset, (len(distinct[0]), len(distinct[1])), (longest[0], longest[1]))


def kind_of(config: RunConfig) -> RunConfig:
    """A run that represents all those whose steps cost the same: fields that change no cost have their defaults."""
    defaults = RunConfig()
    options = {name: value for name, value in config.method_options.items() if name not in tuning.OPTIONS}
    free = {name: getattr(defaults, name) for name in FREE}
    return config.replace(**free, method_options=options, epochs=min(config.epochs, 1))


def measure(kind: RunConfig, frozen: Backbone, amounts: Amounts, device: torch.device) -> Cost:
    """Encode and train one batch, twice; the second time is timed.

    Args:
        kind: of :func:`kind_of`.
        frozen: its backbone, on the CPU.
        amounts: of its data set.
        device: where runs will be trained.

    Raises:
        ConfigError: the method cannot adapt this backbone, or the data set lacks scene labels that it needs.
        torch.OutOfMemoryError: the GPU is too small.
    """
    experiment.use_deterministic_operations()
    size = max(kind.batch_size, ENCODE_BATCH) if device.type == "cuda" else kind.batch_size  # for the peak of memory
    sample = _sample(amounts.dataset.train, kind, size)
    own = copy.deepcopy(frozen)
    own.clip.to(device)
    model = adapters.attach(own, kind.method, **kind.method_options)
    with tempfile.TemporaryDirectory() as folder:
        template = kind.scene_template if kind.scene_probability else ""
        if kind.cache_features:
            whole = inputs.cached_taps(sample, model, Path(folder))
        else:
            whole = inputs.cached_pixels(sample, own, Path(folder), scene_template=template)
        prepared = whole.part(sample, template)

        # Encode, then train.
        memory = PeakMemory(device)
        for _ in range(2):
            image = seconds_of(lambda: embed_images(model, prepared, prepared.image_rows), device)
            caption = seconds_of(lambda: embed_texts(model, prepared, prepared.caption_rows), device)
        batch = whole.part(sample.subset(range(min(kind.batch_size, len(sample.images)))), template)
        step = _step_seconds(kind, model, batch, device) if kind.epochs else 0.0
        return Cost(
            step=step,
            image=image / len(sample.images),
            caption=caption / len(sample.captions),
            trained=model.trainable_count(),
            peak_mib=memory.mib,
            caches=_cache_bytes(model, whole, amounts),
        )


def scoring_seconds(split: Split) -> float:
    """Seconds per pair of image and caption for ranking a split."""
    shape = (len(split.images), len(split.captions))
    scores = np.random.default_rng(0).random(shape, dtype=np.float32)
    cpu = torch.device("cpu")
    return seconds_of(lambda: retrieval.evaluate(scores, split.image_of, split.captions), cpu) / math.prod(shape)


def run_seconds(config: RunConfig, cost: Cost, dataset: RetrievalData, scoring: float) -> float:
    """What a run takes if it stops at its last epoch, without start-up.

    Args:
        config: of the run.
        cost: of its kind.
        dataset: its data.
        scoring: of :func:`scoring_seconds`.
    """

    def ranked(images: float, captions: float) -> float:
        return images * cost.image + captions * cost.caption + images * captions * scoring

    # Steps.
    released = len(dataset.train.images)
    held_out = max(1, round(config.validation_fraction * released))
    captions_per_image = len(dataset.train.captions) / released
    images = config.train_images or released - held_out
    pairs = images if config.pairs == "images" else images * captions_per_image
    steps = config.epochs * math.ceil(pairs / config.batch_size)

    # Validations, one of them before training; one test, and one more for each of these in the selection audit.
    rounds = _validations(config) if config.epochs else 0
    validation = ranked(held_out, held_out * captions_per_image)
    test = ranked(len(dataset.test.images), len(dataset.test.captions))
    return steps * cost.step + rounds * validation + (rounds + 1) * test


def cache_bytes(runs: Iterable[tuple[RunConfig, Cost]]) -> dict[str, int]:
    """Bytes of each cache that the runs read, and share."""
    return {name: size for _, cost in runs for name, size in cost.caches.items()}


def weight_bytes(runs: Iterable[tuple[RunConfig, Cost]], workers: int) -> int:
    """Bytes of trained weights: those of all finished runs, and those of every validated epoch of the runs at work."""
    kept, while_training = 0, [0]
    for config, cost in runs:
        kept += 4 * cost.trained
        # One candidate per validation; a checkpoint, and the next one before it replaces the first.
        while_training.append(4 * cost.trained * (_validations(config) + 2 * STATES))
    return kept + workers * max(while_training)


def _validations(config: RunConfig) -> int:
    """How many a run has if it stops at its last epoch: one before training, one after each interval."""
    return 1 + math.ceil(config.epochs / config.validation_interval)


def _splits(dataset: RetrievalData) -> tuple[Split, Split]:
    return dataset.train, dataset.test


def _sample(train: Split, kind: RunConfig, size: int) -> Split:
    """Some images with all their captions, drawn at random, since files are sorted by class."""
    if kind.scene_probability and not scene_labels.scene_classes(train.scenes):
        raise ConfigError("scene_probability: no training image has a scene label; take these runs out of the sections")
    captioned = np.random.default_rng(0).permutation(np.flatnonzero(train.captions_per_image))
    return train.subset(captioned[:size])


def _step_seconds(kind: RunConfig, model: AdaptedCLIP, batch: PreparedSplit, device: torch.device) -> float:
    """Seconds of an epoch of one batch; the second of two."""
    width = embed_texts(model, batch, batch.caption_rows[:1]).shape[1]
    state = TrainState.start(kind.replace(learning_rate=RATE), model, width)
    state.history.append({"epoch": 0})
    return [seconds_of(lambda: epoch.train_epoch(state, batch), device) for _ in range(2)][-1]


def _cache_bytes(model: AdaptedCLIP, sample: Inputs, amounts: Amounts) -> dict[str, int]:
    """Bytes of the caches that a sample was read from, scaled to both splits."""
    images = sum(len(split.images) for split in _splits(amounts.dataset))
    if sample.pixels is not None:
        return {"pixels": images * sample.pixels[0].nbytes}
    assert sample.image_taps is not None and sample.text_taps is not None  # pixels or taps
    text_taps = 0
    for captions, longest in zip(amounts.captions, amounts.longest, strict=True):
        row = sample.text_taps[0]
        rows = 1 if row.ndim == 1 else (len(row) + longest - sample.tokens.shape[1]) / len(row)
        text_taps += round(captions * row.nbytes * rows)
    specs = model.method.tap_specs
    image_taps = images * sample.image_taps[0].nbytes
    return {f"image {specs['image']}": image_taps, f"text {specs['text']}": text_taps}
