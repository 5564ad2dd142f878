"""Where images and texts lie in their common space before and after adaptation: in numbers, and projected to a plane.

The modality gap is that of Liang et al., "Mind the Gap" (NeurIPS 2022).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from petl_core.data import Split
from petl_core.evaluation.names import MINUS

INTERVAL = (0.025, 0.975)  # quantiles of the bootstrap


class Space(NamedTuple):
    """Normalised embeddings of a split by one model."""

    images: np.ndarray  # (N, d)
    texts: np.ndarray  # (M, d)


def compare_spaces(before: Space, after: Space, split: Split, samples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Modality gap and mean cosines before and after adaptation, with 95 % intervals.

    The modality gap is the distance between the mean image and the mean text; all other measures are mean cosines.
    An unmatched pair is an image and a caption of another image, even one that copies the image's own word for word.
    Pairs of texts, and all pairs by scene, are from two different images. Pairs by scene leave out images without a
    label; a measure that no pair of labelled images has is missing from the frame.

    Intervals are percentiles of a bootstrap that resamples images together with their captions. Before and after use
    the same resamples, so the change is paired. The gap is a norm, which noise can only increase: where it is near
    zero, its interval is too high.

    Args:
        before: the split as zero-shot CLIP embeds it.
        after: the split as the adapted model embeds it.
        split: N images with M captions.
        samples: resamples of the bootstrap.
        seed: of the resamples.

    Returns:
        One row per ``measure``: its value ``before``, ``after`` and the ``change``, each with ``*_low`` and ``*_high``.
    """
    # The first row of weights is the split itself, every other one a resample of its images.
    n_images = len(split.images)
    resamples = np.random.default_rng(seed).multinomial(n_images, np.full(n_images, 1 / n_images), size=samples)
    weights = np.vstack([np.ones(n_images), resamples])  # (1 + samples, N)
    draws = {"before": _measures(before, split, weights), "after": _measures(after, split, weights)}
    draws["change"] = draws["after"] - draws["before"]

    columns: dict[str, pd.Series] = {}
    for name, values in draws.items():  # (1 + samples, measures)
        bounds = values.iloc[1:].quantile(INTERVAL)
        columns |= {name: values.iloc[0], f"{name}_low": bounds.iloc[0], f"{name}_high": bounds.iloc[1]}
    return pd.DataFrame(columns).dropna().rename_axis("measure").reset_index()


