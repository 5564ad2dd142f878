"""Tests that use scene classes, each reported apart from the plain test, with what it assumes to be known.

CMER (arXiv 2501.10638) says that metadata shrinks the search space; it does not say how. This is our reading::

    test            text to image                           image to text
    gallery_hard    images of other classes rank last       captions of other classes rank last
    gallery_soft    s + w log p(class of image | text)      the same
    oracle          as gallery_hard, by true classes        the same

A gallery of images knows their labels, as metadata. An image that is the query does not: its class is predicted from
its embedding. Captions carry no label, and their class is predicted from their embedding alone, except in the oracle,
which takes it from the very image that is searched for: a LEAK. Classes are those seen in training. Predictors, and
the weight w of each direction, are chosen on validation. Images without a label are never filtered out; their prior is
that of a random class.
"""

from dataclasses import dataclass

import numpy as np

from petl_core import retrieval
from petl_core.data import Split
from petl_core.data.scene_labels import UNKNOWN, class_indices
from petl_core.retrieval import ClassPredictor

MODES = ("gallery_hard", "gallery_soft", "oracle")
PRIOR_WEIGHTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # at 0 the plain test; Bayes' own is the temperature

Embeddings = tuple[np.ndarray, np.ndarray]  # of a split: images (N, d), captions (M, d)


@dataclass(frozen=True)
class SceneChoice:
    """What is chosen on validation before the test split is read."""

    classes: list[str]
    of_text: ClassPredictor
    of_image: ClassPredictor
    weights: dict[str, float]  # of the prior, by direction: "i2t", "t2i"
    validation_accuracy: dict[str, dict[str, float | None]]  # of every predictor tried, percent: "text", "image"


def choose(
    classes: list[str],
    prompts: np.ndarray,
    temperature: float,
    train: tuple[Split, Embeddings],
    validation: tuple[Split, Embeddings],
) -> SceneChoice:
    """Choose predictors by their accuracy, and the prior's weights by mean recall, on the validation part.

    Args:
        classes: C labels seen in training.
        prompts: (C, d) embeddings of their prompts.
        temperature: of the contrast, for zero-shot classification by prompts.
        train: what predictors learn from.
        validation: on what they are compared.
    """

    def with_classes(part: tuple[Split, Embeddings]) -> tuple[tuple, tuple]:
        split, (images, texts) = part
        known = class_indices(split.scenes, classes)
        return (images, known), (texts, known[split.image_of])

    (images, known), (texts, _) = on_images, on_texts = with_classes(validation)
    for_images, for_texts = with_classes(train)
    of_text, text_accuracy = retrieval.choose_predictor(prompts, temperature, for_texts, on_texts)
    of_image, image_accuracy = retrieval.choose_predictor(prompts, temperature, for_images, on_images)

    split = validation[0]
    scores = retrieval.similarity(images, texts)
    relevant = retrieval.relevance(split.image_of, len(images))
    i2t_prior, t2i_prior = _priors(of_text, of_image, images, texts, known)

    def best_weight(scores: np.ndarray, prior: np.ndarray, relevant: np.ndarray) -> float:
        def mean_recall(weight: float) -> float:
            ranking = retrieval.rank(scores + weight * prior, relevant)
            return float(np.mean([ranking.hits(k) for k in retrieval.KS]))

        return max(PRIOR_WEIGHTS, key=mean_recall)  # the smallest of equals

    weights = {"i2t": best_weight(scores, i2t_prior, relevant), "t2i": best_weight(scores.T, t2i_prior.T, relevant.T)}
    return SceneChoice(classes, of_text, of_image, weights, {"text": text_accuracy, "image": image_accuracy})


def rankings(choice: SceneChoice, split: Split, embedded: Embeddings) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By each test, what captions are ranked by for each image, and images for each caption: (N, M) each."""
    images, texts = embedded
    known = class_indices(split.scenes, choice.classes)
    scores = retrieval.similarity(images, texts)
    predicted, seen = choice.of_text.classes(texts), choice.of_image.classes(images)
    i2t_prior, t2i_prior = _priors(choice.of_text, choice.of_image, images, texts, known)
    by_true_class = retrieval.inside_first(scores, retrieval.same_class(known, known[split.image_of]))
    return {
        "gallery_hard": (
            retrieval.inside_first(scores, retrieval.same_class(seen, predicted)),
            retrieval.inside_first(scores, retrieval.same_class(known, predicted)),
        ),
        "gallery_soft": (
            scores + choice.weights["i2t"] * i2t_prior,
            scores + choice.weights["t2i"] * t2i_prior,
        ),
        "oracle": (by_true_class, by_true_class),
    }


def evaluate(choice: SceneChoice | None, split: Split, embedded: Embeddings) -> tuple[dict, dict, dict]:
    """Scores and per-image hits by test, as of the plain test, and what predicted the classes; empty without a choice.

    Returns:
        ``({test: {"strict": ..., "equivalent": ...}}, {test: (N, 7)}, facts)``; the facts are classes, predictors,
        weights and accuracies (percent, None where no image is labelled).
    """
    if choice is None:
        return {}, {}, {}
    scores, hits = {}, {}
    for mode, (by_image, by_text) in rankings(choice, split, embedded).items():
        i2t, t2i = (retrieval.evaluate(found, split.image_of, split.captions) for found in (by_image, by_text))
        scores[mode] = {rule: _merged(i2t[rule], t2i[rule]) for rule in i2t}
        i2t_hits, t2i_hits = (retrieval.per_image_hits(found, split.image_of) for found in (by_image, by_text))
        width = len(retrieval.KS)  # i2t hits come first, then t2i hits and the number of captions
        hits[mode] = np.column_stack([i2t_hits[:, :width], t2i_hits[:, width:]])
    images, texts = embedded
    known = class_indices(split.scenes, choice.classes)
    accuracy = {
        "text": choice.of_text.accuracy(texts, known[split.image_of]),
        "image": choice.of_image.accuracy(images, known),
    }
    facts = {
        "classes": choice.classes,
        "predictor": {"text": choice.of_text.name, "image": choice.of_image.name},
        "validation_accuracy": choice.validation_accuracy,
        "accuracy": accuracy,
        "weights": choice.weights,
    }
    return scores, hits, facts


def has_classes(scenes: tuple[str | None, ...], classes: list[str]) -> bool:
    """Whether any image has one of these labels."""
    return bool((class_indices(scenes, classes) != UNKNOWN).any())


def _merged(i2t: dict[str, float], t2i: dict[str, float]) -> dict[str, float]:
    """Metrics of both directions, each by its own ranking."""
    both = {name: (i2t if name.startswith("i2t") else t2i)[name] for name in i2t}
    recalls = [both[f"{direction}_r{k}"] for direction in ("i2t", "t2i") for k in retrieval.KS]
    return both | {"mr": float(np.mean(recalls))}


def _priors(
    of_text: ClassPredictor, of_image: ClassPredictor, images: np.ndarray, texts: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """log p(class of the image | text), (N, M): by the class predicted for each image, and by its label (N,)."""
    probabilities = of_text.probabilities(texts)
    return retrieval.log_prior(of_image.classes(images), probabilities), retrieval.log_prior(known, probabilities)
