"""The one look at the test split, after training."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from petl_core import retrieval
from petl_core.adapters import AdaptedCLIP
from petl_core.config import RunConfig
from petl_core.data import Split, scene_labels
from petl_core.training.candidates import Candidates
from petl_core.training.encoding import PreparedSplit, embed, embed_captions


@dataclass(frozen=True)
class SplitScores:
    """Figures of a test split, and what each image brings to them."""

    scores: dict  # "strict", "equivalent": see retrieval.evaluate
    intervals: dict  # of the same, over test images
    hits: np.ndarray  # (images, 7): see retrieval.per_image_hits
    scene_scores: dict = field(default_factory=dict)  # by mode of labelled queries
    scene_hits: dict[str, np.ndarray] = field(default_factory=dict)


def score_test_split(
    model: AdaptedCLIP, prepared: PreparedSplit, split: Split, classes: list[str], config: RunConfig
) -> SplitScores:
    """Embed the test split and score it.

    Args:
        model: in the state to be tested.
        prepared: of ``split``.
        split: the test split.
        classes: the scene labels seen in training; queries are also tested with labels where training had them.
        config: of the run.
    """
    images, texts = embed(model, prepared)
    scores = retrieval.similarity(images, texts)
    hits = retrieval.per_image_hits(scores, split.image_of)
    equivalent = retrieval.per_image_hits(scores, split.image_of, split.captions)
    labelled = {}
    if config.scene_probability and classes:
        labelled = _labelled_scores(model, (images, texts), split, classes, config.scene_template)
    return SplitScores(
        scores=retrieval.evaluate(scores, split.image_of, split.captions),
        intervals={"strict": retrieval.bootstrap(hits), "equivalent": retrieval.bootstrap(equivalent)},
        hits=hits,
        scene_scores={
            mode: retrieval.evaluate(found, split.image_of, split.captions) for mode, found in labelled.items()
        },
        scene_hits={mode: retrieval.per_image_hits(found, split.image_of) for mode, found in labelled.items()},
    )


def audit_selection(model: AdaptedCLIP, prepared: PreparedSplit, candidates: Candidates, epochs: int) -> list[float]:
    """Test mR of each of a run's epochs: what choosing by the test split would have shown. Nothing is chosen by it.

    Args:
        model: whose weights are exchanged; it is left at the last epoch.
        prepared: the test split.
        candidates: what was trained after each epoch.
        epochs: how many there are, that before training included; a single one was not trained, and is not audited.
    """
    found = []
    for epoch in range(epochs if epochs > 1 else 0):
        candidates.load(epoch, model)
        scores = retrieval.similarity(*embed(model, prepared))
        found.append(retrieval.evaluate(scores, prepared.image_of.numpy())["strict"]["mr"])
    return found


def _labelled_scores(
    model: AdaptedCLIP, space: tuple[np.ndarray, np.ndarray], split: Split, classes: list[str], template: str
) -> dict[str, np.ndarray]:
    """(N, M) scores for queries with labels, each mode apart; ``space`` is images (N, d) and plain texts (M, d)."""
    images, texts = space

    def predict(_: Sequence[str]) -> list[str]:
        prompts = embed_captions(model, scene_labels.class_prompts(classes))
        return scene_labels.predict_scenes(texts, prompts, classes)

    scores = {}
    for mode in ("oracle", "predicted"):
        queries = scene_labels.test_queries(split, mode, template, predict)
        scores[mode] = retrieval.similarity(images, embed_captions(model, queries))
    return scores
