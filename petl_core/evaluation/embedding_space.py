"""Where images and texts lie in their common space before and after adaptation: in numbers, and projected to a plane.

The modality gap is that of Liang et al., "Mind the Gap" (NeurIPS 2022).
"""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from petl_core.data import RetrievalData, Split
from petl_core.evaluation.comparison import MINUS
from petl_core.plots.figures import TWO_COLUMNS
from petl_core.runs.experiment import Run, load_model
from petl_core.training import encoding as training

# Colours and markers advance together; 8 and 7 have no common divisor, so 56 scenes differ.
COLOURS = [colour for i, colour in enumerate(sns.color_palette("colorblind")) if i not in (7, 8)]  # no grey, no yellow
MARKERS = "os^DvPX"
NO_LABEL = "0.65"


class Space(NamedTuple):
    """Normalised embeddings of a split by one model."""

    images: np.ndarray  # (N, d)
    texts: np.ndarray  # (M, d)


def encode(run: Run, dataset: RetrievalData, data_root: str, device: str = "auto", progress: bool = True) -> Space:
    """The test split as a finished run's model embeds it."""
    frozen, model = load_model(run, data_root, device)
    prepared = training.prepare(dataset.test, frozen, progress)
    return Space(*training.embed(model, frozen, prepared, next(model.parameters()).device, progress))


