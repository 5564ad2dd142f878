"""Whether a Focus-Adapter looks at the small targets, and whether that helps to find them.

Two measurements: its weights on targets and on the background, by layer; and a separate test, whose captions mention
only the small objects that stand apart in an image. Both need a drawn data set, which records where its objects are.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from petl_core import retrieval, statistics
from petl_core.data import read_image
from petl_core.evaluation import comparison
from petl_core.evaluation.names import MINUS, NO_VALUE
from petl_core.retrieval import KS
from petl_core.runs.folder import Run

# Files of a drawn data set: the box of each small target, and captions that mention only small targets.
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
    """Q distinct captions about small targets, and which of N images each describes."""

    captions: tuple[str, ...]  # (Q,)
    relevant: np.ndarray  # (Q, N) bool


def target_queries(folder: str | Path, images: Sequence[Path]) -> TargetQueries:
    """The distinct captions of ``target_captions.csv`` in a drawn data set's folder.

    A caption gives noun, colour and count. It describes every image with exactly that number of small targets of that
    noun and colour, whether they stand apart there or not: an image with two red cars in a row matches "two red cars".
    """
    # What the captions describe, and what the images show: (noun, colour, count).
    folder = Path(folder)
    described = {(row["noun"], row["colour"], int(row["count"])): row["caption"] for row in _rows(folder / CAPTIONS)}
    shown: dict[str, set[tuple[str, str, int]]] = {}
    counts = Counter((row["filename"], row["noun"], row["colour"]) for row in _rows(folder / TARGETS))
    for (name, noun, colour), count in counts.items():
        shown.setdefault(name, set()).add((noun, colour, count))

    # Which match.
    relevant = [[target in shown.get(Path(path).name, ()) for path in images] for target in described]
    return TargetQueries(tuple(described.values()), np.array(relevant))


@dataclass(frozen=True)
class TargetTest(Run):
    """A finished run, tested with :class:`TargetQueries`."""

    hits: np.ndarray

    @property
    def test_hits(self) -> np.ndarray:
        return self.hits


def query_hits_as_image_hits(scores: ArrayLike, relevant: np.ndarray) -> np.ndarray:
    """Hits of text queries, laid out so that the statistics of :func:`petl_core.retrieval.per_image_hits` accept them.

    Intervals and differences are computed from a row per image, with its hits in both directions and its number of
    captions. Here each row is a query, as if it were an image with one caption. Queries have no image-to-text
    direction, so their text-to-image hits fill its columns as well: the recalls are those of the queries, ``mr`` is the
    mean of the three, and bootstraps resample queries.

    Args:
        scores: (Q, N) of queries and images; constant ones give the hits of a random order.
        relevant: (Q, N) bool.

    Returns:
        (Q, 7): hits at 1, 5 and 10, the same again, and 1. A hit is a relevant image among the first k, ties as in
        :mod:`petl_core.retrieval`.
    """
    ranking = retrieval.rank(scores, relevant)
    text_to_image = [ranking.hits(k) for k in KS]
    captions_per_row = np.ones(len(relevant))
    return np.column_stack([*text_to_image, *text_to_image, captions_per_row])


def readable_recalls(table: pd.DataFrame) -> pd.DataFrame:
    """A readable summary (:mod:`petl_core.evaluation.comparison`) of :class:`TargetTest` without repeated columns."""
    repeated = [column for column in table if column.startswith("I→T")]
    return table.drop(columns=repeated).rename(columns={"mR": "Mean"})


def target_focus(images: Sequence[Path], maps: np.ndarray, boxes: dict[str, list[Box]]) -> pd.DataFrame:
    """Mean weight of the patches that hold a target's centre, and of all others, by image and layer.

    Args:
        images: B files, square.
        maps: (B, layers, height, width) from :func:`petl_core.adapters.focus.focus_maps`.
        boxes: targets by file name, as from :func:`target_boxes`; an image without targets is left out.

    Returns:
        One row per image and layer: ``image``, ``layer`` (from 1), ``target`` and ``background`` (0..1).
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
    """Frames of :func:`target_focus` as means over seeds and images, to print.

    Args:
        focus: the frames of all seeds together, with a column ``seed``.

    Returns:
        One row per layer: Layer, Target, Background, Difference, and

        95% interval: of the difference, over images and, if there are several, seeds.
        Seeds above: number of seeds that pass targets more than background on average.
        Targets pass: "more" or "less" than background if the difference is significant (5 % level, adjusted by Holm for
        all layers); "one seed" if there is no verdict.
    """
    # A row per layer.
    differences = focus.assign(difference=focus["target"] - focus["background"])
    rows, p_values = [], []
    for layer, part in differences.groupby("layer"):
        difference = part.pivot(index="seed", columns="image", values="difference")
        low, high, p = _interval_and_p(difference.to_numpy())
        p_values.append(p)
        rows.append(
            {
                "Layer": layer,
                "Target": part["target"].mean(),
                "Background": part["background"].mean(),
                "Difference": part["difference"].mean(),
                "95% interval": f"[{low:+.3f}, {high:+.3f}]".replace("-", MINUS),
                "Seeds above": f"{(difference.mean(axis=1) > 0).sum()} of {len(difference)}",
            }
        )

    # The verdicts, adjusted for all layers.
    table = pd.DataFrame(rows)
    table["Targets pass"] = np.where(table["Difference"] > 0, "more", "less")
    adjusted = statistics.holm(p_values)
    table.loc[adjusted >= comparison.SIGNIFICANCE, "Targets pass"] = NO_VALUE
    table.loc[np.isnan(adjusted), "Targets pass"] = "one seed"
    return table


def readable_layers(table: pd.DataFrame) -> pd.DataFrame:
    """A table of :func:`by_layer` to print."""
    return table.assign(
        Target=table["Target"].map("{:.3f}".format),
        Background=table["Background"].map("{:.3f}".format),
        Difference=table["Difference"].map("{:+.3f}".format).str.replace("-", MINUS),
    )


def _interval_and_p(values: np.ndarray) -> tuple[float, float, float]:
    """The 95 % interval of the mean of values (S, N) of S seeds and N images, and its p-value, NaN with one seed."""
    if len(values) >= comparison.SEEDS_FOR_A_VERDICT:
        row = statistics.judge([values]).iloc[0]
        return row["low"], row["high"], row["p"]
    margin = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean() - margin), float(values.mean() + margin), np.nan


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
