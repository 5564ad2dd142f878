"""Images and texts on a plane, before and after adaptation."""

from collections import Counter
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from petl_core.plots.style import BLUE, GREEN, ORANGE, PINK, RED, TWO_COLUMNS

PANEL_TITLES = ("before (zero-shot)", "after adaptation")
IMAGE_LOOK = {"color": BLUE, "marker": "o"}
CAPTION_LOOK = {"color": ORANGE, "marker": "^"}
SCENE_LOOKS = ((BLUE, "o"), (RED, "s"), (GREEN, "^"), (PINK, "D"))  # of the highlighted scenes
OTHER_SCENES_COLOUR = "0.8"
PANEL_SIZE = 2.5  # inches


def plot_before_after(
    projected: np.ndarray,
    scenes: Sequence[str | None],
    joined: int,
    axis_names: tuple[str, str],
    highlighted: Sequence[str] = (),
) -> Figure:
    """Before and after side by side, with equal limits: above by modality, below with a few scenes highlighted.

    Args:
        projected: (2, 2, P, 2), as from projecting :func:`petl_core.evaluation.embedding_space.stack_pairs`.
        scenes: (P,) labels.
        joined: how many pairs, the first ones, are joined by a line.
        axis_names: of the two coordinates.
        highlighted: up to four labels; by default the most frequent ones.
    """
    scene_of = np.array(scenes, dtype=object)
    if not highlighted:
        counts = Counter(sorted(scene for scene in scenes if scene))
        highlighted = [name for name, _ in counts.most_common(len(SCENE_LOOKS))]

    # The panels.
    figure, grid = plt.subplots(2, 2, figsize=(TWO_COLUMNS, 2 * PANEL_SIZE + 0.4), sharex=True, sharey=True)
    for (above, below), title, (images, captions) in zip(grid.T, PANEL_TITLES, projected, strict=True):
        _draw_modalities(above, images, captions, joined)
        _draw_scenes(below, images, captions, scene_of, highlighted)
        above.set_title(title)
        below.set_xlabel(axis_names[0])
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[], box_aspect=1)
    for axes in grid[:, 0]:
        axes.set_ylabel(axis_names[1])

    # The same square for all panels: a unit has the same length in both directions.
    low, high = projected.min(axis=(0, 1, 2)), projected.max(axis=(0, 1, 2))
    middle, half = (low + high) / 2, 0.53 * (high - low).max()
    grid[0, 0].set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))

    # A legend next to each row.
    for axes, entries in zip(grid[:, 1], (_modality_entries(), _scene_entries(highlighted)), strict=True):
        axes.legend(handles=entries, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def _draw_modalities(axes: Axes, images: np.ndarray, captions: np.ndarray, joined: int) -> None:
    """Images (P, 2) and captions (P, 2) on top of the lines that join the first pairs."""
    pairs = np.stack([images[:joined], captions[:joined]])  # (2, joined, 2)
    axes.plot(*pairs.transpose(2, 0, 1), color="0.3", linewidth=0.4, alpha=0.7, zorder=1)
    for points, look in ((images, IMAGE_LOOK), (captions, CAPTION_LOOK)):
        axes.scatter(*points.T, s=5, linewidths=0, alpha=0.7, **look)


def _draw_scenes(
    axes: Axes, images: np.ndarray, captions: np.ndarray, scene_of: np.ndarray, highlighted: Sequence[str]
) -> None:
    """Images (P, 2) filled and captions (P, 2) open, coloured by scene (P,); other scenes in grey."""
    other = ~np.isin(scene_of.astype(str), highlighted)
    points = np.concatenate([images[other], captions[other]])
    axes.scatter(*points.T, s=4, color=OTHER_SCENES_COLOUR, linewidths=0, zorder=1)
    for name, (colour, marker) in zip(highlighted, SCENE_LOOKS, strict=False):
        rows = scene_of == name
        axes.scatter(*images[rows].T, s=12, color=colour, marker=marker, edgecolors="white", linewidths=0.2, zorder=2)
        axes.scatter(*captions[rows].T, s=10, facecolors="none", edgecolors=colour, marker=marker, linewidths=0.6)


def _modality_entries() -> list[Line2D]:
    return [_mark("image", **IMAGE_LOOK), _mark("caption", **CAPTION_LOOK), Line2D([], [], color="0.3", label="a pair")]


def _scene_entries(highlighted: Sequence[str]) -> list[Line2D]:
    marks = [_mark(name, colour, marker) for name, (colour, marker) in zip(highlighted, SCENE_LOOKS, strict=False)]
    kinds = [_mark("filled: image", "0.3", "o"), _mark("open: caption", "0.3", "o", fillstyle="none")]
    return [*marks, _mark("other scenes", OTHER_SCENES_COLOUR, "o"), *kinds]


def _mark(label: str, color: str, marker: str, fillstyle: str = "full") -> Line2D:
    return Line2D([], [], color=color, marker=marker, fillstyle=fillstyle, label=label, linestyle="none", markersize=4)
