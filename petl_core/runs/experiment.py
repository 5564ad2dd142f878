"""``run(RunConfig)`` -> ``runs/<hash>/``: trained once, resumed when killed, never trained again.

What it leaves on disk is read by :mod:`petl_core.runs.folder`.
"""

import contextlib
import dataclasses
import os
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import filelock
import numpy as np
import torch

from petl_core import adapters, backbone, data
from petl_core.config import RunConfig
from petl_core.data import default_data, scene_labels
from petl_core.errors import ConfigError
from petl_core.files import resolve, write_atomically, write_json
from petl_core.measuring import PeakMemory
from petl_core.runs import provenance
from petl_core.runs.folder import Run, is_finished, open_run
from petl_core.runs.scene_tests import SceneChoice
from petl_core.runs.testing import SplitScores, audit_selection, choose_scene_tests, score_test_split
from petl_core.training import default_backbones, fitting, inputs
from petl_core.training.encoding import PreparedSplit, embed_texts
from petl_core.training.epoch_weights import EpochWeights
from petl_core.training.state import TrainState, best_epoch

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS does not repeat itself

SUBSET_STREAM = 3  # of random numbers, separate from those of training


def run(
    config: RunConfig,
    data_root: str | Path = "data",
    runs_root: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
) -> Run:
    """The finished run of ``config``: read if it is there, resumed if it was interrupted, trained otherwise.

    The epoch is chosen by validation mR; the test split is read once, after training. On a CPU with as many threads a
    run repeats itself to the bit; on a GPU it uses only operations that PyTorch calls deterministic.

    Args:
        config: what to train and evaluate.
        data_root: folder of the data sets. Its location is not part of a run's identity.
        runs_root: folder of all runs.
        device: "cpu", "cuda", "cuda:1", or "auto".
        progress: show bars on stderr.

    Raises:
        ConfigError: for an unknown method, option, backbone or device; for inputs other than the finished run's.
        petl_core.data.DataError: naming file, line and remedy.
        RuntimeError: PyTorch has no deterministic form of an operation on this GPU.
    """
    folder = resolve(runs_root) / config.hash
    try:
        check_method_and_backbone(config)
        on = find_device(device)
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):  # two processes asked for one run: the second finds it finished
            dataset = default_data.load_or_draw(config.dataset, data_root)
            weights = default_backbones.find_or_pretrain(config.backbone, runs_root, data_root, progress)
            digests = provenance.digests(dataset, weights, config.pretrained)
            if not is_finished(folder):
                (folder / "failed.json").unlink(missing_ok=True)
                write_json(folder / "config.json", _request_record(config))
                _train_and_test(_Job(config, dataset, digests, folder, progress), weights, on)
            return _open_verified(folder, digests)
    except Exception as error:
        if not is_finished(folder):
            with contextlib.suppress(OSError):  # the first error counts
                reason = f"{type(error).__name__}: {error}"
                write_json(folder / "failed.json", {**_request_record(config), "reason": reason})
        raise


def load_model(finished: Run, data_root: str | Path = "data", device: str = "auto") -> adapters.AdaptedCLIP:
    """A run's trained model on its backbone, in evaluation mode."""
    config = finished.config
    weights = default_backbones.find_or_pretrain(config.backbone, finished.folder.parent, data_root)
    frozen = backbone.load(weights, config.pretrained, config.precision, find_device(device))
    return adapters.load(frozen, finished.folder / "adapter.safetensors").eval()


