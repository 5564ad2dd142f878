"""Tests that use scene classes, each reported apart from the plain test, with what it assumes to be known.

Classes are those seen in training. A caption's class is predicted from its text alone; the predictor is chosen on
validation. CMER (arXiv 2501.10638) says that metadata shrinks the search space; it does not say how.

    mode            text to image                           image to text
    gallery_hard    images of other classes rank last       captions of other classes rank last
    gallery_soft    s + w log p(class of image | text)      the same
    gallery_known   as gallery_soft                         the same
    gallery_oracle  as gallery_hard, by true classes        the same
    predicted       the predicted label joins the text      the same
    oracle          the true label joins the text           the same

When images are the gallery, all gallery modes know their labels as metadata. When an image is the query, its class is
predicted from its pixels, except in "gallery_known", which knows its label, too. Captions carry no label, except in the
two oracles, which take it from the very image that is searched for: a LEAK. The last two modes exist for runs that were
trained with labels in captions.

The weight w is chosen on validation, separately for each direction. Images without a label are never filtered out;
their prior is that of a random class.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from petl_core import retrieval
from petl_core.data import Split
from petl_core.data.scene_labels import class_indices
from petl_core.retrieval import KS, ClassPredictor, choose_predictor, inside_first, log_prior, same_class

PRIOR_WEIGHTS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # at 0 the plain test; Bayes' own is the temperature


class Rankings(NamedTuple):
    """What captions are ranked by for each image, and images for each caption."""

    i2t: np.ndarray  # (N, M)
    t2i: np.ndarray  # (N, M)


@dataclass(frozen=True)
class ClassifiedSplit:
    """A split as a model embeds it, with the class of each image."""

    images: np.ndarray  # (N, d)
    texts: np.ndarray  # (M, d)
    image_of: np.ndarray  # (M,)
    classes: np.ndarray  # (N,) UNKNOWN where an image has no label that was seen in training

    @classmethod
    def of(cls, split: Split, embeddings: tuple[np.ndarray, np.ndarray], classes: list[str]) -> "ClassifiedSplit":
        """A split with its embeddings, images (N, d) and captions (M, d)."""
        return cls(*embeddings, split.image_of, class_indices(split.scenes, classes))

    @property
    def classes_of_texts(self) -> np.ndarray:
        """(M,) the true class of each caption: that of its image."""
        return self.classes[self.image_of]


@dataclass(frozen=True)
class SceneChoice:
    """What was chosen on validation before the test split is read."""

    classes: list[str]
    of_text: ClassPredictor
    of_image: ClassPredictor
    prior_weights: dict[str, dict[str, float]]  # by mode and direction
    validation_accuracy: dict[str, dict[str, float | None]]  # of each candidate, in percent: "text", "image"


def choose(
    classes: list[str], prompts: np.ndarray, temperature: float, train: ClassifiedSplit, validation: ClassifiedSplit
) -> SceneChoice:
    """Choose predictors by their accuracy, and weights of the prior by mean recall, on the validation part.

    Args:
        classes: C labels seen in training.
        prompts: (C, d) embeddings of their prompts.
        temperature: of the contrast.
        train: what predictors learn from.
        validation: on what they are compared.
    """
    of_text, text_accuracy = choose_predictor(
        prompts, temperature, (train.texts, train.classes_of_texts), (validation.texts, validation.classes_of_texts)
    )
    of_image, image_accuracy = choose_predictor(
        prompts, temperature, (train.images, train.classes), (validation.images, validation.classes)
    )

    scores = retrieval.similarity(validation.images, validation.texts)
    relevant = retrieval.relevance(validation.image_of, len(validation.images))
    probabilities = of_text.probabilities(validation.texts)
    of_label = log_prior(validation.classes, probabilities)
    of_pixels = log_prior(of_image.classes(validation.images), probabilities)
    t2i = _best_weight(scores.T, of_label.T, relevant.T)
    return SceneChoice(
        classes=classes,
        of_text=of_text,
        of_image=of_image,
        prior_weights={
            "gallery_soft": {"i2t": _best_weight(scores, of_pixels, relevant), "t2i": t2i},
            "gallery_known": {"i2t": _best_weight(scores, of_label, relevant), "t2i": t2i},
        },
        validation_accuracy={"text": text_accuracy, "image": image_accuracy},
    )


def gallery_rankings(choice: SceneChoice, split: ClassifiedSplit) -> dict[str, Rankings]:
    """Rankings by each of the gallery modes; only the oracle uses ``split.image_of``."""
    scores = retrieval.similarity(split.images, split.texts)
    probabilities = choice.of_text.probabilities(split.texts)
    predicted, seen = probabilities.argmax(axis=1), choice.of_image.classes(split.images)
    of_label, of_pixels = log_prior(split.classes, probabilities), log_prior(seen, probabilities)
    soft, known = (choice.prior_weights[mode] for mode in ("gallery_soft", "gallery_known"))
    by_true_class = inside_first(scores, same_class(split.classes, split.classes_of_texts))
    t2i_soft = scores + soft["t2i"] * of_label
    return {
        "gallery_hard": Rankings(
            inside_first(scores, same_class(seen, predicted)),
            inside_first(scores, same_class(split.classes, predicted)),
        ),
        "gallery_soft": Rankings(scores + soft["i2t"] * of_pixels, t2i_soft),
        "gallery_known": Rankings(scores + known["i2t"] * of_label, t2i_soft),
        "gallery_oracle": Rankings(by_true_class, by_true_class),
    }


def evaluate(rankings: Rankings, split: Split) -> dict[str, dict[str, float]]:
    """:func:`petl_core.retrieval.evaluate` of both directions, each by its own ranking."""
    i2t, t2i = (retrieval.evaluate(scores, split.image_of, split.captions) for scores in rankings)
    merged = {}
    for rule in i2t:
        both = {name: (i2t if name.startswith("i2t") else t2i)[rule][name] for name in i2t[rule]}
        both["mr"] = float(np.mean([both[f"{direction}_r{k}"] for direction in ("i2t", "t2i") for k in KS]))
        merged[rule] = both
    return merged


def per_image_hits(rankings: Rankings, split: Split) -> np.ndarray:
    """:func:`petl_core.retrieval.per_image_hits` of both directions, (N, 7), each by its own ranking."""
    i2t, t2i = (retrieval.per_image_hits(scores, split.image_of) for scores in rankings)
    of_i2t = len(KS)  # the first columns: hits of each image; then sums over its captions, and their number
    return np.column_stack([i2t[:, :of_i2t], t2i[:, of_i2t:]])


def facts(choice: SceneChoice, split: ClassifiedSplit) -> dict:
    """What ``metrics.json`` says about these tests: :class:`petl_core.runs.folder.SceneTest`."""
    return {
        "classes": choice.classes,
        "predictor": {"text": choice.of_text.name, "image": choice.of_image.name},
        "validation_accuracy": choice.validation_accuracy,
        "accuracy": {
            "text": choice.of_text.accuracy(split.texts, split.classes_of_texts),
            "image": choice.of_image.accuracy(split.images, split.classes),
        },
        "prior_weights": choice.prior_weights,
    }


def _best_weight(scores: np.ndarray, prior: np.ndarray, relevant: np.ndarray) -> float:
    """The weight of a prior with the best mean recall of queries (Q, G), the smallest of equals."""

    def mean_recall(weight: float) -> float:
        ranking = retrieval.rank(scores + weight * prior, relevant)
        return float(np.mean([ranking.hits(k) for k in KS]))

    return max(PRIOR_WEIGHTS, key=mean_recall)
