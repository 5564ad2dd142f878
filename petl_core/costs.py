"""What training costs: exact activation memory, peak memory, and seconds of a step, by method, batch and queue.

Bytes do not depend on the machine; times do. Batches are made here, so only a backbone is needed: weights and pixels
are random, which changes neither, and captions have the usual length.
"""

import contextlib
import dataclasses
import resource
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

from petl_core import backbone
from petl_core.adapters import METHODS, SideMethod, attach, check_method
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.losses import infonce
from petl_core.recycling import Pairs, Queue
from petl_core.runs.run import find_device, splits_of

MIB = 2**20
TIMED_STEPS = 2  # in each round, after one that is not timed
REFERENCES = ("full", "mrs")  # methods that the others are compared with
CAPTIONS = (
    "many planes are parked next to a long terminal in an airport",
    "a playground with a red track is surrounded by green trees and several buildings",
    "some buildings and green trees are on two sides of a winding river with a bridge over it",
    "a large number of boats are orderly docked in the harbor near a pier",
    "it is a piece of yellow desert with some ripples",
    "a church with a grey roof is near several roads and some parked cars",
    "white waves in the green ocean are near a yellow beach with people",
    "many pieces of farmland of different colours are together",
)


# Measured while a computation runs.


class PeakMemory:
    """The most memory in use since construction: of the GPU, or of this process if there is none.

    Only Linux can reset the count of a process; elsewhere the peak is that of the whole process so far.
    """

    def __init__(self, device: torch.device):
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    @property
    def mib(self) -> float:
        """The peak so far, in MiB."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MIB
        status = Path("/proc/self/status")
        for line in status.read_text().splitlines() if status.exists() else ():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / MIB if sys.platform == "darwin" else peak / 1024


def seconds_of(step: Callable[[], object], device: torch.device) -> float:
    """Wall time of one ``step()``, including the work that it leaves to a GPU."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda _: None
    wait(device)
    started = time.perf_counter()
    step()
    wait(device)
    return time.perf_counter() - started


class _Saved:
    """What autograd holds in place of a tensor it saves; it dies with the part of the graph that needs it."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor


def activation_bytes(step: Callable[[], torch.Tensor], exclude: Iterable[torch.Tensor] = ()) -> int:
    """Activation memory of a training step: what the graph of ``step()`` saves for its backward pass, exactly.

    Counted are the tensors that autograd has saved by the time ``step`` returns, as whole storages, each once: a view
    saves all of the tensor that it is part of, and two operations that save the same tensor share it.

    Args:
        step: runs forward and returns the loss.
        exclude: tensors that are in memory anyway: parameters, buffers and the batch itself.
    """
    alive: weakref.WeakSet[_Saved] = weakref.WeakSet()

    def keep(tensor: torch.Tensor) -> _Saved:
        saved = _Saved(tensor.detach())  # an output still attached to its own node would keep the graph alive forever
        alive.add(saved)
        return saved

    # Tensors that die meanwhile were saved by a part of the graph that the loss does not need.
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved.tensor):
        loss = step()
    storages = [saved.tensor.untyped_storage() for saved in alive]
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
    del loss
    excluded = {tensor.untyped_storage().data_ptr() for tensor in exclude}
    return sum(size for pointer, size in sizes.items() if pointer not in excluded)


# A step of each method.


def training_steps(
    subjects: Sequence[str | tuple[str, dict]] = (),
    model: str = "",
    batch_size: int = 8,
    rounds: int = 2,
    device: str = "cpu",
) -> pd.DataFrame:
    """Time whole training steps: both towers forward, InfoNCE, backward, Adam; for zero-shot only the forward pass.

    Each round measures every subject in turn, so that other work on the machine disturbs all alike. One model is in
    memory at a time, besides one copy of the backbone on the CPU.

    Args:
        subjects: methods, or methods with options; "focus, cached" trains a side method on its taps in half precision.
            All methods by default, and side methods cached.
        model: an open_clip model, built with random weights; the default backbone if empty.
        batch_size: image-text pairs of a step.
        rounds: each has one warm-up step and two timed steps of every subject.
        device: "cpu", "cuda", "cuda:1" or "auto".

    Returns:
        One row a subject: ``row`` (its name), ``method``, ``cached``, trained ``parameters``, and

        activation_mib: what a step saves for its backward pass (:func:`activation_bytes`).
        total_mib: activations, all weights, and a gradient and Adam's two moments for each trained weight.
        peak_device_mib: the peak on a GPU, with temporary tensors; NaN on a CPU.
        images_per_second: at the median step, and at the quartiles ``*_low`` and ``*_high``.
        activation_vs_*, total_vs_*, throughput_vs_*: ratios to full fine-tuning and MRS-Adapter, NaN if not measured.

    Raises:
        ConfigError: an unknown method or option, "cached" of a method whose features change, the same subject twice, a
            batch without negatives, no round, or no such device.
    """
    sides = [name for name in METHODS if issubclass(METHODS[name], SideMethod) and METHODS[name].parameter_count != 0]
    named = [_subject(subject) for subject in subjects or [*METHODS, *(f"{name}, cached" for name in sides)]]
    if len({name for name, *_ in named}) < len(named) or batch_size < 2 or rounds < 1:
        raise ConfigError("costs: needs distinct subjects, a batch_size of at least 2 and at least 1 round")
    on = find_device(device)
    frozen = backbone.load(model or RunConfig().backbone)

    rows: dict[str, dict] = {}
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, method, options, cached in named:
            torch.manual_seed(0)
            trial = dataclasses.replace(frozen, clip=deepcopy(frozen.clip).to(on))
            adapted = attach(trial, method, **options).train()
            step, counts = _trial(adapted, batch_size, cached)
            memory = PeakMemory(on)
            times = [seconds_of(step, on) for _ in range(1 + TIMED_STEPS)]
            seconds.setdefault(name, []).extend(times[1:])
            peak = memory.mib if on.type == "cuda" else float("nan")
            rows[name] = {"row": name, "method": method, "cached": cached, **counts, "peak_device_mib": peak}
            del trial, adapted, step
    frame = pd.DataFrame(rows.values())
    low, median, high = np.percentile([seconds[name] for name in rows], [25, 50, 75], axis=1)
    frame = frame.assign(
        images_per_second=batch_size / median, images_per_second_low=batch_size / high,
        images_per_second_high=batch_size / low, seconds=median,
    )  # fmt: skip
    for reference in REFERENCES:
        of_reference = frame.set_index("row").reindex([METHODS[reference].title]).iloc[0]
        for column, ratio in (
            ("activation_mib", "activation"),
            ("total_mib", "total"),
            ("images_per_second", "throughput"),
        ):
            frame[f"{ratio}_vs_{reference}"] = frame[column] / of_reference[column]
    return frame


def _subject(subject: str | tuple[str, dict]) -> tuple[str, str, dict, bool]:
    """Its name in tables, its method, the method's options, and whether it trains on cached taps."""
    given, options = (subject, {}) if isinstance(subject, str) else subject
    method = given.removesuffix(", cached")
    check_method(method, options)
    if method != given and not issubclass(METHODS[method], SideMethod):
        raise ConfigError(f"costs: {method} changes the towers, so none of its features can be cached")
    words = [METHODS[method].title, *(f"{name} {value}" for name, value in options.items())]
    return ", ".join(words + ["cached"] * (method != given)), method, options, method != given


