"""Predict the class of an embedding from it alone: with class prompts, or with a regression on training examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petl_core.data.scene_labels import UNKNOWN

STRENGTH = 100.0  # scikit-learn's C, the inverse of the L2 penalty; embeddings of length 1 need it large
STEPS = 2000  # at most; one to four hundred are needed


@dataclass(frozen=True)
class ClassPredictor:
    """Class probabilities softmax(W x + b) of an embedding x."""

    name: str
    weights: np.ndarray  # (C, d)
    bias: np.ndarray  # (C,)

    def probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        """(M, C) of embeddings (M, d); copies of an embedding get bit-identical ones."""
        distinct, row_of = np.unique(embeddings, axis=0, return_inverse=True)
        logits = distinct @ self.weights.T + self.bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (odds / odds.sum(axis=1, keepdims=True))[row_of.reshape(-1)]

    def classes(self, embeddings: np.ndarray) -> np.ndarray:
        """(M,) the most probable class of each embedding."""
        return self.probabilities(embeddings).argmax(axis=1)

    def accuracy(self, embeddings: np.ndarray, classes: np.ndarray) -> float | None:
        """Percentage of the known classes (M,) that are predicted right; None if none is known."""
        known = classes != UNKNOWN
        return 100 * float(np.mean(self.classes(embeddings[known]) == classes[known])) if known.any() else None


def from_prompts(prompts: np.ndarray, temperature: float) -> ClassPredictor:
    """Zero-shot, as CLIP classifies: the class whose prompt is nearest.

    Args:
        prompts: (C, d) embeddings of the class prompts.
        temperature: what cosines are divided by.
    """
    return ClassPredictor("class prompts", prompts / temperature, np.zeros(len(prompts)))


def from_examples(embeddings: np.ndarray, classes: np.ndarray, n_classes: int) -> ClassPredictor:
    """Logistic regression on embeddings of known class.

    Args:
        embeddings: (M, d) normalised.
        classes: (M,) of at least two classes; those of unknown class are left out.
        n_classes: C; a class without examples has probability 0.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import

    # Copies are weighted, not repeated: distinct captions are few compared with their repetitions.
    known = classes != UNKNOWN
    examples = np.column_stack([classes[known], embeddings[known]])
    distinct, counts = np.unique(examples, axis=0, return_counts=True)
    fitted = LogisticRegression(C=STRENGTH, max_iter=STEPS)
    fitted.fit(distinct[:, 1:], distinct[:, 0].astype(np.int64), sample_weight=counts)

    weights, bias = np.zeros((n_classes, embeddings.shape[1])), np.full(n_classes, -np.inf)
    seen, coefficients = fitted.classes_, fitted.coef_
    weights[seen], bias[seen] = (coefficients, fitted.intercept_) if len(seen) > 2 else _of_two(fitted)
    return ClassPredictor("logistic regression", weights, bias)


def candidates(
    prompts: np.ndarray, temperature: float, embeddings: np.ndarray, classes: np.ndarray
) -> list[ClassPredictor]:
    """The predictors to choose from: class prompts, and logistic regression if there are examples of two classes.

    Args:
        prompts, temperature: as for :func:`from_prompts`.
        embeddings, classes: of the training part, as for :func:`from_examples`.
    """
    found = [from_prompts(prompts, temperature)]
    if len(np.setdiff1d(classes, UNKNOWN)) > 1:
        found.append(from_examples(embeddings, classes, len(prompts)))
    return found


def most_accurate(
    predictors: Sequence[ClassPredictor], embeddings: np.ndarray, classes: np.ndarray
) -> tuple[ClassPredictor, dict[str, float | None]]:
    """The predictor with the best accuracy, the first if several are equal, and the accuracy of each by its name."""
    accuracy = {predictor.name: predictor.accuracy(embeddings, classes) for predictor in predictors}
    return max(predictors, key=lambda predictor: accuracy[predictor.name] or 0.0), accuracy


def _of_two(fitted) -> tuple[np.ndarray, np.ndarray]:
    """Weights (2, d) and bias (2,) of a regression of two classes, which only has those of the second."""
    return np.vstack([np.zeros_like(fitted.coef_), fitted.coef_]), np.array([0.0, fitted.intercept_[0]])
