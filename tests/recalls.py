"""What the tests of retrieval share: names of its metrics, and captions of uneven number."""

import numpy as np

RECALLS = [f"{direction}_r{k}" for direction in ("i2t", "t2i") for k in (1, 5, 10)]
METRICS = [*RECALLS, "mr"]


def ragged_owners(rng, n_images, n_captions):
    return rng.permutation(np.concatenate([np.arange(n_images), rng.integers(n_images, size=n_captions - n_images)]))
