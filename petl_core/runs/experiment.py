"""``run(RunConfig)`` -> ``runs/<hash>/``: trained once, resumed when killed, never trained again.

config.json           what was asked
checkpoint.pt         the state after the last finished epoch; removed at the end
adapter.safetensors   what was trained, at the epoch with the best validation mR
test_hits.npy         (test images, 7): see retrieval.per_image_hits
test_hits_oracle.npy, test_hits_predicted.npy   the same with scene labels in the queries, where training had them
metrics.json          every figure; written last: where it stands, the run is finished
failed.json           why the last attempt failed, if it did
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import filelock
import numpy as np
import torch

from petl_core import adapters, backbone, data, retrieval
from petl_core.config import RunConfig
from petl_core.data import default_data, scene_labels
from petl_core.files import read_json, write_atomically, write_json
from petl_core.paths import resolve
from petl_core.runs import provenance
from petl_core.training import default_backbones, features, fitting
from petl_core.training import encoding as training
from petl_core.validation import ConfigError

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS does not repeat itself


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    config: RunConfig
    metrics: dict

    @property
    def test_hits(self) -> np.ndarray:
        """(test images, 7), for paired comparisons with :func:`petl_core.retrieval.paired_bootstrap`."""
        return np.load(self.folder / "test_hits.npy")


def run(
    config: RunConfig,
    data_root: str | Path = "data",
    runs_root: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
) -> Run:
    """The finished run of ``config``: read if it is there, resumed if it was interrupted, trained otherwise.

    The epoch is chosen by validation mR; the test split is read once, after training. On a CPU with as many threads a
    run repeats itself to the bit; on a GPU, as far as PyTorch has deterministic kernels.

    Args:
        config: what to train and evaluate.
        data_root: folder of the data sets. Where it lies is no part of a run's identity.
        runs_root: folder of all runs.
        device: "cpu", "cuda", "cuda:1", or "auto".
        progress: show bars on stderr.

    Raises:
        ConfigError: for an unknown method, option, backbone or device; for inputs that changed under their names.
        petl_core.data.DataError: naming file, line and remedy.
    """
    folder = resolve(runs_root) / config.hash
    try:
        return _run(config, folder, data_root, device, progress)
    except Exception as error:
        if not (folder / "metrics.json").exists():
            failure = {"config": dataclasses.asdict(config), "reason": f"{type(error).__name__}: {error}"}
            with contextlib.suppress(OSError):  # the first error counts
                write_json(folder / "failed.json", failure)
        raise


def _run(config: RunConfig, folder: Path, data_root: str | Path, device: str, progress: bool) -> Run:
    adapters.check(config.method, config.method_options)
    _check_cache(config)
    _check_weights(config)
    torch_device = _device(device)
    runs_root = folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):  # two processes asked for one run: the second finds it finished
        dataset = default_data.load_or_draw(config.dataset, data_root)
        backbone_name = default_backbones.find_or_pretrain(config.backbone, runs_root, data_root, progress)
        inputs = {
            "data": dataset.fingerprint(),
            "images": dataset.image_sizes(),
            "backbone": provenance.weights_digest(backbone_name, config.pretrained),
        }
        if not (folder / "metrics.json").exists():
            (folder / "failed.json").unlink(missing_ok=True)
            write_json(folder / "config.json", dataclasses.asdict(config))
            model, metrics, hits = _train_and_test(
                config, dataset, backbone_name, inputs, folder, torch_device, progress
            )
            model.save(folder / "adapter.safetensors")
            for name, values in hits.items():
                write_atomically(folder / f"{name}.npy", lambda path, values=values: np.save(path, values))
            write_json(folder / "metrics.json", {"hash": config.hash, "inputs": inputs, **metrics})
            (folder / "checkpoint.pt").unlink(missing_ok=True)
        return _read(folder, config, inputs)


def open_run(folder: str | Path, data_root: str | Path = "data") -> Run:
    """A finished run by its folder; never trains.

    Raises:
        ConfigError: there is no finished run in it, or one of another version.
    """
    folder = resolve(folder)
    if not (folder / "metrics.json").exists():
        raise ConfigError(f"{folder} holds no metrics.json: not a finished run; run its configuration first")
    config = _read_config(folder)
    if config.hash != folder.name:
        raise ConfigError(
            f"{folder}: this version keeps its configuration under {config.hash}; run it again, or give the folder "
            "its name back"
        )
    return run(config, data_root, folder.parent)


@dataclass(frozen=True)
class Failure:
    """A run that was asked for and is not there."""

    name: str
    config: RunConfig | None
    reason: str


def collect(
    runs: Sequence[str | RunConfig],
    data_root: str | Path = "data",
    runs_root: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
) -> tuple[list[Run], list[Failure]]:
    """Runs in the order asked, and those that failed: a configuration is run, a name is only read."""
    finished, failed = [], []
    for asked in runs:
        name = asked.hash if isinstance(asked, RunConfig) else asked
        try:
            if isinstance(asked, RunConfig):
                finished.append(run(asked, data_root, runs_root, device, progress))
            else:
                finished.append(open_run(resolve(runs_root) / name, data_root))
        except Exception as error:
            failed.append(_failure(resolve(runs_root) / name, f"{type(error).__name__}: {error}"))
    if not finished:
        reasons = "; ".join(f"{failure.name}: {failure.reason}" for failure in failed) or "none was asked for"
        raise ConfigError(f"no finished run under {resolve(runs_root)}: {reasons}")
    return finished, failed


def _read_config(folder: Path) -> RunConfig:
    path = folder / "config.json"
    try:
        return RunConfig(**read_json(path))
    except (TypeError, OSError) as error:
        raise ConfigError(f"{path} is missing or of another version ({error}); run its configuration again") from error


def _failure(folder: Path, reason: str) -> Failure:
    """What its folder tells of a failed run, otherwise ``reason``."""
    config = None
    if not folder.exists():
        reason = "not run yet"
    if (folder / "config.json").exists():
        with contextlib.suppress(ValueError):  # ConfigError among them: of another version
            config = _read_config(folder)
        if not (folder / "metrics.json").exists():
            reason = "stopped before its end: killed, or out of memory"
    if (folder / "failed.json").exists():
        told = read_json(folder / "failed.json")
        reason = told["reason"]
        with contextlib.suppress(ValueError, TypeError):
            config = RunConfig(**told["config"])
    return Failure(folder.name, config, reason)


def load_model(finished: Run, data_root: str | Path = "data", device: str = "auto"):
    """The run's backbone and its trained model, in evaluation mode."""
    name = default_backbones.find_or_pretrain(finished.config.backbone, finished.folder.parent, data_root)
    frozen = backbone.load(name, finished.config.pretrained, finished.config.precision, _device(device))
    model = adapters.load(frozen.clip, finished.folder / "adapter.safetensors").to(_device(device)).eval()
    return frozen, model


