"""What a training step costs: trained parameters, bytes kept for the backward pass, device memory, images per second.

Batches are made here, so nothing but a backbone is needed: weights and pixels are random, which changes neither bytes
nor times, and captions are of the usual length.
"""

import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
import open_clip
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from petl_core import backbone
from petl_core.adapters import METHODS, SideMethod, attach, check
from petl_core.losses import infonce
from petl_core.plots import figures
from petl_core.runs.provenance import MIB
from petl_core.training.pretraining import PretrainConfig
from petl_core.validation import ConfigError

STEPS = 2  # timed in each round, after one that is not
ZERO_SHOT, FULL, MRS, FOCUS = (figures.METHODS[name] for name in ("zero_shot", "full", "mrs", "focus"))
CACHED = f"{FOCUS}, cached"
CLAIMED_MEMORY, CLAIMED_THROUGHPUT = 0.51, 1.4  # CMER's abstract (arXiv 2501.10638), which does not say of what

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
    """A method to measure. A cached one trains on taps in half precision, as :mod:`petl_core.features` keeps them."""

    label: str
    method: str
    options: dict = field(default_factory=dict)
    cached: bool = False

    def __post_init__(self):
        check(self.method, self.options)
        if self.cached and not issubclass(METHODS[self.method], SideMethod):
            raise ConfigError(f"efficiency: {self.method} changes the towers, so that none of its features can be kept")


SUBJECTS = (
    *(Subject(figures.METHODS[name], name) for name in ("zero_shot", "full", "mrs", "uniadapter", "lst", "focus")),
    Subject(CACHED, "focus", cached=True),
)


