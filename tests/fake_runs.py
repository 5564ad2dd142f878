"""Finished runs that nobody trained, for the tests of what reads them."""

from pathlib import Path

import numpy as np

from petl_core import retrieval
from petl_core.config import RunConfig
from petl_core.files import write_json
from petl_core.runs.archive import Run

IMAGES = 150  # of the test split, with two captions each
METHODS = {  # titles, and options at their defaults, as metrics.json tells them
    "zero_shot": ("Zero-shot CLIP", {}),
    "full": ("Full fine-tuning", {}),
    "mrs": ("MRS-Adapter", {"bottleneck": 64, "share": 64, "dropout": 0.5, "shared": True}),
    "focus": ("Focus-Adapter", {"attention": "focus", "taps": 6}),
}


def fake_run(folder: Path, rate: float, **fields) -> Run:
    """A finished run under ``folder`` whose test hits have about this rate."""
    config = RunConfig(**fields)
    title, options = METHODS[config.method]
    rng = np.random.default_rng(config.seed)
    hits = (rng.random((IMAGES, 6)) < rate).astype(float)
    hits[:, 3:] *= 2
    hits = np.column_stack([hits, np.full(IMAGES, 2.0)])
    scores = retrieval.metrics(hits)
    epochs = [
        {"epoch": epoch + 1, "seconds": 2.0, "validation_mr": 10.0 + epoch, "loss": {"total": 1.0}}
        for epoch in range(config.epochs)
    ]
    metrics = {
        "config": dict(config),
        "method": {"title": title, "options": {**options, **config.method_options}},
        "scores": {"strict": scores},
        "intervals": {"strict": {metric: [score - 1, score + 1] for metric, score in scores.items()}},
        "scene_scores": {},
        "scene_test": {},
        "parameters": {"trained": 0 if config.epochs == 0 else 1000, "backbone": 7_788_545},
        "images": {"train": 80, "validation": 20, "test": IMAGES},
        "captions": {"train": 160, "validation": 40, "test": 2 * IMAGES},
        "inputs": {"data": config.dataset, "images": config.dataset, "backbone": config.backbone},
        "validation_mr": 9.0 + config.epochs,
        "chosen_epoch": config.epochs,
        "history": [{"epoch": 0}, *epochs],
        "selection_audit": [10.0 + epoch for epoch in range(config.epochs + 1)] if config.epochs else [],
        "seconds": {"prepare": 1.0, "train": 2.0 * config.epochs, "validate": 1.0, "test": 1.0},
        "peak_memory_mib": 500.0,
        "environment": {"device": "a processor"},
    }
    return written(folder, Run(config, metrics, hits, {}, None))


def written(folder: Path, run: Run) -> Run:
    """The run, after its folder was written, or written anew."""
    place = folder / run.hash
    place.mkdir(exist_ok=True)
    np.savez_compressed(place / "hits.npz", strict=run.hits, **run.scene_hits)
    write_json(place / "metrics.json", run.metrics)
    return run


def fake_comparison(folder: Path) -> list[Run]:
    """Zero-shot, then two methods with the same hits at three seeds, which stand in no order."""
    return [
        fake_run(folder, 0.2, method="zero_shot", epochs=0),
        *(fake_run(folder, 0.6, method="full", seed=seed) for seed in (3, 2, 4)),
        *(fake_run(folder, 0.6, method="mrs", seed=seed, learning_rate=1e-3) for seed in (2, 3, 4)),
    ]


def fake_queues(folder: Path) -> list[Run]:
    """Zero-shot, no queue, and a queue of two kinds of keys, of which slow ones are better."""
    return [
        fake_run(folder, 0.2, method="zero_shot", epochs=0),
        *(fake_run(folder, 0.5, seed=seed) for seed in (3, 2)),
        *(
            fake_run(folder, rate, queue_size=64, queue_keys=keys, seed=seed)
            for keys, rate in (("own", 0.5), ("ema", 0.7))
            for seed in (2, 3)
        ),
    ]


def add_drift(run: Run) -> None:
    """What a run with a queue tells of its drift after each epoch."""
    for entry in run.metrics["history"][1:]:
        entry["drift"] = [
            {"modality": modality, "age_from": age, "age_to": 2 * age - 1, "cosine": 1 - 0.01 * age, "count": 3}
            for modality in ("image", "text")
            for age in (1, 2, 4)
        ]


def add_scene_tests(run: Run, *modes: str) -> None:
    """What a run leaves of tests with scene classes, in which everything was found."""
    run.metrics["scene_test"] = {
        "classes": ["pond", "river"],
        "predictor": {"text": "logistic regression", "image": "class prompts"},
        "validation_accuracy": {
            "text": {"class prompts": 90.0, "logistic regression": 95.0},
            "image": {"class prompts": 80.0},
        },
        "accuracy": {"text": 97.5, "image": None},
        "weights": {"i2t": 0.0, "t2i": 0.1},
    }
    for mode in modes:
        run.scene_hits[mode] = np.tile([1.0] * 3 + [2.0] * 4, (IMAGES, 1))
        run.metrics["scene_scores"][mode] = {"strict": retrieval.metrics(run.scene_hits[mode])}