def compare(
    before: Space, after: Space, split: Split, samples: int = 1000, seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """One row a measure: its value ``before``, ``after`` and the ``change``, each with ``*_low`` and ``*_high``.

    The modality gap is the distance between the mean image and the mean text; all other measures are mean cosines.
    An unmatched pair is an image and a caption of another image, even one that copies the image's own word for word.
    Pairs of texts, and all pairs by scene, are of two images; those by scene leave out images without a label, and
    there are none where no two labelled images make such a pair.

    Percentile intervals, from a bootstrap that resamples images together with their captions; the same resamples
    before and after, so the change is paired. The gap is a norm, which noise only lengthens: where it is near zero,
    its interval lies too high.
    """
    n_images = len(split.images)
    resamples = np.random.default_rng(seed).multinomial(n_images, np.full(n_images, 1 / n_images), size=samples)
    weights = np.vstack([np.ones(n_images), resamples])  # (1 + samples, N)
    draws = {"before": _measures(before, split, weights), "after": _measures(after, split, weights)}
    draws["change"] = draws["after"] - draws["before"]
    columns = {}
    for name, values in draws.items():  # (1 + samples, measures)
        bounds = values.iloc[1:].quantile([(1 - level) / 2, (1 + level) / 2])
        columns |= {name: values.iloc[0], f"{name}_low": bounds.iloc[0], f"{name}_high": bounds.iloc[1]}
    return pd.DataFrame(columns).dropna().rename_axis("measure").reset_index()


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of :func:`compare` for print: "value [low, high]"."""
    columns = {"Measure": frame["measure"]}
    for name, form in (("before", ".3f"), ("after", ".3f"), ("change", "+.3f")):
        rows = zip(frame[name], frame[f"{name}_low"], frame[f"{name}_high"], strict=True)
        texts = [f"{value:{form}} [{low:{form}}, {high:{form}}]" for value, low, high in rows]
        columns[name.capitalize()] = [text.replace("-", MINUS) for text in texts]
    return pd.DataFrame(columns)


def draw_pairs(split: Split, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` images, or all if there are fewer, and one caption of each: two (P,) of indices, drawn at random."""
    rng = np.random.default_rng(seed)
    captions = rng.permutation(len(split.captions))
    images, first = np.unique(split.image_of[captions], return_index=True)
    chosen = rng.permutation(len(images))[:count]
    return images[chosen], captions[first[chosen]]


def points(before: Space, after: Space, images: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """(2, 2, P, d): before and after, images and captions, of P matched pairs."""
    return np.stack([np.stack([space.images[images], space.texts[captions]]) for space in (before, after)])


def project_umap(points: np.ndarray, neighbours: int = 50, seed: int = 0) -> np.ndarray:
    """(..., d) -> (..., 2): one UMAP of all points, by cosine, laid out from their principal components.

    The same arguments give the same coordinates: it runs on one thread.
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
    """(..., d) -> (..., 2), on the first two principal components of all points; and their shares of the variance."""
    from sklearn.decomposition import PCA

    flat = points.reshape(-1, points.shape[-1])
    pca = PCA(2, svd_solver="full")
    return pca.fit_transform(flat).reshape(*points.shape[:-1], 2), pca.explained_variance_ratio_


def plot_before_after(
    projected: np.ndarray, scenes: Sequence[str | None], joined: int, axis_names: tuple[str, str]
) -> Figure:
    """Before and after side by side, with equal limits: a colour and shape a scene, images filled, captions open.

    Args:
        projected: (2, 2, P, 2), as from projecting :func:`points`.
        scenes: (P,) labels; None is grey. Up to 56 are told apart.
        joined: the first so many pairs are joined by a line.
        axis_names: of the two coordinates.
    """
    names = sorted({scene for scene in scenes if scene is not None})
    looks = {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}
    if None in scenes:
        looks[None] = (NO_LABEL, "o")
    scene_of = np.array(scenes, dtype=object)
    legend_rows = -(-(len(looks) + 3) // 5)
    figure, panels = plt.subplots(
        1, 2, figsize=(TWO_COLUMNS, 3.5 + 0.15 * legend_rows), sharex=True, sharey=True, layout="constrained"
    )
    for axes, title, (images, captions) in zip(
        panels, ("before (zero-shot)", "after adaptation"), projected, strict=True
    ):
        pairs = np.stack([images[:joined], captions[:joined]])  # (2, joined, 2)
        axes.plot(*pairs.transpose(2, 0, 1), color="0.45", linewidth=0.5, alpha=0.7, zorder=1)
        for name, (colour, marker) in looks.items():
            rows = scene_of == name
            look = {"marker": marker, "zorder": 2 if name else 1.5}  # what has no label lies behind
            axes.scatter(*images[rows].T, s=16, color=colour, edgecolors="white", linewidths=0.3, **look)
            axes.scatter(*captions[rows].T, s=13, facecolors="none", edgecolors=colour, linewidths=0.7, **look)
        axes.set(title=title, xlabel=axis_names[0], xticks=[], yticks=[], box_aspect=1)
        axes.grid(visible=False)
    panels[0].set_ylabel(axis_names[1])
    low, high = projected.min(axis=(0, 1, 2)), projected.max(axis=(0, 1, 2))
    middle, half = (low + high) / 2, 0.53 * (high - low).max()  # square: a unit is as long either way
    panels[0].set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    marks = [
        Line2D(
            [],
            [],
            marker=marker,
            color=colour,
            markersize=4,
            linestyle="none",
            label="no label" if name is None else name,
        )
        for name, (colour, marker) in looks.items()
    ] + [
        Line2D([], [], marker="o", color="0.2", markersize=4, linestyle="none", label="filled: image"),
        Line2D(
            [], [], marker="o", color="0.2", markersize=4, linestyle="none", fillstyle="none", label="open: its caption"
        ),
        Line2D([], [], color="0.45", linewidth=0.8, label="line: matched pair"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=5, fontsize=6.5, columnspacing=1.2)
    return figure


def _measures(space: Space, split: Split, weights: np.ndarray) -> pd.DataFrame:
    """Every measure for each row of image weights, (R, N); NaN where there is no such pair."""
    images = space.images.astype(float)
    captions = split.captions_per_image.astype(float)  # (N,)
    sums = np.zeros_like(images)  # (N, d) the captions of each image, summed
    np.add.at(sums, split.image_of, space.texts)
    own = (images * sums).sum(axis=1)
    cosines = {  # summed over the caption pairs of each two images, (N, N), and how many pairs these are
        "unmatched image–text": (images @ sums.T, np.tile(captions, (len(images), 1))),
        "image–image": (images @ images.T, np.ones((len(images), len(images)))),
        "text–text": (sums @ sums.T, np.outer(captions, captions)),
    }
    names, scene = np.unique([name or "" for name in split.scenes], return_inverse=True)
    labelled = names[scene] != ""
    same, known = scene[:, None] == scene, np.outer(labelled, labelled)
    other = ~np.eye(len(images), dtype=bool)

    gap = _ratio(weights @ images, weights.sum(axis=1)[:, None]) - _ratio(weights @ sums, (weights @ captions)[:, None])
    measures = {
        "modality gap": np.linalg.norm(gap, axis=1),
        "matched image–text": _ratio(weights @ own, weights @ captions),
        "unmatched image–text": _mean(weights, *cosines["unmatched image–text"], other),
    }
    for kind, parts in cosines.items():
        measures[f"{kind}, same scene"] = _mean(weights, *parts, other & same & known)
        measures[f"{kind}, different scenes"] = _mean(weights, *parts, ~same & known)
    of_labelled = _ratio(weights @ (own * labelled), weights @ (captions * labelled))
    measures["matched less unmatched"] = measures["matched image–text"] - measures["unmatched image–text"]
    measures["matched less unmatched, same scene"] = of_labelled - measures["unmatched image–text, same scene"]
    return pd.DataFrame(measures)


def _mean(weights: np.ndarray, sums: np.ndarray, counts: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(R,) mean over pairs of images, all (N, N), each pair as often as its two images together."""
    return _ratio(*(((weights @ (part * pairs)) * weights).sum(axis=1) for part in (sums, counts)))


def _ratio(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """NaN where there is nothing to take the mean of."""
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
