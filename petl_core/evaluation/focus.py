"""Whether a Focus-Adapter looks at the small targets, and whether that helps to find them.

Its weights on targets and on the background, by layer; and a test of its own, with captions that speak of the small
things that stand apart in an image and of nothing else. Both are for drawn data sets, which know where what is.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from petl_core import retrieval
from petl_core.adapters.base import AdaptedCLIP
from petl_core.adapters.focus import focus_maps
from petl_core.data import Split, read_image
from petl_core.evaluation.names import MINUS, NO_VALUE
from petl_core.retrieval import over_seeds
from petl_core.retrieval.ranks import KS
from petl_core.runs.folder import Run
from petl_core.training.encoding import ENCODE_BATCH, embed_captions, embed_images, prepare

# Of a drawn data set's folder: the box of each small target, and captions that speak of them alone.
TARGETS, CAPTIONS = "targets.csv", "target_captions.csv"

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the image file


def target_boxes(folder: str | Path) -> dict[str, list[Box]]:
    """Boxes of the small targets by image file name, from the ``targets.csv`` of a drawn data set's folder."""
    boxes: dict[str, list[Box]] = {}
    for row in _rows(Path(folder) / TARGETS):
        box = float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])
        boxes.setdefault(row["filename"], []).append(box)
    return boxes


@dataclass(frozen=True)
class TargetQueries:
    """Q distinct captions about small targets, and which of N images each is true of."""

    captions: tuple[str, ...]  # (Q,)
    relevant: np.ndarray  # (Q, N) bool


def target_queries(folder: str | Path, images: Sequence[Path]) -> TargetQueries:
    """The captions of ``target_captions.csv``, each once, in a drawn data set's folder.

    A caption says noun, colour and count. It is true of every image that shows exactly as many small targets of that
    noun and colour, whether they stand apart there or not: an image with two red cars in a row matches "two red cars".
    """
    folder = Path(folder)
    described = {(row["noun"], row["colour"], int(row["count"])): row["caption"] for row in _rows(folder / CAPTIONS)}
    shown: dict[str, set[tuple[str, str, int]]] = {}
    counts = Counter((row["filename"], row["noun"], row["colour"]) for row in _rows(folder / TARGETS))
    for (name, noun, colour), count in counts.items():
        shown.setdefault(name, set()).add((noun, colour, count))
    relevant = [[target in shown.get(Path(path).name, ()) for path in images] for target in described]
    return TargetQueries(tuple(described.values()), np.array(relevant))


@dataclass(frozen=True)
class TargetTest(Run):
    """A finished run by its test with :class:`TargetQueries`."""

    hits: np.ndarray

    @property
    def test_hits(self) -> np.ndarray:
        return self.hits


def query_hits(scores: ArrayLike, relevant: np.ndarray) -> np.ndarray:
    """A table of queries for what compares tables of images (:func:`petl_core.retrieval.per_image_hits`).

    Args:
        scores: (Q, N) of queries and images; constant ones give the hits of a random order.
        relevant: (Q, N) bool.

    Returns:
        (Q, 7): hits at 1, 5 and 10, twice, and 1. So text-to-image recalls are the share of queries with a relevant
        image among the first, ties as in :mod:`petl_core.retrieval`; ``mr`` is the mean of the three; and what is
        resampled are queries.
    """
    ranking = retrieval.rank(scores, relevant)
    hits = [ranking.hits(k) for k in KS]
    return np.column_stack([*hits, *hits, np.ones(len(relevant))])


def target_hits(model: AdaptedCLIP, test: Split, queries: TargetQueries) -> np.ndarray:
    """What a model finds of captions about small targets, as :func:`query_hits`.

    Args:
        model: whose embeddings are compared.
        test: with the N images of ``queries``.
        queries: of :func:`target_queries`.
    """
    prepared = prepare(test, model.backbone)
    images, texts = embed_images(model, prepared, prepared.pixels_of), embed_captions(model, queries.captions)
    return query_hits(retrieval.similarity(texts, images), queries.relevant)


