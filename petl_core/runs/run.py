"""``run(RunConfig)`` -> ``runs/<hash>/``: trained once, resumed when killed, never trained again."""

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from petl_core import adapters, backbone, data, retrieval, scene_tests, statistics
from petl_core.config import RunConfig
from petl_core.data import default_data, scene_labels
from petl_core.errors import ConfigError
from petl_core.files import resolve, write_atomically, write_json
from petl_core.inputs import embed, embed_captions, embed_text_rows, prepare
from petl_core.runs import provenance
from petl_core.runs.archive import Run, is_finished, open_run
from petl_core.training import TrainState, fit, load_epoch, mean_recall, temperature_of

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS does not repeat itself

VALIDATION = 0.2  # of the training images (PE-RSITR: random 80/20)
SUBSET_STREAM = 3  # of random numbers, separate from those of training


def run(
    config: RunConfig,
    data_root: str | Path = "data",
    runs_root: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
) -> Run:
    """The finished run of ``config``: read if it is there, resumed if it was interrupted, trained otherwise.

    The test split is read once, after training. On one processor with as many threads a run repeats itself to the bit.

    Args:
        config: what to train and evaluate.
        data_root: folder of the data sets. Its location is not part of a run's identity.
        runs_root: folder of all runs.
        device: "cpu", "cuda", "cuda:1", or "auto".
        progress: show bars on stderr.

    Raises:
        ConfigError: for an unknown method, option, backbone or device; for inputs other than the finished run's.
        petl_core.errors.DataError: naming file, line and remedy.
        RuntimeError: PyTorch has no deterministic form of an operation on this GPU.
    """
    folder = resolve(runs_root) / config.hash
    try:
        check(config)
        on = find_device(device)
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):  # two processes asked for one run: the second finds it finished
            # Load the data and the backbone. Their digests decide whether a finished run is still the same run.
            torch.use_deterministic_algorithms(True)
            started = time.perf_counter()
            dataset = default_data.load_or_draw(config.dataset, data_root, progress)
            frozen = backbone.load(config.backbone, config.pretrained, device=on)
            inputs = {
                "data": dataset.fingerprint(),
                "images": dataset.image_digest(),
                "backbone": backbone.fingerprint(frozen.clip),
            }
            if is_finished(folder):
                return _unchanged(open_run(folder), inputs)
            (folder / "failed.json").unlink(missing_ok=True)
            write_json(folder / "config.json", {"config": dict(config)})

            # Attach the method, and read what it trains on.
            torch.manual_seed(config.seed)
            model = adapters.attach(
                frozen, config.method, train_logit_scale=config.learn_temperature, **config.method_options
            )
            splits = splits_of(config, dataset)
            _check_splits(config, splits)
            classes = scene_labels.scene_classes(splits["train"].scenes)
            has_scene_tests = scene_tests.has_classes(dataset.test.scenes, classes)
            labelled = config.scene_probability > 0
            cache = resolve(runs_root) / "cache"
            whole = dataset.train.with_blank_captions() if config.blank_captions else dataset.train
            prepared = prepare(whole, model, cache, config.cache_features, labelled, progress)
            train, validation = (prepared.part(splits[name], labelled) for name in ("train", "validation"))
            seconds = {"prepare": time.perf_counter() - started}

            # Train.
            started, memory = time.perf_counter(), _reset_peak_memory(on)
            history: list[dict] = [{"epoch": 0}]
            if config.epochs and model.trainable():
                state = TrainState.start(config, model, embed_text_rows(model, train, train.caption_rows[:1]).shape[1])
                fit(state, train, validation, folder, inputs, progress)
                history = state.history
            peak_memory, seconds["train"] = memory(), time.perf_counter() - started
            model.save(folder / "adapter.safetensors")

            # Choose on validation what the tests with scene classes need.
            started = time.perf_counter()
            validation_mr = mean_recall(model, validation)
            choice = None
            if has_scene_tests:
                prompts = embed_captions(model, scene_labels.class_prompts(classes))
                parts = [(splits["train"], embed(model, train)), (splits["validation"], embed(model, validation))]
                with torch.no_grad():
                    temperature = float(temperature_of(model, config))
                choice = scene_tests.choose(classes, prompts, temperature, *parts)
            seconds["validate"] = time.perf_counter() - started

            # Test: the one look at the test split. An audit of epochs comes when nothing can be chosen any more.
            started, test = time.perf_counter(), dataset.test
            prepared_test = prepare(test, model, cache, config.cache_features, progress=progress).part(test)
            embedded = embed(model, prepared_test)
            scores = retrieval.similarity(*embedded)
            hits = {"strict": retrieval.per_image_hits(scores, test.image_of)}
            equivalent = retrieval.per_image_hits(scores, test.image_of, test.captions)
            scene_scores, scene_hits, scene_facts = scene_tests.evaluate(choice, test, embedded)
            audit = []
            if config.audit:
                for entry in history:
                    load_epoch(model, folder, entry["epoch"])
                    audit.append(mean_recall(model, prepared_test))
            seconds["test"] = time.perf_counter() - started

            # Write everything; metrics.json last.
            write_atomically(folder / "hits.npz", lambda path: _write_arrays(path, {**hits, **scene_hits}))
            best = max(history, key=lambda entry: entry.get("validation_mr", 0.0))
            metrics: dict[str, Any] = {
                "config": dict(config),
                "method": {"title": model.method.title, "options": dataclasses.asdict(model.options)},
                "inputs": inputs,
                "scores": retrieval.evaluate(scores, test.image_of, test.captions),
                "intervals": {
                    "strict": statistics.bootstrap(hits["strict"]),
                    "equivalent": statistics.bootstrap(equivalent),
                },
                "scene_scores": scene_scores,
                "scene_test": scene_facts,
                "validation_mr": validation_mr,
                "chosen_epoch": best["epoch"] if config.select == "validation" else history[-1]["epoch"],
                "history": history,
                "selection_audit": audit,
                "parameters": {
                    "trained": model.trainable_count(),
                    "backbone": sum(p.numel() for p in model.clip.parameters()),
                },
                "images": {name: len(split.images) for name, split in splits.items()},
                "captions": {name: len(split.captions) for name, split in splits.items()},
                "blank_captions_dropped": sum(split.blank for split in splits.values()),
                "seconds": seconds,
                "peak_memory_mib": peak_memory,
                "environment": provenance.environment(on),
            }
            write_json(folder / "metrics.json", metrics)
            (folder / "checkpoint.pt").unlink(missing_ok=True)
            shutil.rmtree(folder / "epochs", ignore_errors=True)
            return open_run(folder)
    except Exception as error:
        if not is_finished(folder):
            with contextlib.suppress(OSError):  # the first error counts
                reason = f"{type(error).__name__}: {error}"
                write_json(folder / "failed.json", {"config": dict(config), "reason": reason})
        raise


