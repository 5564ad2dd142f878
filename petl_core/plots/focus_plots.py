"""Where a Focus-Adapter looks: its maps over the images, with the boxes of the small targets."""

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from petl_core.data import read_image
from petl_core.plots.figures import TWO_COLUMNS

BOX = "#d55e00"  # of seaborn's colour-blind palette; stands out from viridis

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the image file


def target_boxes(folder: str | Path) -> dict[str, list[Box]]:
    """Boxes of the small targets by image file name, from the ``targets.csv`` of an embedded data set's folder."""
    boxes: dict[str, list[Box]] = {}
    with open(Path(folder) / "targets.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            boxes.setdefault(row["filename"], []).append(tuple(float(row[edge]) for edge in ("x0", "y0", "x1", "y1")))
    return boxes


def plot_focus(images: Sequence[Path], maps: np.ndarray, boxes: dict[str, list[Box]] | None = None) -> Figure:
    """Each row an image, then each layer's map over it, yellow where patches pass and dark where they are held back.

    Args:
        images: B files.
        maps: (B, layers, height, width) from :func:`petl_core.adapters.focus.focus_maps`, of the central square that
            open_clip's preprocessing cuts out.
        boxes: targets by file name, framed; without them nothing is.
    """
    layers = maps.shape[1]
    figure, grid = plt.subplots(
        len(images), layers + 1, figsize=(TWO_COLUMNS, TWO_COLUMNS / (layers + 1) * len(images)), squeeze=False
    )
    for row, path, weights in zip(grid, images, maps, strict=True):
        picture = read_image(path)
        side = min(picture.size)
        left, top = (picture.width - side) / 2, (picture.height - side) / 2
        for layer, axes in enumerate(row):
            axes.imshow(picture)
            if layer:
                axes.imshow(
                    weights[layer - 1], cmap="viridis", vmin=0, vmax=1, alpha=0.55, interpolation="nearest",
                    extent=(left, left + side, top + side, top)
                )  # fmt: skip
            for x0, y0, x1, y1 in (boxes or {}).get(Path(path).name, []):
                axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=BOX, linewidth=0.8))
            axes.set(xticks=[], yticks=[], xlim=(0, picture.width), ylim=(picture.height, 0))
            axes.grid(visible=False)
    for layer, axes in enumerate(grid[0]):
        axes.set_title(f"layer {layer}" if layer else "image", fontsize=6.5, pad=2)
    scale = figure.colorbar(ScalarMappable(Normalize(0, 1), "viridis"), ax=grid, aspect=30, fraction=0.03, pad=0.01)
    scale.set_label("focus weight", fontsize=7)
    scale.ax.tick_params(labelsize=6.5)
    return figure


def target_focus(images: Sequence[Path], maps: np.ndarray, boxes: dict[str, list[Box]]) -> pd.DataFrame:
    """Mean weight of the patches that a target's centre lies in, and of all others, by image and layer.

    Args:
        images: B files, square.
        maps: (B, layers, height, width), as for :func:`plot_focus`.
        boxes: targets by file name; an image without targets is left out.

    Returns:
        A frame with columns image, layer (from 1), target and background (0..1).
    """
    rows = []
    for path, weights in zip(images, maps, strict=True):
        name = Path(path).name
        if name not in boxes:
            continue
        side = read_image(path).width
        height, width = weights.shape[1:]
        centres = np.array([((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes[name]]) / side
        column, row = np.clip(centres * (width, height), 0, (width - 1, height - 1)).astype(int).T
        on_target = np.zeros((height, width), dtype=bool)
        on_target[row, column] = True
        rows += [
            {"image": name, "layer": layer + 1, "target": w[on_target].mean(), "background": w[~on_target].mean()}
            for layer, w in enumerate(weights)
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
