"""Finished runs that nobody trained, for the tests of what reads them."""

from pathlib import Path

import numpy as np
from petl_core.runs.folder import Run

from petl_core import retrieval
from petl_core.config import RunConfig

IMAGES = 150  # of the test split, with two captions each
METHODS = {  # titles, and options at their defaults, as metrics.json tells them
    "zero_shot": ("Zero-shot CLIP", {}),
    "full": ("Full fine-tuning", {}),
    "mrs": ("MRS-Adapter", {"bottleneck": 64, "share": 64, "dropout": 0.5, "shared": True}),
    "focus": ("Focus-Adapter", {"attention": "focus", "taps": 6}),
}


def fake_run(folder: Path, rate: float, **fields) -> Run:
    """A finished run whose test hits have about this rate."""
    config = RunConfig(**fields)
    title, options = METHODS[config.method]
    place = folder / config.hash
    place.mkdir()
    rng = np.random.default_rng(config.seed)
    hits = (rng.random((IMAGES, 6)) < rate).astype(float)
    hits[:, 3:] *= 2
    hits = np.column_stack([hits, np.full(IMAGES, 2.0)])
    np.save(place / "test_hits.npy", hits)
    scores = retrieval.metrics(hits)
    epochs = [
        {"epoch": epoch + 1, "seconds": 2.0, "validation_mr": 10.0 + epoch, "loss": {"total": 1.0}}
        for epoch in range(config.epochs)
    ]
    metrics = {
        "method": {"title": title, "options": {**options, **config.method_options}},
        "scores": {"strict": scores},
        "intervals": {"strict": {metric: [score - 1, score + 1] for metric, score in scores.items()}},
        "scene_scores": {},
        "scene_test": {},
        "parameters": {"trained": 0 if config.epochs == 0 else 1000, "backbone": 7_788_545},
        "images": {"train": 80, "validation": 20, "test": IMAGES},
        "captions": {"train": 160, "validation": 40, "test": 2 * IMAGES},
        "inputs": {"data": config.dataset, "images": config.dataset, "backbone": config.backbone},
        "chosen_epoch": 1 if config.epochs else 0,
        "history": [{"epoch": 0}, *epochs],
        "selection_audit": [10.0 + epoch for epoch in range(config.epochs + 1)] if config.epochs else [],
    }
    return Run(place, config, metrics)


def fake_comparison(folder: Path) -> list[Run]:
    """Zero-shot, then two methods with the same hits at three seeds, which stand in no order."""
    return [
        fake_run(folder, 0.2, method="zero_shot", epochs=0),
        *(fake_run(folder, 0.6, method="full", seed=seed) for seed in (3, 2, 4)),
        *(fake_run(folder, 0.6, method="mrs", seed=seed, learning_rate=1e-3) for seed in (2, 3, 4)),
    ]


def fake_queues(folder: Path) -> list[Run]:
    """Zero-shot, no queue, and a queue with two warm-ups of which the longer is better."""
    return [
        fake_run(folder, 0.2, method="zero_shot", epochs=0),
        *(fake_run(folder, 0.5, seed=seed) for seed in (3, 2)),
        *(
            fake_run(folder, rate, queue_size=64, queue_warmup=steps, seed=seed)
            for steps, rate in ((0, 0.5), (8, 0.7))
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


def add_labelled_tests(run: Run, *modes: str) -> None:
    """What a run leaves of tests with scene classes, in which everything was found."""
    run.metrics["scene_test"] = {
        "classes": ["pond", "river"],
        "predictor": {"text": "logistic regression", "image": "class prompts"},
        "accuracy": {"text": 97.5, "image": None},
        "prior_weights": {"gallery_soft": {"i2t": 0.0, "t2i": 0.1}},
    }
    for mode in modes:
        np.save(run.folder / f"test_hits_{mode}.npy", np.tile([1.0] * 3 + [2.0] * 4, (IMAGES, 1)))
        run.metrics["scene_scores"][mode] = {"strict": {"mr": 100.0}}