def _train_and_test(
    config: RunConfig,
    dataset: data.RetrievalData,
    backbone_name: str,
    inputs: dict[str, str],
    folder: Path,
    device: torch.device,
    progress: bool,
) -> tuple[adapters.AdaptedCLIP, dict, dict[str, np.ndarray]]:
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    frozen = backbone.load(backbone_name, config.pretrained, config.precision, device)
    model = adapters.attach(
        frozen.clip, config.method, train_logit_scale=config.learn_temperature, **config.method_options
    ).to(device)
    train, validation = data.split_validation(dataset.train, config.validation_fraction, seed=config.seed)
    train = _draw(train, config.train_images, config.seed)
    if config.scene_probability and not scene_labels.seen_classes(train):
        raise ConfigError("scene_probability: no training image has a scene label; set it to 0, or name the scenes")

    def prepare(split: data.Split, *parts: data.Split) -> list[training.Prepared]:
        if not config.cache_features:
            template = config.scene_template if config.scene_probability else ""
            return [training.prepare(part, frozen, progress, template) for part in parts]
        cached = features.load(split, model, frozen, folder.parent / "features", device, progress)
        return [cached.prepared(part) for part in parts]

    memory = provenance.PeakMemory(device)
    prepare_training = partial(prepare, dataset.train, train, validation)
    history, seconds = fitting.fit(
        config, model, frozen, prepare_training, folder / "checkpoint.pt", inputs, device, progress
    )
    peak = memory.mib
    started = time.perf_counter()
    (test,) = prepare(dataset.test, dataset.test)
    images, texts = training.embed(model, frozen, test, device, progress)
    scores = retrieval.similarity(images, texts)
    hits = retrieval.per_image_hits(scores, dataset.test.image_of)
    equivalent = retrieval.per_image_hits(scores, dataset.test.image_of, dataset.test.captions)
    labelled = _labelled_scores(config, model, frozen, train, dataset.test, images, texts, device)
    metrics = {
        "config": dataclasses.asdict(config),
        "scores": retrieval.evaluate(scores, dataset.test.image_of, dataset.test.captions),
        "intervals": {"strict": retrieval.bootstrap(hits), "equivalent": retrieval.bootstrap(equivalent)},
        "scene_scores": {
            mode: retrieval.evaluate(similarity, dataset.test.image_of, dataset.test.captions)
            for mode, similarity in labelled.items()
        },
        "chosen_epoch": fitting.best_epoch(history)["epoch"],
        "history": history,
        "parameters": {
            "trained": model.trainable_count(),
            "backbone": sum(p.numel() for p in model.clip.parameters()),
        },
        "images": {
            "train": len(train.images),
            "validation": len(validation.images),
            "test": len(dataset.test.images),
        },
        "blank_captions_dropped": dataset.train.blank + dataset.test.blank,
        "seconds": {**seconds, "test": time.perf_counter() - started},
        "peak_memory_mib": peak,
        "environment": provenance.environment(device),
    }
    of_labelled = {
        f"test_hits_{mode}": retrieval.per_image_hits(similarity, dataset.test.image_of)
        for mode, similarity in labelled.items()
    }
    return model, metrics, {"test_hits": hits, **of_labelled}


