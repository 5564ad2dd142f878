"""Checks of arrays to rank: non-empty, finite, and of the expected shape."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def as_floats(values: ArrayLike, name: str, ndims: tuple[int, ...] = (2,)) -> np.ndarray:
    """Values as float32, or float64 if they need it.

    Args:
        values: anything that numpy converts to an array of numbers.
        name: of the values, for the message.
        ndims: how many dimensions they may have.

    Raises:
        ValueError: there are no numbers, too few or too many dimensions, or a value is not finite.
    """
    array = np.asarray(values)
    if array.ndim not in ndims or array.size == 0 or array.dtype.kind not in "biuf":
        expected = " or ".join(f"{ndim}-D" for ndim in ndims)
        raise ValueError(f"{name}: expected non-empty {expected} numbers, got {array.dtype} {array.shape}")
    array = array.astype(np.result_type(array, np.float32), copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {np.count_nonzero(~np.isfinite(array))} values are NaN or infinite")
    return array


def check_ks(ks: Sequence[int]) -> None:
    """Check the k of recalls.

    Raises:
        ValueError: there are none, one is repeated, or one is below 1.
    """
    if len(ks) == 0 or len(set(ks)) != len(ks) or min(ks) < 1:
        raise ValueError(f"expected distinct k >= 1, got {tuple(ks)}")
