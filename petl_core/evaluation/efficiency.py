"""What a training step costs: trained parameters, activation memory, total memory, images per second.

Batches are made here, so only a backbone is needed: weights and pixels are random, which changes neither bytes nor
times, and captions have the usual length.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import open_clip
import pandas as pd
import torch

from petl_core import backbone
from petl_core.adapters import METHODS, SideMethod, attach, check_method
from petl_core.errors import ConfigError
from petl_core.losses import infonce
from petl_core.measuring import MIB, PeakMemory, activation_bytes, seconds_of
from petl_core.runs.experiment import find_device
from petl_core.training.pretraining import PretrainConfig

TIMED_STEPS = 2  # in each round, after one that is not timed
REFERENCES = ("full", "mrs")  # subjects that the others are compared with

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


@dataclass(frozen=True)
class Subject:
    """A method to measure.

    Args:
        key: identifies the measurement; the reference methods have the keys in ``REFERENCES``.
        method: a key of ``METHODS``.
        options: of the method.
        cached: train on taps in half precision, as :mod:`petl_core.training.inputs` caches them.

    Raises:
        ConfigError: an unknown method or option, or ``cached`` with a method whose features change.
    """

    key: str
    method: str
    options: dict = field(default_factory=dict)
    cached: bool = False

    def __post_init__(self):
        check_method(self.method, self.options)
        if self.cached and not issubclass(METHODS[self.method], SideMethod):
            raise ConfigError(f"efficiency: {self.method} changes the towers, so none of its features can be cached")

    @property
    def title(self) -> str:
        """Its name in tables: the method's title, its options if it has any, and whether it is cached."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return METHODS[self.method].title + (f" ({options})" if options else "") + (", cached" if self.cached else "")


SUBJECTS = (
    *(Subject(name, name) for name in METHODS),
    *(
        Subject(f"{name}_cached", name, cached=True)
        for name, method in METHODS.items()
        if issubclass(method, SideMethod) and method.parameter_count != 0
    ),
)


def measure_training_steps(
    subjects: Sequence[Subject] = SUBJECTS,
    model_name: str = "",
    batch_size: int = 8,
    rounds: int = 2,
    device: str = "cpu",
) -> pd.DataFrame:
    """Time whole training steps: both towers forward, InfoNCE, backward, Adam; for zero-shot only the forward pass.

    Each round measures every subject in turn, so that other work on the machine disturbs all alike. One model is in
    memory at a time, in addition to one copy of the backbone on the CPU.

    Args:
        subjects: with distinct keys.
        model_name: an open_clip model, built with random weights; "" is a small CLIP that is built in a moment.
        batch_size: image-text pairs per step.
        rounds: each has one warm-up step and two timed steps per subject.
        device: "cpu", "cuda", "cuda:1" or "auto".

    Returns:
        One row per subject: ``subject`` (its key), ``method``, ``cached``, ``title``, trained ``parameters`` (without
        ``logit_scale``), and

        activation_mib: what a step saves for its backward pass (:func:`petl_core.measuring.activation_bytes`).
        total_mib: activations, all weights, and a gradient and Adam's two moments for each trained weight.
        peak_device_mib: the peak on a GPU, with temporary tensors; NaN on a CPU.
        images_per_second: at the median step, and at the quartiles ``*_low`` and ``*_high``.
        seconds, seconds_iqr: median and interquartile range of a step.
        activation_vs_*, total_vs_*, throughput_vs_*: ratios of activation_mib, total_mib and images_per_second to those
        of full fine-tuning and of MRS-Adapter; NaN where these were not measured.

    Raises:
        ConfigError: two subjects with the same key, a batch without negatives, no round, or no such device.
    """
    keys = [subject.key for subject in subjects]
    if len(set(keys)) < len(keys) or batch_size < 2 or rounds < 1:
        raise ConfigError("efficiency: needs distinct keys, a batch_size of at least 2 and at least 1 round")
    chosen_device = find_device(device)
    frozen = backbone.load(model_name) if model_name else _small_backbone()

    seconds: dict[str, list[float]] = {key: [] for key in keys}
    counts: dict[str, dict] = {}
    for _ in range(rounds):
        for subject in subjects:
            trial = _Trial(subject, frozen, batch_size, chosen_device)
            counts[subject.key] = trial.counts()
            memory = PeakMemory(chosen_device)
            seconds[subject.key] += trial.seconds(TIMED_STEPS)
            counts[subject.key]["peak_device_mib"] = memory.mib if chosen_device.type == "cuda" else float("nan")
            del trial

    named = [
        {"subject": subject.key, "method": subject.method, "cached": subject.cached, "title": subject.title}
        for subject in subjects
    ]
    rows = [row | counts[key] | _times(seconds[key], batch_size) for key, row in zip(keys, named, strict=True)]
    return _with_ratios(pd.DataFrame(rows))