def find_device(name: str) -> torch.device:
    """A device by name; "auto" is the GPU where there is one.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r}: {error}") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r}: choose 'cpu', 'cuda', 'cuda:1' or 'auto'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        visible = torch.cuda.device_count() or "no"
        raise ConfigError(f"device {name!r}: {visible} CUDA devices are visible; use 'cpu' or 'auto'")
    return device


def use_deterministic_operations() -> None:
    """Let PyTorch use only operations that it calls deterministic, slower on a GPU; others raise RuntimeError."""
    torch.use_deterministic_algorithms(True)  # with warn_only, attention on a GPU would stay as it is


@dataclass(frozen=True)
class _Job:
    """A run to be trained and tested."""

    config: RunConfig
    dataset: data.RetrievalData
    digests: dict[str, str]  # of data, images and backbone
    folder: Path
    progress: bool

    def training_parts(self) -> tuple[data.Split, data.Split]:
        """Training and validation images."""
        splits = splits_of(self.config, self.dataset)
        with_captions = len(np.unique(splits["train"].image_of))
        if self.config.epochs and with_captions < 2:
            raise ConfigError(f"{with_captions} images with captions are left for training; a contrast needs two")
        for name in ("scene_probability", "scene_weight", "scene_balance"):
            if getattr(self.config, name) and not scene_labels.scene_classes(splits["train"].scenes):
                raise ConfigError(f"{name}: no training image has a scene label; set it to 0, or name the scenes")
        return splits["train"], splits["validation"]

    @property
    def training_split(self) -> data.Split:
        """The split that both are parts of."""
        released = self.dataset.train
        return released.with_blank_captions() if self.config.blank_captions else released

    def prepare(self, model: adapters.AdaptedCLIP, split: data.Split, *parts: data.Split) -> list[PreparedSplit]:
        """Parts of a split, from the cache that all runs share."""
        root, template = self.folder.parent / "cache", self.template
        if self.config.cache_features:
            whole = inputs.cached_taps(split, model, root, self.progress)
        else:
            whole = inputs.cached_pixels(split, model.backbone, root, self.progress, template)
        return [whole.part(part, template) for part in parts]

    def has_scene_tests(self, train: data.Split) -> bool:
        """Whether any test image has a label that was seen in training."""
        classes = scene_labels.scene_classes(train.scenes)
        return bool((scene_labels.class_indices(self.dataset.test.scenes, classes) != scene_labels.UNKNOWN).any())

    @property
    def template(self) -> str:
        """For scene labels in training captions; empty if the run uses none."""
        return self.config.scene_template if self.config.scene_probability else ""


@dataclass(frozen=True)
class _Trained:
    """What training leaves for the test."""

    model: adapters.AdaptedCLIP  # at the chosen epoch
    train: data.Split
    validation: data.Split
    scene_choice: SceneChoice | None  # None if no test image has a label that was seen in training
    history: list[dict]
    epoch_weights: EpochWeights
    peak_memory_mib: float
    seconds: dict[str, float]


def _train_and_test(job: _Job, weights: str, device: torch.device) -> None:
    """Train, test and write everything; ``metrics.json`` last."""
    torch.manual_seed(job.config.seed)
    use_deterministic_operations()
    trained = _train(job, weights, device)
    tested, audited, seconds = _test(job, trained)

    hits = {"": tested.hits, **{f"_{mode}": found for mode, found in tested.scene_hits.items()}}
    for mode, found in hits.items():
        write_atomically(job.folder / f"test_hits{mode}.npy", partial(_write_array, found))
    config, model = job.config, trained.model
    splits = {"train": trained.train, "validation": trained.validation, "test": job.dataset.test}
    metrics = {
        "hash": config.hash,
        "config": dataclasses.asdict(config),
        "method": {"title": adapters.METHODS[config.method].title, "options": dataclasses.asdict(model.options)},
        "inputs": job.digests,
        "scores": tested.scores,
        "intervals": tested.intervals,
        "scene_scores": tested.scene_scores,
        "scene_test": tested.scene_test,
        "chosen_epoch": best_epoch(trained.history)["epoch"],
        "history": trained.history,
        "selection_audit": audited,
        "parameters": {
            "trained": model.trainable_count(),
            "backbone": sum(p.numel() for p in model.clip.parameters()),
        },
        "images": {name: len(split.images) for name, split in splits.items()},
        "captions": {name: len(split.captions) for name, split in splits.items()},
        "blank_captions_dropped": sum(split.blank for split in splits.values()),
        "seconds": {**trained.seconds, "test": seconds},
        "peak_memory_mib": trained.peak_memory_mib,
        "environment": provenance.environment(device),
    }
    write_json(job.folder / "metrics.json", metrics)
    (job.folder / "checkpoint.pt").unlink(missing_ok=True)
    shutil.rmtree(trained.epoch_weights.folder, ignore_errors=True)


def _train(job: _Job, weights: str, device: torch.device) -> _Trained:
    """Train if there is anything to train, and choose on the validation part what the tests need."""
    config = job.config
    started = time.perf_counter()
    frozen = backbone.load(weights, config.pretrained, config.precision, device)
    model = adapters.attach(frozen, config.method, train_logit_scale=config.learn_temperature, **config.method_options)
    train, validation = job.training_parts()
    history, epoch_weights = [{"epoch": 0}], EpochWeights(job.folder / "epoch_weights")
    seconds = {"load": time.perf_counter() - started, "prepare": 0.0}

    trains, has_scene_tests = config.epochs > 0 and bool(model.trainable()), job.has_scene_tests(train)
    if trains or has_scene_tests:
        started = time.perf_counter()
        prepared_train, prepared_validation = job.prepare(model, job.training_split, train, validation)
        seconds["prepare"] = time.perf_counter() - started

    memory = PeakMemory(device)
    if trains:
        width = embed_texts(model, prepared_train, prepared_train.caption_rows[:1]).shape[1]
        state = TrainState.start(config, model, width, job.progress)
        epoch_weights = fitting.fit(state, prepared_train, prepared_validation, job.folder, job.digests)
        history = state.history
    peak = memory.mib
    model.save(job.folder / "adapter.safetensors")
    seconds["train"] = sum(entry.get("seconds", 0.0) for entry in history)
    seconds["validate"] = sum(entry.get("validation_seconds", 0.0) for entry in history)

    scene_choice = None
    if has_scene_tests:
        started = time.perf_counter()
        scene_choice = choose_scene_tests(model, (prepared_train, train), (prepared_validation, validation), config)
        seconds["validate"] += time.perf_counter() - started
    return _Trained(model, train, validation, scene_choice, history, epoch_weights, peak, seconds)


def _test(job: _Job, trained: _Trained) -> tuple[SplitScores, list[float], float]:
    """The one test; the audit, made when nothing can be chosen by it any more; and the seconds of both."""
    started = time.perf_counter()
    test = job.dataset.test
    (prepared,) = job.prepare(trained.model, test, test)
    tested = score_test_split(trained.model, prepared, test, trained.scene_choice, job.config)
    validated = [entry["epoch"] for entry in trained.history if "validation_mr" in entry]
    audited = audit_selection(trained.model, prepared, trained.epoch_weights, validated)
    return tested, audited, time.perf_counter() - started


def _write_array(array: np.ndarray, path: Path) -> None:
    np.save(path, array)


def _open_verified(folder: Path, digests: dict[str, str]) -> Run:
    """A finished run whose inputs are still what they were.

    Raises:
        ConfigError: one has changed.
    """
    finished = open_run(folder)
    for name, digest in digests.items():
        made_with = finished.metrics["inputs"][name]
        if made_with != digest:
            raise ConfigError(
                f"run {folder} was made with other {name} under the same name ({made_with}, now {digest}); delete the "
                "folder to run it again, or choose another runs_root"
            )
    return finished


def splits_of(config: RunConfig, dataset: data.RetrievalData) -> dict[str, data.Split]:
    """What a run trains on, chooses by and is tested on: "train", "validation", "test"."""
    train, validation = data.split_validation(dataset.train, config.validation_fraction, seed=config.seed)
    train = draw_images(train, config.train_images, config.seed)
    if config.blank_captions:
        train = train.with_blank_captions()
    return {"train": train, "validation": validation, "test": dataset.test}


def draw_images(train: data.Split, count: int, seed: int) -> data.Split:
    """``count`` random images, since files are sorted by class; smaller draws are parts of larger ones; 0 means all.

    Images without captions are not drawn.

    Raises:
        ConfigError: there are fewer images.
    """
    captioned = np.unique(train.image_of)
    if count > len(captioned):
        raise ConfigError(f"train_images = {count}, but only {len(captioned)} images are left for training")
    chosen = np.random.default_rng([seed, SUBSET_STREAM]).permutation(captioned)[:count]
    return train.subset(np.sort(chosen)) if count else train


def _request_record(config: RunConfig) -> dict:
    """What a run's folder says about the run before it is finished."""
    method = adapters.METHODS.get(config.method)
    return {"title": method.title if method else config.method, "config": dataclasses.asdict(config)}


def check_method_and_backbone(config: RunConfig) -> None:
    """Raise ConfigError for what RunConfig itself does not check: unknown methods, and backbones without weights."""
    adapters.check_method(config.method, config.method_options)
    side = [name for name, method in adapters.METHODS.items() if issubclass(method, adapters.SideMethod)]
    if config.cache_features and config.method not in side:
        raise ConfigError(
            f"cache_features: {config.method} works inside the towers, so their features cannot be cached; "
            f"set it to False, or choose one of {', '.join(side)}"
        )
    default_backbones.require_weights(config.backbone, config.pretrained)