def _trial(model, batch_size: int, cached: bool) -> tuple[Callable[[], None], dict]:
    """A training step of a model on a batch of its own, and what is counted of it, not timed."""
    images = torch.randn(batch_size, 3, *model.clip.visual.image_size).to(model.device)
    captions = [CAPTIONS[i % len(CAPTIONS)] for i in range(batch_size)]
    tokens = backbone.trim(model.backbone.tokens(captions), model.clip).to(model.device)
    taps = [tap.half().cpu() for tap in (model.tap_image(images), model.tap_text(tokens))] if cached else []
    trained = list(model.trainable().values())
    optimizer = torch.optim.Adam(trained, lr=1e-5) if trained else None

    def loss() -> torch.Tensor:
        if not cached:
            return infonce(model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True))
        rows = torch.randperm(batch_size)  # gathered in random order and moved to the device, as in training
        of_images, of_texts = (tap[rows].to(model.device) for tap in taps)
        texts = model.text_from_taps(of_texts, tokens[rows.to(model.device)], normalize=True)
        return infonce(model.image_from_taps(of_images, normalize=True), texts)

    def step() -> None:
        found = loss()
        if optimizer is not None:
            optimizer.zero_grad(set_to_none=True)
            found.backward()
            optimizer.step()

    weights = (*model.parameters(), *model.buffers())
    activations = activation_bytes(loss, (*weights, images, tokens))
    held = sum(weight.nbytes for weight in weights) + 3 * sum(weight.nbytes for weight in trained)
    counts = {"parameters": model.trainable_count(), "activation_mib": activations / MIB}
    return step, {**counts, "total_mib": (held + activations) / MIB}


# A step of a run.


