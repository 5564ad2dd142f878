"""Images and texts on a plane, before and after adaptation."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from petl_core.plots.style import TWO_COLUMNS

# Colours and markers advance together; 8 and 7 have no common divisor, so 56 scenes differ.
SCENE_COLOURS = [colour for i, colour in enumerate(sns.color_palette("colorblind")) if i not in (7, 8)]  # grey, yellow
SCENE_MARKERS = "os^DvPX"
NO_LABEL = "0.65"
TITLES = ("before (zero-shot)", "after adaptation")

Looks = dict[str | None, tuple]  # scene: colour and marker


def plot_before_after(
    projected: np.ndarray, scenes: Sequence[str | None], joined: int, axis_names: tuple[str, str]
) -> Figure:
    """Before and after side by side, with equal limits: a colour and shape a scene, images filled, captions open.

    Args:
        projected: (2, 2, P, 2), as from projecting :func:`petl_core.evaluation.embedding_space.stack_pairs`.
        scenes: (P,) labels; None is grey. Up to 56 are told apart.
        joined: the first so many pairs are joined by a line.
        axis_names: of the two coordinates.
    """
    looks = _looks(scenes)
    legend_columns, legend_rows = 5, -(-(len(looks) + 3) // 5)
    figure, panels = plt.subplots(
        1, 2, figsize=(TWO_COLUMNS, 3.5 + 0.15 * legend_rows), sharex=True, sharey=True, layout="constrained"
    )

    # Joined pairs lie below the points, points without a label below the others.
    for axes, title, (images, captions) in zip(panels, TITLES, projected, strict=True):
        pairs = np.stack([images[:joined], captions[:joined]])  # (2, joined, 2)
        axes.plot(*pairs.transpose(2, 0, 1), color="0.45", linewidth=0.5, alpha=0.7, zorder=1)
        _scatter(axes, images, captions, np.array(scenes, dtype=object), looks)
        axes.set(title=title, xlabel=axis_names[0], xticks=[], yticks=[], box_aspect=1)
        axes.grid(visible=False)
    panels[0].set_ylabel(axis_names[1])

    # The same square for both panels: a unit is as long either way.
    low, high = projected.min(axis=(0, 1, 2)), projected.max(axis=(0, 1, 2))
    middle, half = (low + high) / 2, 0.53 * (high - low).max()
    panels[0].set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))

    figure.legend(
        handles=_legend_entries(looks), loc="outside lower center", ncols=legend_columns, fontsize=6.5,
        columnspacing=1.2
    )  # fmt: skip
    return figure


def _looks(scenes: Sequence[str | None]) -> Looks:
    names = sorted({scene for scene in scenes if scene is not None})
    looks: Looks = {
        name: (SCENE_COLOURS[i % len(SCENE_COLOURS)], SCENE_MARKERS[i % len(SCENE_MARKERS)])
        for i, name in enumerate(names)
    }
    if None in scenes:
        looks[None] = (NO_LABEL, "o")
    return looks


def _scatter(axes: Axes, images: np.ndarray, captions: np.ndarray, scene_of: np.ndarray, looks: Looks) -> None:
    """Images (P, 2) filled and captions (P, 2) open, by scene (P,)."""
    for name, (colour, marker) in looks.items():
        rows = scene_of == name
        look = {"marker": marker, "zorder": 1.5 if name is None else 2}
        axes.scatter(*images[rows].T, s=16, color=colour, edgecolors="white", linewidths=0.3, **look)
        axes.scatter(*captions[rows].T, s=13, facecolors="none", edgecolors=colour, linewidths=0.7, **look)


def _legend_entries(looks: Looks) -> list[Line2D]:
    def mark(label: str, colour, marker: str, **look) -> Line2D:
        return Line2D([], [], marker=marker, color=colour, markersize=4, linestyle="none", label=label, **look)

    scenes = [mark("no label" if name is None else name, colour, marker) for name, (colour, marker) in looks.items()]
    return [
        *scenes,
        mark("filled: image", "0.2", "o"),
        mark("open: its caption", "0.2", "o", fillstyle="none"),
        Line2D([], [], color="0.45", linewidth=0.8, label="line: matched pair"),
    ]