class _Kept:
    """What autograd holds in place of a saved tensor; dies with the part of the graph that needs it."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor


def saved_bytes(step: Callable[[], torch.Tensor], exclude: Iterable[torch.Tensor] = ()) -> int:
    """Bytes that the graph of ``step()`` keeps for its backward pass.

    Counted is each distinct storage, whole and once, of the tensors that autograd has saved by the time ``step``
    returns: a view keeps all of what it looks at, and two operations that save one tensor share it. Not counted are
    the storages of ``exclude``, which is for what is in memory anyway: parameters, buffers and the batch itself.

    Args:
        step: runs forward and returns the loss.
        exclude: tensors whose storages do not count.
    """
    alive: weakref.WeakSet[_Kept] = weakref.WeakSet()

    def keep(tensor: torch.Tensor) -> _Kept:
        kept = _Kept(tensor.detach())  # an output still attached to its own node would keep the graph alive for ever
        alive.add(kept)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
        loss = step()
    storages = {s.data_ptr(): s.nbytes() for s in (kept.tensor.untyped_storage() for kept in alive)}
    del loss  # held until here, and with it the graph
    return sum(storages[pointer] for pointer in storages.keys() - {t.untyped_storage().data_ptr() for t in exclude})


def measure(
    subjects: Sequence[Subject] = SUBJECTS,
    model_name: str = "",
    batch_size: int = 8,
    rounds: int = 2,
    device: str | torch.device = "cpu",
) -> pd.DataFrame:
    """Time whole training steps: both towers forward, InfoNCE, backward, Adam; of zero-shot the forward pass alone.

    A round takes every subject in turn, so that whatever else the machine does disturbs all alike. One model is in
    memory at a time, beside one copy of the backbone on the CPU.

    Args:
        subjects: with labels of their own.
        model_name: an open_clip model, built with random weights; "" is a small CLIP of a moment's construction.
        batch_size: image-text pairs a step.
        rounds: each of one step to warm up and two timed ones a subject.
        device: "cpu", "cuda" or "cuda:1".

    Returns:
        One row a subject: label, trained parameters (without ``logit_scale``), backward_mib (:func:`saved_bytes`),
        images_per_second (at the median step), seconds and seconds_iqr of a step, peak_device_mib (weights, gradients
        and optimiser included; NaN on a CPU), and ``*_vs_full`` and ``*_vs_mrs``, ratios to full fine-tuning and
        MRS-Adapter (NaN without them).
    """
    labels = [subject.label for subject in subjects]
    if len(set(labels)) < len(labels) or batch_size < 2 or rounds < 1:
        raise ConfigError("efficiency: needs distinct labels, a batch_size of at least 2 and at least 1 round")
    frozen = _small_backbone() if not model_name else backbone.load(model_name)
    seconds: dict[str, list[float]] = {label: [] for label in labels}
    costs: dict[str, dict] = {}
    for _ in range(rounds):
        for subject in subjects:
            trial = _Trial(subject, frozen, batch_size, torch.device(device))
            costs[subject.label] = trial.costs()
            seconds[subject.label] += trial.seconds(STEPS)
            costs[subject.label]["peak_device_mib"] = trial.peak_mib()
            del trial
    return _with_ratios(pd.DataFrame([_row(label, seconds[label], costs[label], batch_size) for label in labels]))


def timed(step: Callable[[], None], device: torch.device) -> float:
    """Seconds of one ``step()``, with all that it leaves to its device."""
    _synchronize(device)
    started = time.perf_counter()
    step()
    _synchronize(device)
    return time.perf_counter() - started


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Trial:
    """A subject attached to its own copy of the backbone, with a batch, ready to step."""

    def __init__(self, subject: Subject, frozen: backbone.Backbone, batch_size: int, device: torch.device):
        torch.manual_seed(0)
        self.device = device
        self.model = attach(deepcopy(frozen.clip).to(device), subject.method, **subject.options).train()
        self.images = torch.randn(batch_size, 3, *frozen.clip.visual.image_size).to(device)
        captions = [CAPTIONS[i % len(CAPTIONS)] for i in range(batch_size)]
        self.tokens = backbone.trim(frozen.tokens(captions), frozen.clip).to(device)
        self.taps = None
        if subject.cached:
            self.taps = tuple(
                taps.half().cpu() for taps in (self.model.tap_image(self.images), self.model.tap_text(self.tokens))
            )
        trained = list(self.model.trainable().values())
        self.optimizer = torch.optim.Adam(trained, lr=1e-5) if trained else None

    def costs(self) -> dict:
        """What is counted, not timed."""
        in_memory_anyway = (*self.model.parameters(), *self.model.buffers(), self.images, self.tokens)
        return {
            "parameters": self.model.trainable_count(),
            "backward_mib": saved_bytes(self._loss, in_memory_anyway) / MIB,
        }

    def seconds(self, steps: int) -> list[float]:
        """Of each of ``steps`` steps, after one that also allocates the optimiser's state."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        return [timed(self._step, self.device) for _ in range(1 + steps)][1:]

    def peak_mib(self) -> float:
        """The most that these steps had on their GPU at one time, the model included."""
        return torch.cuda.max_memory_allocated(self.device) / MIB if self.device.type == "cuda" else float("nan")

    def _step(self) -> None:
        if self.optimizer is None:
            self._loss()
            return
        loss = self._loss()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def _loss(self) -> torch.Tensor:
        return infonce(*(self._embed() if self.taps is None else self._embed_taps()))

    def _embed(self) -> tuple[torch.Tensor, torch.Tensor]:  # (B, d) images and captions
        model = self.model
        return model.encode_image(self.images, normalize=True), model.encode_text(self.tokens, normalize=True)

    def _embed_taps(self) -> tuple[torch.Tensor, torch.Tensor]:  # (B, d) images and captions
        rows = torch.randperm(len(self.images))
        of_images, of_texts = (taps[rows].to(self.device) for taps in self.taps)  # gathered, as from features.py
        tokens = self.tokens[rows.to(self.device)]
        return (
            self.model.image_from_taps(of_images, normalize=True),
            self.model.text_from_taps(of_texts, tokens, normalize=True),
        )


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame of :func:`measure` as a table to print, without columns of nothing."""
    columns = {
        "Method": frame["label"],
        "Trained parameters": frame["parameters"].map("{:,}".format),
        "Kept (MiB)": frame["backward_mib"].map("{:,.1f}".format),
        "Peak on the GPU (MiB)": frame["peak_device_mib"].map("{:,.0f}".format),
        "Images per second": frame["images_per_second"].map("{:,.1f}".format),
        "Step (s)": frame["seconds"].map("{:.3g}".format),
        "IQR (s)": frame["seconds_iqr"].map("{:.2g}".format),
    }
    for name, label in (("full", FULL), ("mrs", MRS)):
        columns[f"Kept / {label}"] = frame[f"memory_vs_{name}"].map("{:.3f}".format)
        columns[f"Throughput / {label}"] = frame[f"throughput_vs_{name}"].map("{:.2f}".format)
    table = pd.DataFrame(columns).replace("nan", "–")
    return table.loc[:, (table != "–").any()]


def plot(frame: pd.DataFrame) -> Figure:
    """Throughput against bytes kept for the backward pass, CMER's claim relative to full fine-tuning beside them.

    What keeps nothing, such as zero-shot features, has no place on the log axis and is a line.
    """
    figure, axes = plt.subplots(figsize=(figures.TWO_COLUMNS, 3.0))
    points = frame[frame["backward_mib"] > 0]
    for row, marker in zip(points.to_dict("records"), "osD^vP*X", strict=False):
        axes.plot(row["backward_mib"], row["images_per_second"], marker, label=row["label"])
    for row in points[points["label"] == FULL].to_dict("records"):
        claim = row["backward_mib"] * CLAIMED_MEMORY, row["images_per_second"] * CLAIMED_THROUGHPUT
        axes.plot(*claim, "*", markersize=11, color="0.35", fillstyle="none", label="CMER, claimed")
    for row in frame[frame["backward_mib"] == 0].to_dict("records"):
        axes.axhline(row["images_per_second"], color="0.35", linestyle=":", label=f"{row['label']}, forward only")
    axes.set(xscale="log", yscale="log", xlabel="kept for the backward pass (MiB)", ylabel="images per second")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.1, y=0.1)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _small_backbone() -> backbone.Backbone:
    """The embedded default's shape with random weights."""
    config = PretrainConfig(dataset="")
    clip = open_clip.CustomTextCLIP(**config.model()["model_cfg"]).eval().requires_grad_(False)
    preprocess = open_clip.image_transform(config.image_size, is_train=False)
    return backbone.Backbone(clip, preprocess, open_clip.get_tokenizer("ViT-B-32"))


def _row(label: str, seconds: list[float], costs: dict, batch_size: int) -> dict:
    low, median, high = np.percentile(seconds, [25, 50, 75])
    timed = {"images_per_second": batch_size / median, "seconds": median, "seconds_iqr": high - low}
    return {"label": label, **costs, **timed}


def _with_ratios(frame: pd.DataFrame) -> pd.DataFrame:
    for name, label in (("full", FULL), ("mrs", MRS)):
        reference = frame.set_index("label").reindex([label]).iloc[0]  # NaN where it was not measured
        frame[f"memory_vs_{name}"] = frame["backward_mib"] / reference["backward_mib"]
        frame[f"throughput_vs_{name}"] = frame["images_per_second"] / reference["images_per_second"]
    return frame