def activation_mib(config: RunConfig, data_root: str | Path = "data", device: str = "cpu") -> float:
    """MiB of activations that one training step of a run saves for its backward pass, exactly, without training it.

    The whole loss is computed on one batch of the training split, with a full queue if the run has one. Not counted are
    weights, the queue, and the batch's pixels and tokens, which are in memory anyway.

    Returns:
        0 for a run that trains nothing, NaN for one with a gradient cache, whose graphs are built chunk by chunk.
    """
    from petl_core import training
    from petl_core.data import default_data
    from petl_core.inputs import embed_text_rows, prepare

    if not config.epochs or config.gradient_cache:
        return float("nan") if config.epochs else 0.0
    torch.manual_seed(config.seed)
    frozen = backbone.load(config.backbone, config.pretrained, device=find_device(device))
    model = attach(frozen, config.method, train_logit_scale=config.learn_temperature, **config.method_options)
    split = splits_of(config, default_data.load_or_draw(config.dataset, data_root))["train"]
    some = split.subset(
        np.arange(0, len(split.images), max(1, len(split.images) // config.batch_size))[: config.batch_size]
    )
    labelled = config.scene_probability > 0
    with tempfile.TemporaryDirectory() as cache:
        train = prepare(some, model, Path(cache), config.cache_features, labelled).part(some, labelled)
        rows = next(training.epoch_batches(train, config, epoch=1))
        classes = None
        if config.scene_weight:  # of the whole split
            classes = training._scene_classes(model, dataclasses.replace(train, scenes=(*train.scenes, *split.scenes)))
        width = embed_text_rows(model, train, train.caption_rows[:1]).shape[1]
        state = training.TrainState.start(config, model, width)
        state.queue.stored = config.queue_size  # full
        model.train()
        read: list[torch.Tensor] = []  # pixels and tokens, to be left out
        for encode in ("encode_image", "encode_text"):
            setattr(model, encode, _recording(getattr(model, encode), read))

        def step() -> torch.Tensor:
            return training.batch_loss(state, train, rows, np.random.default_rng(config.seed), classes)["total"]

        held = chain(model.parameters(), model.buffers(), state.queue.buffers(), read)
        return activation_bytes(step, held) / MIB


def _recording(encode: Callable, read: list[torch.Tensor]) -> Callable:
    """``encode``, which also appends its input to ``read``."""

    def encode_and_record(batch: torch.Tensor, **options: bool) -> torch.Tensor:
        read.append(batch)
        return encode(batch, **options)

    return encode_and_record


# A queue.


def queue_steps(
    sizes: Sequence[int], batch_size: int = 32, width: int = 512, steps: int = 5, device: str = "cpu"
) -> pd.DataFrame:
    """What a full queue of recycled negatives adds to a step: its loss, gradients to the batch, enqueueing.

    Args:
        sizes: entries of each modality, measured in turn.
        batch_size: image-text pairs of a step.
        width: d of the embeddings.
        steps: timed of each size, each after an untimed one of the same size.
        device: as for :func:`training_steps`.

    Returns:
        One row a size: ``size``, ``milliseconds`` (median) with quartiles ``*_low`` and ``*_high``, ``stored_mib``
        (what the queue holds) and ``activation_mib`` (what its loss saves for the backward pass).

    Raises:
        ConfigError: a size, batch or number of steps below 1, or no such device.
    """
    if not sizes or min(sizes) < 1 or batch_size < 1 or steps < 1:
        raise ConfigError("queue costs: sizes, batch_size and steps must be at least 1")
    on = find_device(device)

    def pairs(ids: range) -> Pairs:
        images, texts = (normalize(torch.randn(len(ids), width, device=on), dim=-1) for _ in range(2))
        numbers = torch.tensor(ids, device=on)
        return Pairs(images, texts, numbers, numbers)

    trials = []
    for size in sizes:
        queue, batch = Queue(size, width).to(on), pairs(range(size, size + batch_size))
        queue.enqueue(pairs(range(size)))
        trials.append((queue, batch, (batch.images.requires_grad_(), batch.texts.requires_grad_())))

    def step(queue: Queue, batch: Pairs, embeddings: tuple) -> None:
        torch.autograd.grad(queue.loss(batch, batch), embeddings)
        queue.enqueue(batch)

    rounds = []
    for _ in range(steps):  # the untimed step fills the caches that a larger queue took
        rounds.append([[seconds_of(lambda trial=trial: step(*trial), on) for _ in range(2)][1] for trial in trials])
    low, median, high = 1e3 * np.percentile(rounds, [25, 50, 75], axis=0)
    activations = [
        activation_bytes(lambda q=queue, b=batch: q.loss(b, b), (*queue.buffers(), *vars(batch).values())) / MIB
        for queue, batch, _ in trials
    ]
    stored = [sum(buffer.nbytes for buffer in queue.buffers()) / MIB for queue, *_ in trials]
    times = {"milliseconds": median, "milliseconds_low": low, "milliseconds_high": high}
    return pd.DataFrame({"size": list(sizes), **times, "stored_mib": stored, "activation_mib": activations})
