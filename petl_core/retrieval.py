"""Image-text retrieval: similarities, tie-exact ranks, recalls, and scene classes as filter or prior.

Shapes: N images, M captions; ``scores`` is (N, M); ``image_of[j]`` is the image to which caption j belongs.

Duplicated captions and images give exactly tied scores, so every figure here is its expectation under a uniformly
random order of tied items. Thresholding a mid-rank would credit both of two tied duplicates in full at k = 1 and so
exceed the ceiling that the data audit prints; the expected hit is unbiased, deterministic and independent of the
storage order. Source: McSherry and Najork, "Computing information retrieval performance measures efficiently in the
presence of tied scores" (ECIR 2008).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from petl_core.data import caption_key
from petl_core.data.scene_labels import UNKNOWN

KS = (1, 5, 10)
METRICS = (*(f"{direction}_r{k}" for direction in ("i2t", "t2i") for k in KS), "mr")


def as_floats(values: ArrayLike, name: str, ndims: tuple[int, ...] = (2,)) -> np.ndarray:
    """Values as float32, or float64 if they need it.

    Raises:
        ValueError: ``name`` holds no numbers, too few or too many dimensions, or a value that is not finite.
    """
    array = np.asarray(values)
    if array.ndim not in ndims or array.size == 0 or array.dtype.kind not in "biuf":
        expected = " or ".join(f"{ndim}-D" for ndim in ndims)
        raise ValueError(f"{name}: expected non-empty {expected} numbers, got {array.dtype} {array.shape}")
    array = array.astype(np.result_type(array, np.float32), copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {np.count_nonzero(~np.isfinite(array))} values are NaN or infinite")
    return array


# Scores, and what is relevant.


def similarity(images: ArrayLike, texts: ArrayLike) -> np.ndarray:
    """Cosine similarities (N, M) of embeddings (N, d) and (M, d), which are normalised here.

    Identical rows get bit-identical scores, so duplicates are exact ties, and storage order changes no score. Encoders
    round differently by batch: encode each distinct caption once, or its copies will not tie.

    Raises:
        ValueError: empty, infinite or zero rows, or unequal d.
    """
    sides = []
    for values, name in ((images, "images"), (texts, "texts")):
        rows = as_floats(values, name)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise ValueError(f"{name}: a row has zero or overflowing norm")
        sides.append(np.unique(rows / norms, axis=0, return_inverse=True))
    (image_rows, image_row), (text_rows, text_row) = sides
    if image_rows.shape[1] != text_rows.shape[1]:
        raise ValueError(f"images have d = {image_rows.shape[1]}, texts d = {text_rows.shape[1]}")
    # A matrix product rounds differently at the edges of its blocks: compute each distinct pair only once.
    return (image_rows @ text_rows.T)[np.ix_(image_row.reshape(-1), text_row.reshape(-1))]


def relevance(image_of: ArrayLike, n_images: int) -> np.ndarray:
    """Strict relevance, (N, M) bool: caption j belongs to image i.

    >>> relevance([0, 0, 1], 2).astype(int)
    array([[1, 1, 0],
           [0, 0, 1]])

    Raises:
        ValueError: ``image_of`` is not M integers in 0..N-1, or an image has no caption.
    """
    owner = np.asarray(image_of)
    if owner.ndim != 1 or owner.size == 0 or owner.dtype.kind not in "iu":
        raise ValueError(f"image_of: expected (M,) integers, got {owner.dtype} of shape {owner.shape}")
    if owner.min() < 0 or owner.max() >= n_images:
        raise ValueError(f"image_of: expected 0..{n_images - 1}, got {owner.min()}..{owner.max()}")
    relevant = owner == np.arange(n_images)[:, None]
    if not relevant.any(axis=1).all():
        raise ValueError(f"image {relevant.any(axis=1).argmin()} has no caption")
    return relevant


def equivalent(captions: Sequence[str], image_of: ArrayLike, n_images: int) -> np.ndarray:
    """Caption-equivalence, (N, M) bool: caption j is, apart from case and white space, one of image i's captions.

    >>> equivalent(["a road", "A road", "a lane"], [0, 1, 1], 2).astype(int)
    array([[1, 1, 0],
           [1, 1, 1]])

    Raises:
        ValueError: as :func:`relevance`, and when there are not M captions.
    """
    relevant = relevance(image_of, n_images)
    if len(captions) != relevant.shape[1]:
        raise ValueError(f"{len(captions)} captions for {relevant.shape[1]} entries of image_of")
    texts, text_of = np.unique([caption_key(caption) for caption in captions], return_inverse=True)
    has_text = np.zeros((n_images, len(texts)), dtype=bool)
    has_text[np.asarray(image_of), text_of] = True
    return has_text[:, text_of]


# Ranks and recalls.


@dataclass(frozen=True)
class Ranking:
    """The ranks of the best relevant items of Q queries: three integer arrays (Q,), made by :func:`rank`."""

    greater: np.ndarray  # irrelevant items scoring above the best relevant one
    tied_irrelevant: np.ndarray
    tied_relevant: np.ndarray  # counts the best relevant item itself, so at least 1

    @property
    def ranks(self) -> np.ndarray:
        """Expected rank, from 0, of the first relevant item: (Q,) float64."""
        return self.greater + self.tied_irrelevant / (self.tied_relevant + 1)

    def hits(self, k: int) -> np.ndarray:
        """Probability in 0..1 that a relevant item is in the top k: (Q,) float64."""
        if k < 1:
            raise ValueError(f"expected k >= 1, got {k}")
        places = k - self.greater  # that are left in the top k for tied items
        tied = self.tied_irrelevant + self.tied_relevant
        # All places go to irrelevant items: C(tied_irrelevant, places) / C(tied, places), as a product over places.
        miss = np.ones(len(places))
        for place in range(min(k, int(self.tied_irrelevant.max()) + 1)):
            factor = (self.tied_irrelevant - place) / np.maximum(tied - place, 1)  # at 0, the product stays 0
            miss *= np.where(place < places, factor, 1.0)
        return 1.0 - miss


def rank(scores: ArrayLike, relevant: ArrayLike) -> Ranking:
    """Rank a gallery of G items for each of Q queries, by scores (Q, G) and relevance (Q, G) bool.

    A query whose relevant item ties with one irrelevant item is a hit at 1 half the time:

    >>> ranking = rank([[0.9, 0.9, 0.1]], [[True, False, False]])
    >>> ranking.ranks, ranking.hits(1), ranking.hits(2)
    (array([0.5]), array([0.5]), array([1.]))

    Raises:
        ValueError: empty, non-finite or misshapen arrays, or a query without a relevant item.
    """
    scores, relevant = as_floats(scores, "scores"), np.asarray(relevant)
    if relevant.dtype != bool or relevant.shape != scores.shape:
        raise ValueError(f"scores {scores.shape} need bool relevance, got {relevant.dtype} {relevant.shape}")
    best = scores.max(axis=1, where=relevant, initial=-np.inf)[:, None]
    if np.isneginf(best).any():
        raise ValueError(f"query {best.argmin()} has no relevant item")
    tied = scores == best
    tied_relevant = np.count_nonzero(tied & relevant, axis=1)
    tied_irrelevant = np.count_nonzero(tied, axis=1) - tied_relevant
    return Ranking(np.count_nonzero(scores > best, axis=1), tied_irrelevant, tied_relevant)


def evaluate(
    scores: ArrayLike, image_of: ArrayLike, captions: Sequence[str] | None = None
) -> dict[str, dict[str, float]]:
    """{"strict": metrics} of a test set and, when its M captions are given, {"equivalent": metrics}.

    Metrics are plain floats: the :data:`METRICS` in percent, ``i2t_medr`` and ``t2i_medr`` (medians of the expected
    ranks, from 1).

    Raises:
        ValueError: as :func:`relevance`, :func:`equivalent` and :func:`rank`.
    """
    found = {}
    for rule, texts in (("strict", None), ("equivalent", captions)):
        if rule == "strict" or texts is not None:
            i2t, t2i = _both_directions(scores, image_of, texts)
            medians = {"i2t_medr": float(np.median(i2t.ranks)) + 1, "t2i_medr": float(np.median(t2i.ranks)) + 1}
            found[rule] = metrics(_hit_table(i2t, t2i, image_of)) | medians
    return found


def per_image_hits(scores: ArrayLike, image_of: ArrayLike, captions: Sequence[str] | None = None) -> np.ndarray:
    """What each image contributes to the six recalls: the input of :mod:`petl_core.statistics`.

    Returns:
        (N, 7) float64: the image's i2t hits at 1, 5, 10, its captions' t2i hits at 1, 5, 10 summed, and how many
        captions it has; with captions, hits are those under caption-equivalence.

    Raises:
        ValueError: as :func:`evaluate`.
    """
    return _hit_table(*_both_directions(scores, image_of, captions), image_of)


def metrics(hits: ArrayLike) -> dict[str, float]:
    """The six recalls and ``mr``, percent, of hits (N, 7), or means over the seeds of hits (S, N, 7)."""
    tables = hit_tables(hits)
    return dict(zip(METRICS, recalls_of_totals(tables.sum(axis=1), tables.shape[1]).mean(axis=0).tolist(), strict=True))


def hit_tables(hits: ArrayLike) -> np.ndarray:
    """Hits of :func:`per_image_hits` as (S, N, 7); a single table, (N, 7), is that of one seed.

    Raises:
        ValueError: hits that are not finite or of another shape.
    """
    tables = as_floats(hits, "hits", ndims=(2, 3))
    if tables.shape[-1] != len(METRICS):
        raise ValueError(f"hits: expected (N, {len(METRICS)}) as from per_image_hits, got {tables.shape}")
    return tables if tables.ndim == 3 else tables[None]


def recalls_of_totals(totals: np.ndarray, n_images: int) -> np.ndarray:
    """:data:`METRICS` (..., 7), percent, of hits summed over ``n_images`` rows of a table, (..., 7)."""
    i2t, t2i, captions = np.split(totals, [len(KS), 2 * len(KS)], axis=-1)
    recalls = np.concatenate([i2t / n_images, t2i / captions], axis=-1)
    return 100 * np.concatenate([recalls, recalls.mean(axis=-1, keepdims=True)], axis=-1)


def _both_directions(scores: ArrayLike, image_of: ArrayLike, captions: Sequence[str] | None) -> tuple[Ranking, Ranking]:
    """Rankings of captions for each image, and of images for each caption."""
    checked = as_floats(scores, "scores")
    n_images = len(checked)
    relevant = relevance(image_of, n_images) if captions is None else equivalent(captions, image_of, n_images)
    return rank(checked, relevant), rank(checked.T, relevant.T)


def _hit_table(i2t: Ranking, t2i: Ranking, image_of: ArrayLike) -> np.ndarray:
    owner = np.asarray(image_of)
    t2i_hits = [np.bincount(owner, weights=t2i.hits(k)) for k in KS]
    return np.column_stack([*(i2t.hits(k) for k in KS), *t2i_hits, np.bincount(owner)])


# Scene classes in a ranking. A class is an index into the C classes, or UNKNOWN: that is never filtered out, and has a
# uniform prior.


def same_class(of_images: np.ndarray, of_texts: np.ndarray) -> np.ndarray:
    """Which images and captions, of classes (N,) and (M,), may be of the same: (N, M) bool, true if one is unknown."""
    known = (of_images != UNKNOWN)[:, None] & (of_texts != UNKNOWN)[None, :]
    return ~known | (of_images[:, None] == of_texts[None, :])


def inside_first(scores: ArrayLike, inside: np.ndarray) -> np.ndarray:
    """Scores (N, M) with the same order and ties, except that all pairs ``inside`` (bool) are above all others.

    They are integers, ranks of the scores, which no offset can round into new ties.

    >>> inside_first([[0.9, 0.5, 0.9, 0.7]], np.array([[False, True, False, True]]))
    array([[-2,  0, -2,  1]])
    """
    _, places = np.unique(scores, return_inverse=True)
    return places.reshape(inside.shape) - inside.size * ~inside


def log_prior(of_images: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """log p(class of the image | caption), (N, M) and finite, of classes (N,) and class probabilities (M, C)."""
    of_class = np.log(np.maximum(probabilities.T, 1e-12))  # (C, M)
    return np.where((of_images == UNKNOWN)[:, None], -np.log(probabilities.shape[1]), of_class[of_images])


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
    """Zero-shot, as CLIP classifies: the class whose prompt, of embeddings (C, d), is nearest."""
    return ClassPredictor("class prompts", prompts / temperature, np.zeros(len(prompts)))


def from_examples(embeddings: np.ndarray, classes: np.ndarray, n_classes: int) -> ClassPredictor:
    """Logistic regression on normalised embeddings (M, d) of at least two classes (M,); others have probability 0."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    # Copies are weighted, not repeated: distinct captions are few compared with their repetitions.
    known = classes != UNKNOWN
    examples = np.column_stack([classes[known], embeddings[known]])
    distinct, counts = np.unique(examples, axis=0, return_counts=True)
    fitted = LogisticRegression(C=100.0, max_iter=2000)  # a weak penalty, as embeddings have length 1
    fitted.fit(distinct[:, 1:], distinct[:, 0].astype(np.int64), sample_weight=counts)

    # Of two classes, scikit-learn has the weights of the second only.
    weights, bias = np.zeros((n_classes, embeddings.shape[1])), np.full(n_classes, -np.inf)
    bias[fitted.classes_] = 0.0
    fitted_classes = fitted.classes_ if len(fitted.classes_) > 2 else fitted.classes_[1:]
    weights[fitted_classes], bias[fitted_classes] = fitted.coef_, fitted.intercept_
    return ClassPredictor("logistic regression", weights, bias)


def choose_predictor(
    prompts: np.ndarray,
    temperature: float,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
) -> tuple[ClassPredictor, dict[str, float | None]]:
    """Class prompts or, if training has two classes, logistic regression: the more accurate on validation.

    Args:
        prompts: (C, d) embeddings of the class prompts.
        temperature: what cosines are divided by.
        train: embeddings (M, d) and classes (M,).
        validation: the same of other examples.

    Returns:
        The predictor, prompts where both are equal, and the accuracy of each by its name.
    """
    predictors = [from_prompts(prompts, temperature)]
    if len(np.setdiff1d(train[1], UNKNOWN)) > 1:
        predictors.append(from_examples(*train, len(prompts)))
    accuracy = {predictor.name: predictor.accuracy(*validation) for predictor in predictors}
    return max(predictors, key=lambda predictor: accuracy[predictor.name] or 0.0), accuracy