def readable_costs(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of :func:`measure_training_steps` as a table to print, without empty columns."""
    columns = {
        "Method": frame["title"],
        "Trained parameters": frame["parameters"].map("{:,}".format),
        "Activations (MiB)": frame["activation_mib"].map("{:,.1f}".format),
        "Total (MiB)": frame["total_mib"].map("{:,.1f}".format),
        "Peak on the GPU (MiB)": frame["peak_device_mib"].map("{:,.0f}".format),
        "Images per second": frame["images_per_second"].map("{:,.1f}".format),
        "Step (s)": frame["seconds"].map("{:.3g}".format),
        "IQR (s)": frame["seconds_iqr"].map("{:.2g}".format),
    }
    for reference in REFERENCES:
        title = METHODS[reference].title
        columns[f"Activations / {title}"] = frame[f"activation_vs_{reference}"].map("{:.3f}".format)
        columns[f"Total / {title}"] = frame[f"total_vs_{reference}"].map("{:.2f}".format)
        columns[f"Throughput / {title}"] = frame[f"throughput_vs_{reference}"].map("{:.2f}".format)
    table = pd.DataFrame(columns).replace("nan", "–")
    return table.loc[:, (table != "–").any()]


class _Trial:
    """A subject attached to its own copy of the backbone, with a batch to train on."""

    def __init__(self, subject: Subject, frozen: backbone.Backbone, batch_size: int, device: torch.device):
        torch.manual_seed(0)
        self.device = device
        own = dataclasses.replace(frozen, clip=deepcopy(frozen.clip).to(device))
        self.model = attach(own, subject.method, **subject.options).train()

        # A batch of random pixels and of captions of the usual length.
        self.images = torch.randn(batch_size, 3, *frozen.clip.visual.image_size).to(device)
        captions = [CAPTIONS[i % len(CAPTIONS)] for i in range(batch_size)]
        self.tokens = backbone.trim(frozen.tokens(captions), frozen.clip).to(device)
        self.taps = None
        if subject.cached:
            taps = self.model.tap_image(self.images), self.model.tap_text(self.tokens)
            self.taps = tuple(tap.half().cpu() for tap in taps)

        trained = list(self.model.trainable().values())
        self.optimizer = torch.optim.Adam(trained, lr=1e-5) if trained else None

    def counts(self) -> dict:
        """What is counted, not timed: trained parameters, activation memory and total memory."""
        weights = (*self.model.parameters(), *self.model.buffers())
        activations = activation_bytes(self._loss, (*weights, self.images, self.tokens))
        # Each trained weight also has a gradient and Adam's two moments.
        weights_and_states = _bytes(weights) + 3 * _bytes(self.model.trainable().values())
        return {
            "parameters": self.model.trainable_count(),
            "activation_mib": activations / MIB,
            "total_mib": (weights_and_states + activations) / MIB,
        }

    def seconds(self, steps: int) -> list[float]:
        """Of each of ``steps`` steps, after an untimed one, which also allocates the optimiser's state."""
        return [seconds_of(self._step, self.device) for _ in range(1 + steps)][1:]

    def _step(self) -> None:
        loss = self._loss()
        if self.optimizer is not None:
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def _loss(self) -> torch.Tensor:
        images, texts = self._embed() if self.taps is None else self._embed_taps(self.taps)  # (B, d) each
        return infonce(images, texts)

    def _embed(self) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            self.model.encode_image(self.images, normalize=True),
            self.model.encode_text(self.tokens, normalize=True),
        )

    def _embed_taps(self, taps: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        # Gathered in random order and moved to the device, as training from cached features does.
        rows = torch.randperm(len(self.images))
        image_taps, text_taps = (tap[rows].to(self.device) for tap in taps)
        tokens = self.tokens[rows.to(self.device)]
        return (
            self.model.image_from_taps(image_taps, normalize=True),
            self.model.text_from_taps(text_taps, tokens, normalize=True),
        )


def _small_backbone() -> backbone.Backbone:
    """The embedded default's shape with random weights."""
    config = PretrainConfig(dataset="")
    clip = open_clip.CustomTextCLIP(**config.model()["model_cfg"]).eval().requires_grad_(False)
    preprocess = open_clip.image_transform(config.image_size, is_train=False)
    return backbone.Backbone(clip, preprocess, open_clip.get_tokenizer("ViT-B-32"))


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _times(seconds: list[float], batch_size: int) -> dict:
    low, median, high = np.percentile(seconds, [25, 50, 75])
    return {
        "images_per_second": batch_size / median,
        "images_per_second_low": batch_size / high,
        "images_per_second_high": batch_size / low,
        "seconds": median,
        "seconds_iqr": high - low,
    }


def _with_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    by_subject = frame.set_index("subject")
    for name in REFERENCES:
        reference = by_subject.reindex([name]).iloc[0]  # NaN where it was not measured
        frame[f"activation_vs_{name}"] = frame["activation_mib"] / reference["activation_mib"]
        frame[f"total_vs_{name}"] = frame["total_mib"] / reference["total_mib"]
        frame[f"throughput_vs_{name}"] = frame["images_per_second"] / reference["images_per_second"]
    return frame