def load_model(finished: Run, device: str = "auto") -> adapters.AdaptedCLIP:
    """A run's trained model on its backbone, in evaluation mode.

    Raises:
        ConfigError: its adapter was not archived, or belongs to other weights of the backbone.
    """
    config = finished.config
    frozen = backbone.load(config.backbone, config.pretrained, device=find_device(device))
    if config.method == "zero_shot":
        return adapters.attach(frozen, "zero_shot").eval()
    if finished.adapter is None:
        raise ConfigError(f"the adapter of run {finished.hash} is not in the archive; train it again with run(config)")
    return adapters.load(frozen, finished.adapter).eval()


def check(config: RunConfig) -> None:
    """Raise ConfigError for what RunConfig itself does not check: unknown methods, and backbones without weights."""
    adapters.check_method(config.method, config.method_options)
    side = [name for name, method in adapters.METHODS.items() if issubclass(method, adapters.SideMethod)]
    if config.cache_features and config.method not in side:
        raise ConfigError(
            f"cache_features: {config.method} works inside the towers, so their features cannot be cached; "
            f"set it to False, or choose one of {', '.join(side)}"
        )
    require_weights(config.backbone, config.pretrained)


def require_weights(name: str, pretrained: str) -> None:
    """Raise ConfigError for a backbone whose weights would be random: an open_clip model without pretrained weights."""
    if "/" not in name and not pretrained:
        raise ConfigError(
            f"backbone {name!r}: its weights would be random; set pretrained to a tag such as 'openai', or to a "
            "weights file"
        )


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


def splits_of(config: RunConfig, dataset: data.RetrievalData) -> dict[str, data.Split]:
    """What a run trains on, chooses by and is tested on: "train", "validation", "test".

    ``train_images`` are drawn at random, since files are sorted by class; smaller draws are parts of larger ones.
    """
    train, validation = data.split_validation(dataset.train, VALIDATION, seed=config.seed)
    if config.train_images:
        captioned = np.unique(train.image_of)
        if config.train_images > len(captioned):
            raise ConfigError(f"train_images = {config.train_images}, but only {len(captioned)} are left for training")
        order = np.random.default_rng([config.seed, SUBSET_STREAM]).permutation(captioned)
        train = train.subset(np.sort(order[: config.train_images]))
    if config.blank_captions:
        train = train.with_blank_captions()
    return {"train": train, "validation": validation, "test": dataset.test}


def _check_splits(config: RunConfig, splits: dict[str, data.Split]) -> None:
    with_captions = len(np.unique(splits["train"].image_of))
    if config.epochs and with_captions < 2:
        raise ConfigError(f"{with_captions} images with captions are left for training; a contrast needs two")
    for name in ("scene_probability", "scene_weight", "scene_balance"):
        if getattr(config, name) and not scene_labels.scene_classes(splits["train"].scenes):
            raise ConfigError(f"{name}: no training image has a scene label; set it to 0, or name the scenes")


def _unchanged(finished: Run, inputs: dict[str, str]) -> Run:
    """The run, if its inputs are still what they were."""
    for name, digest in inputs.items():
        made_with = finished.metrics["inputs"][name]
        if made_with != digest:
            raise ConfigError(
                f"run {finished.hash} was made with other {name} under the same name ({made_with}, now {digest}); "
                "delete its folder to run it again, or choose another runs_root"
            )
    return finished


def _write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _reset_peak_memory(device: torch.device) -> Callable[[], float]:
    """A function that gives the most MiB in use since now: of the GPU, or of this process on Linux, else 0."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return lambda: torch.cuda.max_memory_allocated(device) / 2**20
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")

    def peak() -> float:
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)

    return peak
