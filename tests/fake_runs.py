"""Finished runs that nobody trained, for the tests of what reads them."""

import numpy as np

from petl_core import retrieval
from petl_core.config import RunConfig
from petl_core.runs.archive import Run

IMAGES = 150  # of the test split, with two captions each
METHODS = {  # titles, and options at their defaults, as metrics.json tells them
    "zero_shot": ("Zero-shot CLIP", {}),
    "full": ("Full fine-tuning", {}),
    "mrs": ("MRS-Adapter", {"bottleneck": 64, "share": 64, "dropout": 0.5, "shared": True}),
    "focus": ("Focus-Adapter", {"attention": "focus", "taps": 6}),
}


def fake_run(rate: float, validation_mr: float = 10.0, images: int = IMAGES, **fields) -> Run:
    """A finished run whose test hits have about this rate; easy images are easy at every seed."""
    config = RunConfig(**{"dataset": "scenes", **fields})
    title, options = METHODS[config.method]
    ease = np.random.default_rng(0).random((images, 1))
    luck = np.random.default_rng([config.seed, int(1e4 * rate)])

    def hits(rate: float) -> np.ndarray:
        found = 0.7 * ease + 0.3 * luck.random((images, 6)) < rate * np.array([0.6, 0.9, 1.2] * 2)
        return np.column_stack([found * np.array([1.0, 1, 1, 2, 2, 2]), np.full(images, 2.0)])

    plain = hits(rate)
    epochs = [{"epoch": n, "seconds": 2.0, "loss": {"total": 3.0 / n}} for n in range(1, config.epochs + 1)]
    metrics = {
        "config": dict(config),
        "method": {"title": title, "options": {**options, **config.method_options}},
        "scores": {"strict": retrieval.metrics(plain)},
        "parameters": {"trained": 1000 if config.epochs else 0, "backbone": 7_788_545},
        "images": {"train": 80, "validation": 20, "test": images},
        "inputs": {"data": config.dataset, "images": config.dataset, "backbone": config.backbone},
        "validation_mr": validation_mr,
        "history": [{"epoch": 0}, *epochs],
        "peak_memory_mib": 500.0,
    }
    return Run(config, metrics, plain, {"gallery_hard": hits(rate + 0.1), "oracle": hits(1.0)}, None)


def fake_comparison() -> list[Run]:
    """Zero-shot, a weak method and two strong ones, at seeds that stand in no order."""
    return [
        fake_run(0.15, method="zero_shot", epochs=0),
        *(fake_run(0.30, method="focus", seed=seed) for seed in (3, 2, 4)),
        *(fake_run(0.60, method="full", seed=seed) for seed in (2, 3, 4)),
        *(fake_run(0.61, method="mrs", seed=seed) for seed in (4, 3, 2)),
    ]
