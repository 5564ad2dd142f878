"""Whether a Focus-Adapter looks at the small targets: its weights on them and on the background, by layer."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from petl_core.data import read_image

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the image file


def target_boxes(folder: str | Path) -> dict[str, list[Box]]:
    """Boxes of the small targets by image file name, from the ``targets.csv`` of a drawn data set's folder."""
    boxes: dict[str, list[Box]] = {}
    with open(Path(folder) / "targets.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            box = float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])
            boxes.setdefault(row["filename"], []).append(box)
    return boxes


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
    """A frame of :func:`target_focus` as means over images: Layer, Target, Background, Difference, 95% interval."""
    rows = []
    for layer, part in focus.groupby("layer"):
        difference = part["target"] - part["background"]
        margin = 1.96 * difference.sem()
        rows.append(
            {
                "Layer": layer,
                "Target": part["target"].mean(),
                "Background": part["background"].mean(),
                "Difference": difference.mean(),
                "95% interval": f"[{difference.mean() - margin:+.3f}, {difference.mean() + margin:+.3f}]",
            }
        )
    return pd.DataFrame(rows)


def _patches_with_centres(boxes: Sequence[Box], side: int, grid: tuple[int, ...]) -> np.ndarray:
    """Which patches of a grid over a square image of ``side`` pixels hold the centre of a box: (height, width) bool."""
    height, width = grid
    centres = np.array([((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes]) / side
    column, row = np.clip(centres * (width, height), 0, (width - 1, height - 1)).astype(int).T
    chosen = np.zeros((height, width), dtype=bool)
    chosen[row, column] = True
    return chosen