def _labelled_scores(config, model, frozen, train, test, images, texts, device) -> dict[str, np.ndarray]:
    """(N, M) of the test images for labelled queries, each mode apart; empty where training saw no labels."""
    classes = scene_labels.seen_classes(train)
    if not (config.scene_probability and classes):
        return {}

    def encode(captions) -> np.ndarray:
        first, rows = training.distinct([data.caption_key(caption) for caption in captions])
        queries = training.Prepared(None, frozen.tokens([captions[i] for i in first]), rows, rows, rows)
        return training.embed_texts(model, queries, rows, device).numpy()

    def predict(_) -> list[str]:
        return scene_labels.predict_scenes(texts, encode(scene_labels.class_prompts(classes)), classes)

    scores = {}
    for mode in ("oracle", "predicted"):
        queries = scene_labels.test_captions(test, mode, config.scene_template, predict)
        scores[mode] = retrieval.similarity(images, encode(queries))
    return scores


def _read(folder: Path, config: RunConfig, inputs: dict) -> Run:
    metrics = read_json(folder / "metrics.json")
    for name, digest in inputs.items():
        if metrics["inputs"][name] != digest:
            raise ConfigError(
                f"run {folder} was made with other {name} under the same name ({metrics['inputs'][name]}, now "
                f"{digest}); delete the folder to run it again, or choose another runs_root"
            )
    return Run(folder, config, metrics)


def _draw(train: data.Split, count: int, seed: int) -> data.Split:
    """``count`` images at random, since files stand sorted by class; smaller draws are parts of larger ones."""
    if count > len(train.images):
        raise ConfigError(f"train_images = {count}, but only {len(train.images)} images are left for training")
    chosen = np.random.default_rng([seed, 3]).permutation(len(train.images))[:count]
    return train.subset(np.sort(chosen)) if count else train


def _check_cache(config: RunConfig) -> None:
    """Only what reads the towers without changing what they compute can train from their cached features."""
    side = [name for name, method in adapters.METHODS.items() if issubclass(method, adapters.SideMethod)]
    if config.cache_features and config.scene_probability:
        raise ConfigError("cache_features: captions with scene labels are not cached; set one of the two to 0 or False")
    if config.cache_features and config.method not in side:
        raise ConfigError(
            f"cache_features: {config.method} works inside the towers, whose features then cannot be kept; "
            f"set it to False, or choose one of {', '.join(side)}"
        )


def _check_weights(config: RunConfig) -> None:
    named = "/" not in config.backbone and config.backbone not in default_backbones.BACKBONES
    if named and not config.pretrained:
        raise ConfigError(
            f"backbone {config.backbone!r}: its weights would be random; set pretrained to a tag such as 'openai', "
            "or to a weights file"
        )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r}: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name!r}: no CUDA device is visible; use 'cpu' or 'auto'")
    return device