def readable_measures(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of :func:`compare_spaces` to print: "value [low, high]"."""
    columns = {"Measure": frame["measure"]}
    for name, form in (("before", ".3f"), ("after", ".3f"), ("change", "+.3f")):
        rows = zip(frame[name], frame[f"{name}_low"], frame[f"{name}_high"], strict=True)
        texts = [f"{value:{form}} [{low:{form}}, {high:{form}}]" for value, low, high in rows]
        columns[name.capitalize()] = [text.replace("-", MINUS) for text in texts]
    return pd.DataFrame(columns)


def draw_pairs(split: Split, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Matched pairs at random, each from a different image.

    Args:
        split: to draw from.
        count: P, or fewer where there are fewer images with captions.
        seed: of the draw.

    Returns:
        Indices of the images (P,) and of one caption of each (P,).
    """
    rng = np.random.default_rng(seed)
    captions = rng.permutation(len(split.captions))
    images, first = np.unique(split.image_of[captions], return_index=True)
    chosen = rng.permutation(len(images))[:count]
    return images[chosen], captions[first[chosen]]


def stack_pairs(before: Space, after: Space, images: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """Embeddings of P matched pairs, (2, 2, P, d): before and after, images and captions."""
    return np.stack([np.stack([space.images[images], space.texts[captions]]) for space in (before, after)])


def project_umap(points: np.ndarray, neighbours: int = 50, seed: int = 0) -> np.ndarray:
    """One UMAP of all points, by cosine, starting from their principal components.

    It runs on one thread, so the same arguments give the same coordinates.

    Args:
        points: (..., d).
        neighbours: number of neighbours that UMAP tries to keep near each point.
        seed: of the layout.

    Returns:
        (..., 2).
    """
    from umap import UMAP  # slow to import

    flat = points.reshape(-1, points.shape[-1])
    reducer = UMAP(
        n_neighbors=min(neighbours, len(flat) - 1),
        min_dist=0.8,  # the default, 0.1, piles the captions of a scene into a dot
        metric="cosine",
        init="pca",
        random_state=seed,
        n_jobs=1,
    )
    return reducer.fit_transform(flat).reshape(*points.shape[:-1], 2)


def project_pca(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal components of all points.

    Args:
        points: (..., d).

    Returns:
        Coordinates (..., 2), and the components' shares of the variance (2,).
    """
    from sklearn.decomposition import PCA  # slow to import

    flat = points.reshape(-1, points.shape[-1])
    pca = PCA(2, svd_solver="full")
    return pca.fit_transform(flat).reshape(*points.shape[:-1], 2), pca.explained_variance_ratio_


def _measures(space: Space, split: Split, weights: np.ndarray) -> pd.DataFrame:
    """Every measure for each row of image weights, (R, N); NaN where there is no such pair."""
    # The captions of each image, summed, and their cosines to it.
    images = space.images.astype(float)
    captions = split.captions_per_image.astype(float)  # (N,)
    sums = np.zeros_like(images)  # (N, d) the captions of each image, summed
    np.add.at(sums, split.image_of, space.texts)
    own = (images * sums).sum(axis=1)  # (N,) cosines of each image to its own captions, summed

    # For each kind of pair and each two images: the sum of the cosines of their pairs and how many these are, (N, N).
    pairs = {
        "unmatched image–text": (images @ sums.T, np.tile(captions, (len(images), 1))),
        "image–image": (images @ images.T, np.ones((len(images), len(images)))),
        "text–text": (sums @ sums.T, np.outer(captions, captions)),
    }

    # Which two images differ, have labels, and share a scene, (N, N).
    names, scene = np.unique([name or "" for name in split.scenes], return_inverse=True)
    labelled = names[scene] != ""
    same_scene, both_labelled = scene[:, None] == scene, np.outer(labelled, labelled)
    different_images = ~np.eye(len(images), dtype=bool)

    mean_image = _ratio(weights @ images, weights.sum(axis=1)[:, None])
    mean_text = _ratio(weights @ sums, (weights @ captions)[:, None])
    measures = {
        "modality gap": np.linalg.norm(mean_image - mean_text, axis=1),
        "matched image–text": _ratio(weights @ own, weights @ captions),
        "unmatched image–text": _mean_of_pairs(weights, *pairs["unmatched image–text"], different_images),
    }
    for kind, sums_and_counts in pairs.items():
        same = different_images & same_scene & both_labelled
        measures[f"{kind}, same scene"] = _mean_of_pairs(weights, *sums_and_counts, same)
        measures[f"{kind}, different scenes"] = _mean_of_pairs(weights, *sums_and_counts, ~same_scene & both_labelled)

    # What decides retrieval: how much closer matched pairs are than unmatched ones.
    matched_labelled = _ratio(weights @ (own * labelled), weights @ (captions * labelled))
    measures["matched minus unmatched"] = measures["matched image–text"] - measures["unmatched image–text"]
    measures["matched minus unmatched, same scene"] = matched_labelled - measures["unmatched image–text, same scene"]
    return pd.DataFrame(measures)


def _mean_of_pairs(weights: np.ndarray, sums: np.ndarray, counts: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(R,) mean over the chosen pairs of images, all (N, N), each pair as often as its two images together."""
    total, number = (((weights @ (part * chosen)) * weights).sum(axis=1) for part in (sums, counts))
    return _ratio(total, number)


def _ratio(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """NaN where there is nothing to take the mean of."""
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
