"""Cosine similarities, which captions are relevant to which images, and the top k."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from petl_core.data import caption_key
from petl_core.retrieval.checks import as_floats, check_ks


def similarity(images: ArrayLike, texts: ArrayLike) -> np.ndarray:
    """Cosine similarity of each image and each text.

    Identical rows get bit-identical scores, so duplicates are exact ties, and storage order changes no score. Encoders
    round differently by batch: encode each distinct caption once, or its copies will not tie.

    Args:
        images: (N, d) embeddings, normalised here.
        texts: (M, d) embeddings, normalised here.

    Returns:
        (N, M) float32 or float64, as the embeddings need.

    Raises:
        ValueError: empty, infinite or zero rows, or unequal d.
    """
    distinct_images, image_row = _distinct_unit_rows(images, "images")
    distinct_texts, text_row = _distinct_unit_rows(texts, "texts")
    if distinct_images.shape[1] != distinct_texts.shape[1]:
        raise ValueError(f"images have d = {distinct_images.shape[1]}, texts d = {distinct_texts.shape[1]}")
    # A matrix product rounds differently at the edges of its blocks: compute each distinct pair only once.
    return (distinct_images @ distinct_texts.T)[np.ix_(image_row, text_row)]


def _distinct_unit_rows(values: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows (D, d), normalised, and which of them each row is (rows,)."""
    rows = as_floats(values, name)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise ValueError(f"{name}: a row has zero or overflowing norm")
    distinct, row_of = np.unique(rows / norms, axis=0, return_inverse=True)
    return distinct, row_of.reshape(-1)


def relevance(image_of: ArrayLike, n_images: int) -> np.ndarray:
    """Strict relevance: caption j belongs to image i.

    >>> relevance([0, 0, 1], 2).astype(int)
    array([[1, 1, 0],
           [0, 0, 1]])

    Args:
        image_of: (M,) the image of each caption.
        n_images: N.

    Returns:
        (N, M) bool.

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
    """Caption-equivalence: caption j is, apart from case and white space, one of image i's captions.

    >>> equivalent(["a road", "A road", "a lane"], [0, 1, 1], 2).astype(int)
    array([[1, 1, 0],
           [1, 1, 1]])

    Args:
        captions: M texts.
        image_of: (M,) the image of each caption.
        n_images: N.

    Returns:
        (N, M) bool.

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


def top_k(scores: ArrayLike, k: int) -> np.ndarray:
    """Indices of the k highest scores, best first, ties by index.

    >>> top_k([0.5, 2.0, 0.5, -1.0], 3)
    array([1, 0, 2])

    Args:
        scores: (G,) or (Q, G).
        k: at least 1.

    Returns:
        (..., min(k, G)) int64.

    Raises:
        ValueError: empty or non-finite scores, or k < 1.
    """
    check_ks((k,))
    return np.argsort(-as_floats(scores, "scores", ndims=(1, 2)), axis=-1, kind="stable")[..., :k]