def focus_maps_of(model: AdaptedCLIP, images: Sequence[Path]) -> np.ndarray:
    """Focus weights of image files: (B, layers, height, width) of :func:`petl_core.adapters.focus.focus_maps`."""
    pixels = model.backbone.normalise(model.backbone.pixels(images)).to(model.device)
    return np.concatenate([focus_maps(model, batch).cpu().numpy() for batch in pixels.split(ENCODE_BATCH)])


def readable_recalls(table: pd.DataFrame) -> pd.DataFrame:
    """A readable summary (:mod:`petl_core.evaluation.comparison`) of :class:`TargetTest` without what stands twice."""
    kept = table.drop(columns=[column for column in table if column.startswith("I→T")])
    return kept.rename(columns={"mR": "Mean"})


def target_focus(images: Sequence[Path], maps: np.ndarray, boxes: dict[str, list[Box]]) -> pd.DataFrame:
    """Mean weight of the patches that a target's centre lies in, and of all others, by image and layer.

    Args:
        images: B files, square.
        maps: (B, layers, height, width) from :func:`petl_core.adapters.focus.focus_maps`.
        boxes: targets by file name, as from :func:`target_boxes`; an image without targets is left out.

    Returns:
        A row an image and layer: ``image``, ``layer`` (from 1), ``target`` and ``background`` (0..1).
    """
    rows = []
    for path, weights in zip(images, maps, strict=True):
        name = Path(path).name
        if name not in boxes:
            continue
        on_target = _patches_with_centres(boxes[name], read_image(path).width, weights.shape[1:])
        rows += [
            {"image": name, "layer": layer, "target": w[on_target].mean(), "background": w[~on_target].mean()}
            for layer, w in enumerate(weights, start=1)
        ]
    return pd.DataFrame(rows)


def by_layer(focus: pd.DataFrame) -> pd.DataFrame:
    """Frames of :func:`target_focus`, one a seed, as means over seeds and images.

    Args:
        focus: with a column ``seed``.

    Returns:
        A row a layer: Layer, Target, Background, Difference, 95% interval (of the difference, over images and, of
        several seeds, over those), Seeds above, how many seeds pass targets more than background on average, and
        Targets pass: "more" or "less" than background where the interval leaves out 0.
    """
    differences = focus.assign(difference=focus["target"] - focus["background"])
    rows = []
    for layer, part in differences.groupby("layer"):
        difference = part.pivot(index="seed", columns="image", values="difference")
        low, high = _interval(difference.to_numpy())
        rows.append(
            {
                "Layer": layer,
                "Target": part["target"].mean(),
                "Background": part["background"].mean(),
                "Difference": part["difference"].mean(),
                "95% interval": f"[{low:+.3f}, {high:+.3f}]".replace("-", MINUS),
                "Seeds above": f"{(difference.mean(axis=1) > 0).sum()} of {len(difference)}",
                "Targets pass": "more" if low > 0 else "less" if high < 0 else NO_VALUE,
            }
        )
    return pd.DataFrame(rows)


def _interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of values (S, N), of S seeds and N images."""
    if len(values) > 1:
        low, high = over_seeds.MeanOverSeeds.of(values[..., None]).interval(0.95)[0]
        return float(low), float(high)
    margin = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean() - margin), float(values.mean() + margin)


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _patches_with_centres(boxes: Sequence[Box], side: int, grid: tuple[int, ...]) -> np.ndarray:
    """Which patches of a grid over a square image of ``side`` pixels hold the centre of a box: (height, width) bool."""
    height, width = grid
    centres = np.array([((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes]) / side
    column, row = np.clip(centres * (width, height), 0, (width - 1, height - 1)).astype(int).T
    chosen = np.zeros((height, width), dtype=bool)
    chosen[row, column] = True
    return chosen
