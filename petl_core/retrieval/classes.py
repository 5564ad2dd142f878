"""Classes in a ranking, as a hard filter or as a soft prior.

N images and M captions; a class is an index into the C classes, or ``UNKNOWN``. What has no known class is never
filtered out, and has a uniform prior.
"""

import numpy as np
from numpy.typing import ArrayLike

from petl_core.data.scene_labels import UNKNOWN

SMALLEST = 1e-12  # lower probabilities are raised to this, so that their logarithm is finite


def same_class(of_images: np.ndarray, of_texts: np.ndarray) -> np.ndarray:
    """Which images and captions may be of the same class: (N, M) bool, true where either class is unknown.

    Args:
        of_images: (N,) classes.
        of_texts: (M,) classes.
    """
    known = (of_images != UNKNOWN)[:, None] & (of_texts != UNKNOWN)[None, :]
    return ~known | (of_images[:, None] == of_texts[None, :])


def inside_first(scores: ArrayLike, inside: np.ndarray) -> np.ndarray:
    """Scores with the same order and ties, except that all pairs inside are above all others.

    >>> inside_first([[0.9, 0.5, 0.9, 0.7]], np.array([[False, True, False, True]]))
    array([[-2,  0, -2,  1]])

    Args:
        scores: (N, M) finite.
        inside: (N, M) bool.

    Returns:
        (N, M) integers: ranks of the scores, which no offset can round into new ties.
    """
    _, places = np.unique(scores, return_inverse=True)
    return places.reshape(inside.shape) - inside.size * ~inside


def log_prior(of_images: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """log p(class of the image | caption): (N, M), finite.

    Args:
        of_images: (N,) classes.
        probabilities: (M, C) of each class, given the caption.
    """
    n_classes = probabilities.shape[1]
    of_class = np.log(np.maximum(probabilities.T, SMALLEST))  # (C, M)
    return np.where((of_images == UNKNOWN)[:, None], -np.log(n_classes), of_class[of_images])
