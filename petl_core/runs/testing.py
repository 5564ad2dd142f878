"""The one look at the test split, after training."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from petl_core import retrieval, statistics
from petl_core.adapters import AdaptedCLIP
from petl_core.config import RunConfig
from petl_core.data import Split, scene_labels
from petl_core.runs import scene_tests
from petl_core.runs.scene_tests import ClassifiedSplit, Rankings, SceneChoice
from petl_core.training.encoding import PreparedSplit, embed, embed_captions
from petl_core.training.epoch import temperature_of
from petl_core.training.epoch_weights import EpochWeights


@dataclass(frozen=True)
class SplitScores:
    """Scores of a test split, and what each image contributes to them."""

    scores: dict  # "strict", "equivalent": see retrieval.evaluate
    intervals: dict  # of the same, over test images
    hits: np.ndarray  # (images, 7): see retrieval.per_image_hits
    scene_scores: dict = field(default_factory=dict)  # by mode of scene_tests
    scene_hits: dict[str, np.ndarray] = field(default_factory=dict)
    scene_test: dict = field(default_factory=dict)  # see scene_tests.facts


def choose_scene_tests(
    model: AdaptedCLIP,
    train: tuple[PreparedSplit, Split],
    validation: tuple[PreparedSplit, Split],
    config: RunConfig,
) -> SceneChoice:
    """What tests with scene classes need, chosen by the validation part before the test split is read.

    Args:
        model: in the state to be tested.
        train: the training part, some of whose images have scene labels.
        validation: the other part.
        config: of the run.
    """
    classes = scene_labels.scene_classes(train[1].scenes)
    prompts = embed_captions(model, scene_labels.class_prompts(classes))
    parts = [ClassifiedSplit.of(split, embed(model, prepared), classes) for prepared, split in (train, validation)]
    with torch.no_grad():
        temperature = float(temperature_of(model, config))
    return scene_tests.choose(classes, prompts, temperature, *parts)


def score_test_split(
    model: AdaptedCLIP, prepared: PreparedSplit, split: Split, scenes: SceneChoice | None, config: RunConfig
) -> SplitScores:
    """Embed the test split and score it.

    Args:
        model: in the state to be tested.
        prepared: of ``split``.
        split: the test split.
        scenes: of :func:`choose_scene_tests`; None for no tests with scene classes.
        config: of the run.
    """
    images, texts = embed(model, prepared)
    scores = retrieval.similarity(images, texts)
    hits = retrieval.per_image_hits(scores, split.image_of)
    equivalent = retrieval.per_image_hits(scores, split.image_of, split.captions)
    rankings: dict[str, Rankings] = {}
    facts = {}
    if scenes:
        embedded = ClassifiedSplit.of(split, (images, texts), scenes.classes)
        rankings = scene_tests.gallery_rankings(scenes, embedded)
        facts = scene_tests.facts(scenes, embedded)
        if config.scene_probability:
            rankings |= _labelled_queries(model, embedded, split, scenes, config.scene_template)
    return SplitScores(
        scores=retrieval.evaluate(scores, split.image_of, split.captions),
        intervals={"strict": statistics.bootstrap(hits), "equivalent": statistics.bootstrap(equivalent)},
        hits=hits,
        scene_scores={mode: scene_tests.evaluate(found, split) for mode, found in rankings.items()},
        scene_hits={mode: scene_tests.per_image_hits(found, split) for mode, found in rankings.items()},
        scene_test=facts,
    )


def audit_selection(
    model: AdaptedCLIP, prepared: PreparedSplit, epoch_weights: EpochWeights, epochs: Sequence[int]
) -> list[float]:
    """Test mR of some of a run's epochs: what choosing by the test split would have shown. Nothing is chosen by it.

    Args:
        model: whose weights are exchanged; it is left at the last of the epochs.
        prepared: the test split.
        epoch_weights: what was trained after each validated epoch.
        epochs: those that could have been chosen.
    """
    found = []
    for epoch in epochs:
        epoch_weights.load(epoch, model)
        scores = retrieval.similarity(*embed(model, prepared))
        found.append(retrieval.evaluate(scores, prepared.image_of.numpy())["strict"]["mr"])
    return found


def _labelled_queries(
    model: AdaptedCLIP, embedded: ClassifiedSplit, split: Split, scenes: SceneChoice, template: str
) -> dict[str, Rankings]:
    """Rankings with scene labels added to the texts: the predicted ones, and the true ones."""
    predicted = [scenes.classes[i] for i in scenes.of_text.classes(embedded.texts)]
    captions = {
        "predicted": scene_labels.join_labels(split.captions, predicted, template),
        "oracle": scene_labels.labelled_captions(split, template),
    }
    rankings = {}
    for mode, texts in captions.items():
        scores = retrieval.similarity(embedded.images, embed_captions(model, texts))
        rankings[mode] = Rankings(scores, scores)
    return rankings
