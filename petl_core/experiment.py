"""``run(RunConfig)`` -> ``runs/<hash>/``: trained once, resumed when killed, never trained again.

config.json           what was asked
checkpoint.pt         the state after the last finished epoch; removed at the end
adapter.safetensors   what was trained, at the epoch with the best validation mR
test_hits.npy         (test images, 7): see retrieval.per_image_hits
metrics.json          every figure; written last: where it stands, the run is finished
"""

import dataclasses
import hashlib
import logging
import os
import pickle
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import filelock
import numpy as np
import torch

from petl_core import adapters, backbone, data, embedded, retrieval, training
from petl_core.config import RunConfig
from petl_core.files import read_json, write_atomically, write_json
from petl_core.parameters import ROOT, ConfigError, resolve

log = logging.getLogger(__name__)


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

    The epoch is chosen by validation mR; the test split is read once, after training.

    Args:
        config: what to train and evaluate.
        data_root: folder of the data sets. Where it lies is no part of a run's identity.
        runs_root: folder of all runs.
        device: "cpu", "cuda", "cuda:1", or "auto".
        progress: show bars on stderr.

    Raises:
        ConfigError: before anything is loaded, for an unknown method, option, backbone or device.
        petl_core.data.DataError: naming file, line and remedy.
    """
    adapters.check(config.method, config.method_options)
    torch_device = _device(device)
    folder = resolve(runs_root) / config.hash
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):  # two processes asked for one run: the second finds it finished
        dataset = embedded.dataset(config.dataset, data_root)
        backbone_name = embedded.backbone(config.backbone, runs_root, data_root, progress)
        inputs = {
            "data": dataset.fingerprint(),
            "backbone": _weights_digest(backbone_name, config.pretrained),
        }
        if not (folder / "metrics.json").exists():
            write_json(folder / "config.json", dataclasses.asdict(config))
            model, metrics, hits = _train_and_test(config, dataset, backbone_name, folder, torch_device, progress)
            model.save(folder / "adapter.safetensors")
            write_atomically(folder / "test_hits.npy", lambda path: np.save(path, hits))
            write_json(folder / "metrics.json", {"hash": config.hash, "inputs": inputs, **metrics})
            (folder / "checkpoint.pt").unlink(missing_ok=True)
        return _read(folder, config, inputs)


def open_run(folder: str | Path, data_root: str | Path = "data") -> Run:
    """A finished run by its folder.

    Raises:
        ConfigError: there is no finished run in it.
    """
    folder = resolve(folder)
    if not (folder / "metrics.json").exists():
        raise ConfigError(f"{folder} holds no metrics.json: not a finished run; run its configuration first")
    config = RunConfig(**read_json(folder / "config.json"))
    return run(config, data_root, folder.parent)


def load_model(finished: Run, data_root: str | Path = "data", device: str = "auto"):
    """The run's backbone and its trained model, in evaluation mode."""
    name = embedded.backbone(finished.config.backbone, finished.folder.parent, data_root)
    frozen = backbone.load(name, finished.config.pretrained, finished.config.precision, _device(device))
    model = adapters.load(frozen.clip, finished.folder / "adapter.safetensors").to(_device(device)).eval()
    return frozen, model


def _train_and_test(
    config: RunConfig,
    dataset: data.RetrievalData,
    backbone_name: str,
    folder: Path,
    device: torch.device,
    progress: bool,
) -> tuple[adapters.AdaptedCLIP, dict, np.ndarray]:
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    frozen = backbone.load(backbone_name, config.pretrained, config.precision, device)
    model = adapters.attach(
        frozen.clip, config.method, train_logit_scale=config.learn_temperature, **config.method_options
    ).to(device)
    train, validation = data.split_validation(dataset.train, config.validation_fraction, seed=config.seed)
    train = _first(train, config.train_images)
    history, seconds = _train(config, model, frozen, train, validation, folder, device, progress)
    started = time.perf_counter()
    test = training.prepare(dataset.test, frozen, progress)
    scores = retrieval.similarity(*training.embed(model, frozen, test, device, progress))
    hits = retrieval.per_image_hits(scores, dataset.test.image_of)
    equivalent = retrieval.per_image_hits(scores, dataset.test.image_of, dataset.test.captions)
    metrics = {
        "config": dataclasses.asdict(config),
        "scores": retrieval.evaluate(scores, dataset.test.image_of, dataset.test.captions),
        "intervals": {"strict": retrieval.bootstrap(hits), "equivalent": retrieval.bootstrap(equivalent)},
        "chosen_epoch": _best(history)["epoch"],
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
        "environment": environment(device),
    }
    return model, metrics, hits


