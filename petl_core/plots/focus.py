"""Where a Focus-Adapter looks: its maps over the images, with the boxes of the small targets."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from petl_core.data import read_image
from petl_core.evaluation.focus import Box
from petl_core.plots.style import TWO_COLUMNS

MAP_OPACITY = 0.4  # the image stays visible below it
BOX_LOOK = {"edgecolor": "black", "linewidth": 0.7, "fill": False}
WHITE_EDGE = [withStroke(linewidth=1.9, foreground="white")]  # boxes are visible on dark and on bright images


def plot_focus(images: Sequence[Path], maps: np.ndarray, boxes: dict[str, list[Box]] | None = None) -> Figure:
    """One row per image: the image, then the map of each layer over it, yellow where patches pass, dark where not.

    Args:
        images: B files.
        maps: (B, layers, height, width) from :func:`petl_core.adapters.focus.focus_maps`, of the central square that
            open_clip's preprocessing cuts out.
        boxes: targets to frame, by file name; None for no frames.
    """
    boxes = boxes or {}
    layers = maps.shape[1]
    figure, grid = plt.subplots(
        len(images), layers + 1, figsize=(TWO_COLUMNS, TWO_COLUMNS / (layers + 1) * len(images)), squeeze=False
    )

    # The images and their maps.
    for row, path, weights in zip(grid, images, maps, strict=True):
        picture = read_image(path)
        side = min(picture.size)
        left, top = (picture.width - side) / 2, (picture.height - side) / 2
        for layer, axes in enumerate(row):  # layer 0 is the image alone
            axes.imshow(picture)
            if layer:
                axes.imshow(
                    weights[layer - 1], cmap="viridis", vmin=0, vmax=1, alpha=MAP_OPACITY, interpolation="nearest",
                    extent=(left, left + side, top + side, top)
                )  # fmt: skip
            for x0, y0, x1, y1 in boxes.get(Path(path).name, []):
                axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, path_effects=WHITE_EDGE, **BOX_LOOK))
            axes.set(xticks=[], yticks=[], xlim=(0, picture.width), ylim=(picture.height, 0))
            axes.grid(visible=False)

    # Titles on top, the colour scale on the right.
    for layer, axes in enumerate(grid[0]):
        axes.set_title(f"layer {layer}" if layer else "image", fontsize=6.5, pad=2)
    scale = figure.colorbar(
        ScalarMappable(Normalize(0, 1), "viridis"), ax=grid, alpha=MAP_OPACITY, aspect=30, fraction=0.03, pad=0.01
    )  # fmt: skip
    scale.set_label("focus weight", fontsize=7)
    scale.ax.tick_params(labelsize=6.5)
    return figure
