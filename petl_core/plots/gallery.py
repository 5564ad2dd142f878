"""Retrieval galleries in the manner of the papers: a query, its best answers, the correct ones framed."""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from petl_core import retrieval
from petl_core.data import Split, read_image
from petl_core.evaluation.gallery_search import FoundCaption, Searched, best_captions, merge_copies
from petl_core.plots.style import TWO_COLUMNS

RIGHT, WRONG = "#029e73", "#d55e00"  # of seaborn's colour-blind palette; frames also differ in line style
MODELS = ("zero-shot", "adapted")


def plot_text_to_image(found: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """Each row a caption, then its k best images; the caption's own image has a solid green frame.

    Args:
        found: a searched test split.
        queries: captions.
        k: answers shown.
    """
    figure, grid = plt.subplots(
        len(queries), k + 1, figsize=(TWO_COLUMNS, 1.18 * len(queries)), squeeze=False,
        gridspec_kw={"width_ratios": [1.9] + [1] * k}
    )  # fmt: skip
    ranks = found.text_ranks
    for row, caption in zip(grid, queries, strict=True):
        own = found.split.image_of[caption]
        _write(row[0], f"“{found.split.captions[caption]}”", f"own image at rank {ranks[caption]:g}", width=26)
        for place, (axes, image) in enumerate(zip(row[1:], retrieval.top_k(found.scores[:, caption], k), strict=True)):
            _show(axes, found.split, image, right=image == own, title=f"{place + 1}")
    return figure


def plot_image_to_text(found: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """Each row an image and its k best captions, verbatim copies as one; the image's own are marked and bold.

    Args:
        found: a searched test split.
        queries: images.
        k: answers shown.
    """
    figure, grid = plt.subplots(
        len(queries), 2, figsize=(TWO_COLUMNS, 1.5 * len(queries)), squeeze=False,
        gridspec_kw={"width_ratios": [1, 4.2]}
    )  # fmt: skip
    ranks = found.image_ranks
    for (left, right), image in zip(grid, queries, strict=True):
        _show(left, found.split, image, right=None, title=f"best own caption at rank {ranks[image]:g}")
        _list(right, best_captions(found, image, k), k)
    return figure


def plot_text_to_image_changes(before: Searched, after: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """For each caption its k best images by zero-shot, and below by the adapted model.

    Args:
        before: the test split as zero-shot CLIP searches it.
        after: the same split as the adapted model searches it.
        queries: captions; with none, the figure says so.
        k: answers shown.
    """
    figure, parts = _parts(len(queries), 1.9)
    ranks = before.text_ranks, after.text_ranks
    for part, caption in zip(parts, queries, strict=True):
        grid = part.add_gridspec(2, k + 1, width_ratios=[2.3] + [1] * k)
        _write(part.add_subplot(grid[:, 0]), f"“{after.split.captions[caption]}”", "", width=30)
        for row, (name, found) in enumerate(zip(MODELS, (before, after), strict=True)):
            for place, image in enumerate(retrieval.top_k(found.scores[:, caption], k)):
                axes = part.add_subplot(grid[row, place + 1])
                right, title = image == found.split.image_of[caption], "" if row else f"{place + 1}"
                _show(axes, found.split, image, right, title)
                if place == 0:
                    axes.set_ylabel(f"{name}: rank {ranks[row][caption]:g}", fontsize=6.5)
    return figure


def plot_image_to_text_changes(before: Searched, after: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """For each image its k best captions by zero-shot, and below by the adapted model; copies among them as one.

    Args:
        before: the test split as zero-shot CLIP searches it.
        after: the same split as the adapted model searches it.
        queries: images; with none, the figure says so.
        k: answers shown, copies counted.
    """
    figure, parts = _parts(len(queries), 0.6 + 0.26 * k)
    ranks = before.image_ranks, after.image_ranks
    for part, image in zip(parts, queries, strict=True):
        grid = part.add_gridspec(2, 2, width_ratios=[1, 3.6])
        _show(part.add_subplot(grid[:, 0]), after.split, image, right=None, title="")
        for row, (name, found) in enumerate(zip(MODELS, (before, after), strict=True)):
            axes = part.add_subplot(grid[row, 1])
            _list(axes, merge_copies(found, image, retrieval.top_k(found.scores[image], k)), k)
            axes.set_title(f"{name}: best own caption at rank {ranks[row][image]:g}", fontsize=6.5, pad=2, loc="left")
    return figure


def _parts(count: int, height: float) -> tuple[Figure, Sequence[SubFigure]]:
    """A figure and its parts of a height in inches, one below the other; with none, it says so."""
    figure = plt.figure(figsize=(TWO_COLUMNS, height * count or 0.4), layout="constrained")
    if not count:
        figure.text(0, 0.5, "no such query", va="center", fontsize=7)
        return figure, ()
    return figure, figure.subfigures(count, 1, squeeze=False)[:, 0]


def _list(axes: Axes, captions: Sequence[FoundCaption], k: int) -> None:
    """A line a caption, with room for k."""
    axes.axis("off")
    for line, caption in enumerate(captions):
        mark = "✓" if caption.own else "✗"
        text = textwrap.shorten(caption.text, 88, placeholder=" …")
        copies = f"  (×{caption.copies})" if caption.copies > 1 else ""
        axes.text(
            0,
            1 - (line + 0.5) / k,
            f"{mark}  {text}{copies}",
            va="center",
            fontsize=7.5,
            color=RIGHT if caption.own else "0.25",
            fontweight="bold" if caption.own else "normal",
            transform=axes.transAxes,
            family="DejaVu Sans",
        )


def _show(axes: Axes, split: Split, image: int, right: bool | None, title: str) -> None:
    """An image, framed as a right or a wrong answer, or as a query (None)."""
    axes.imshow(read_image(split.images[image]))
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.set_title(title, fontsize=6.5, pad=2)
    if right is None:
        frame = {"edgecolor": "0.6", "linestyle": "-", "linewidth": 1.2}
    elif right:
        frame = {"edgecolor": RIGHT, "linestyle": "-", "linewidth": 2.4}
    else:
        frame = {"edgecolor": WRONG, "linestyle": ":", "linewidth": 1.2}
    for spine in axes.spines.values():
        spine.set(**frame, visible=True)


def _write(axes: Axes, text: str, note: str, width: int) -> None:
    """A query's words, folded at ``width`` characters, and a note below them."""
    axes.axis("off")
    axes.text(0, 0.62, textwrap.fill(text, width), va="center", fontsize=7, transform=axes.transAxes)
    axes.text(0, 0.08, note, va="center", fontsize=6.5, color="0.35", transform=axes.transAxes)