def _train(config, model, frozen, train, validation, folder, device, progress) -> tuple[list[dict], dict]:
    """Train, leaving ``model`` at its best epoch; returns the history (epoch 0 is before training) and seconds."""
    if config.epochs == 0 or not model.trainable():
        return [{"epoch": 0}], {"prepare": 0.0, "train": 0.0}
    started = time.perf_counter()
    prepared_train = training.prepare(train, frozen, progress)
    prepared_validation = training.prepare(validation, frozen, progress)
    prepare_seconds = time.perf_counter() - started
    optimizer = torch.optim.AdamW(model.trainable().values(), config.learning_rate, weight_decay=config.weight_decay)

    def validate() -> float:
        scores = retrieval.similarity(*training.embed(model, frozen, prepared_validation, device))
        return retrieval.evaluate(scores, validation.image_of)["strict"]["mr"]

    history, best = _resume(folder / "checkpoint.pt", config, model, optimizer, device)
    if not history:
        history, best = [{"epoch": 0, "validation_mr": validate()}], _weights(model)
    for epoch in range(len(history), config.epochs + 1):
        started = time.perf_counter()
        terms = training.train_epoch(model, frozen, prepared_train, config, optimizer, epoch, device, progress)
        seconds = time.perf_counter() - started
        history.append({"epoch": epoch, "validation_mr": validate(), "loss": terms, "seconds": seconds})
        log.info("epoch %d: loss %.4f, validation mR %.2f", epoch, terms["total"], history[-1]["validation_mr"])
        if _best(history)["epoch"] == epoch:
            best = _weights(model)
        state = {
            "config": config.hash,
            "history": history,
            "weights": _weights(model),
            "best": best,
            "optimizer": optimizer.state_dict(),
        }
        write_atomically(folder / "checkpoint.pt", lambda path, state=state: torch.save(state, path))
    model.load_state_dict(best, strict=False)
    return history, {"prepare": prepare_seconds, "train": sum(h.get("seconds", 0.0) for h in history)}


def _resume(path: Path, config: RunConfig, model, optimizer, device) -> tuple[list[dict], dict]:
    """History and best weights of an interrupted run, whose state is put into model and optimizer; else empty."""
    if not path.exists():
        return [], {}
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if state["config"] != config.hash:
            raise ValueError(f"it belongs to run {state['config']}")
        model.load_state_dict(state["weights"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"checkpoint {path} cannot be resumed ({error}); delete it to train from the start"
        ) from error
    log.info("resuming %s after epoch %d", path.parent.name, len(state["history"]) - 1)
    return state["history"], state["best"]


def _read(folder: Path, config: RunConfig, inputs: dict) -> Run:
    metrics = read_json(folder / "metrics.json")
    for name, digest in inputs.items():
        if metrics["inputs"][name] != digest:
            raise ConfigError(
                f"run {folder} was made with another {name} under the same name ({metrics['inputs'][name]}, now "
                f"{digest}); delete the folder to run it again, or choose another runs_root"
            )
    return Run(folder, config, metrics)


def _best(history: list[dict]) -> dict:
    """The earliest epoch with the highest validation mR."""
    return max(history, key=lambda entry: entry.get("validation_mr", 0.0))


def _weights(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.trainable().items()}


def _first(train: data.Split, count: int) -> data.Split:
    if count > len(train.images):
        raise ConfigError(f"train_images = {count}, but only {len(train.images)} images are left for training")
    return train.subset(np.arange(count)) if count else train


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


def _weights_digest(name: str, pretrained: str) -> str:
    """Content of local weights; the name and tag of published ones, which do not change."""
    folder = resolve(name.removeprefix("local-dir:"))
    files = sorted(folder.glob("open_clip_*")) if folder.is_dir() else [resolve(pretrained)] if pretrained else []
    if not all(file.is_file() for file in files) or not files:
        return f"{name} {pretrained}".strip()
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def environment(device: torch.device) -> dict:
    """What a result depends on besides its configuration."""
    packages = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow")
    return {
        "revision": _revision(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _revision() -> str:
    """The project's git commit, marked where the tree differs from it; "unknown" outside a checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
