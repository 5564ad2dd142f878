"""Retrieval galleries as in the papers: a query, its true match with its rank, and its best answers.

Every answer has its score, and a frame or a mark for what it is: the query's own (✓), one described by the same words
(=), one of the same scene (≈), or another.
"""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from petl_core.data import Split, read_image
from petl_core.evaluation.gallery_search import (
    FoundCaption,
    Searched,
    best_captions,
    best_own_caption,
    kind_of_image,
    merge_copies,
)
from petl_core.plots.style import BLUE, GREEN, ORANGE, SMALL, TWO_COLUMNS

FRAMES = {  # of images, by what they are to the query; a query itself has that of "other"
    "own": {"edgecolor": GREEN, "linestyle": "-", "linewidth": 2.2},
    "same words": {"edgecolor": BLUE, "linestyle": "--", "linewidth": 1.8},
    "same scene": {"edgecolor": ORANGE, "linestyle": ":", "linewidth": 1.8},
    "other": {"edgecolor": "0.7", "linestyle": "-", "linewidth": 0.6},
}
MARKS = {"own": "✓", "same words": "=", "same scene": "≈", "other": ""}
MODELS = ("zero-shot", "adapted")
CHARS_PER_LINE = 94  # of a caption in a list
LINE_HEIGHT = 0.17  # inches, of a caption in a list


def plot_text_to_image(found: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """One row per caption: the caption, its own image with its rank, then its k best images.

    Args:
        found: a searched test split.
        queries: captions.
        k: number of answers.
    """
    figure, grid = plt.subplots(
        len(queries), k + 2, figsize=(TWO_COLUMNS, 1.06 * len(queries)), squeeze=False,
        gridspec_kw={"width_ratios": [1.5] + [1] * (k + 1)}
    )  # fmt: skip
    for (words, own, *answers), caption in zip(grid, queries, strict=True):
        _write(words, f"“{found.split.captions[caption]}”", width=22)
        score = found.scores[found.split.image_of[caption], caption]
        _show_own(own, found, caption, f"own: rank {found.text_ranks[caption]:g}, {score:.2f}")
        _show_answers(answers, found, caption)
    return figure


def plot_image_to_text(found: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """One row per image: the image and its k best captions, verbatim copies as one.

    If none of these is the image's own, its best own caption follows.

    Args:
        found: a searched test split.
        queries: images.
        k: number of answers.
    """
    figure, grid = plt.subplots(
        len(queries), 2, figsize=(TWO_COLUMNS, LINE_HEIGHT * (k + 2.5) * len(queries)), squeeze=False,
        gridspec_kw={"width_ratios": [1, 5]}
    )  # fmt: skip
    for (left, right), image in zip(grid, queries, strict=True):
        _show(left, found.split, image, "other", "")
        _list(right, found, image, best_captions(found, image, k), k)
    return figure


def plot_text_to_image_changes(before: Searched, after: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """For each caption its own image and its k best images: by zero-shot CLIP, and below by the adapted model.

    Args:
        before: the test split as zero-shot CLIP searches it.
        after: the same split as the adapted model searches it.
        queries: captions; if there are none, the figure says so.
        k: number of answers.
    """
    figure, parts = _parts(len(queries), 1.85)
    for part, caption in zip(parts, queries, strict=True):
        grid = part.add_gridspec(2, k + 2, width_ratios=[1.5] + [1] * (k + 1))
        _write(part.add_subplot(grid[:, 0]), f"“{after.split.captions[caption]}”", width=22)
        _show_own(part.add_subplot(grid[:, 1]), after, caption, "own")
        for row, (name, found) in enumerate(zip(MODELS, (before, after), strict=True)):
            answers = [part.add_subplot(grid[row, 2 + place]) for place in range(k)]
            _show_answers(answers, found, caption)
            answers[0].set_ylabel(f"{name}: rank {found.text_ranks[caption]:g}", fontsize=SMALL)
    return figure


def plot_image_to_text_changes(before: Searched, after: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """For each image its k best captions, copies as one: by zero-shot CLIP, and below by the adapted model.

    Args:
        before: the test split as zero-shot CLIP searches it.
        after: the same split as the adapted model searches it.
        queries: images; if there are none, the figure says so.
        k: number of answers, copies included.
    """
    figure, parts = _parts(len(queries), 2 * LINE_HEIGHT * (k + 2.2))
    for part, image in zip(parts, queries, strict=True):
        grid = part.add_gridspec(2, 2, width_ratios=[1, 4.4])
        _show(part.add_subplot(grid[:, 0]), after.split, image, "other", "")
        for row, (name, found) in enumerate(zip(MODELS, (before, after), strict=True)):
            axes = part.add_subplot(grid[row, 1])
            best = merge_copies(found, image, np.argsort(-found.scores[image], kind="stable")[:k])
            _list(axes, found, image, best, k)
            axes.set_title(name, fontsize=SMALL, pad=2, loc="left")
    return figure


def _parts(count: int, height: float) -> tuple[Figure, Sequence[SubFigure]]:
    """A figure and its parts, one below the other, each of a height in inches; if there are none, it says so."""
    figure = plt.figure(figsize=(TWO_COLUMNS, height * count or 0.4), layout="constrained")
    if not count:
        figure.text(0, 0.5, "no such query", va="center", fontsize=7)
        return figure, ()
    return figure, figure.subfigures(count, 1, squeeze=False)[:, 0]


def _show_own(axes: Axes, found: Searched, caption: int, title: str) -> None:
    """A caption's own image."""
    _show(axes, found.split, int(found.split.image_of[caption]), "own", title)


def _show_answers(panels: Sequence[Axes], found: Searched, caption: int) -> None:
    """The best images of a caption, one per panel, each with its place, its score and what it is."""
    scores = found.scores[:, caption]
    best = np.argsort(-scores, kind="stable")[: len(panels)]
    for place, (axes, image) in enumerate(zip(panels, best, strict=False), start=1):
        kind = kind_of_image(found.split, caption, int(image))
        _show(axes, found.split, image, kind, f"{place}: {scores[image]:.2f} {MARKS[kind]}")
    for axes in panels[len(best) :]:
        axes.axis("off")


def _list(axes: Axes, found: Searched, image: int, captions: Sequence[FoundCaption], k: int) -> None:
    """One line per caption, with room for k, and one for the best own caption with its rank if it is not among them."""
    # The captions, each with its score in words.
    axes.axis("off")
    lines = [(f"{caption.score:.2f}", caption) for caption in captions]
    if all(caption.kind != "own" for caption in captions):
        own = best_own_caption(found, image)
        lines.append((f"{own.score:.2f}, rank {found.image_ranks[image]:g}", own))

    # A line: the mark, the score, the text and how often it occurs.
    for line, (score, caption) in enumerate(lines):
        text = textwrap.shorten(caption.text, CHARS_PER_LINE, placeholder=" …")
        copies = f"  (×{caption.copies})" if caption.copies > 1 else ""
        look = {"color": GREEN, "fontweight": "bold"} if caption.kind == "own" else {"color": "0.25"}
        place = {"y": 1 - (line + 0.5) / (k + 1), "va": "center", "transform": axes.transAxes, "in_layout": False}
        style = {"fontsize": 7, "family": "DejaVu Sans", "parse_math": False}  # a font that has the marks
        axes.text(x=0, s=MARKS[caption.kind], **place, **style, **look)
        axes.text(x=0.02, s=f"{score}  {text}{copies}", **place, **style, **look)


def _show(axes: Axes, split: Split, image: int, kind: str, title: str) -> None:
    """An image, framed by what it is to the query."""
    axes.imshow(read_image(split.images[image]))
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.set_title(title, fontsize=SMALL, pad=2, family="DejaVu Sans")
    for spine in axes.spines.values():
        spine.set(**FRAMES[kind], visible=True)


def _write(axes: Axes, text: str, width: int) -> None:
    """A query in words, wrapped at ``width`` characters."""
    axes.axis("off")
    axes.text(0, 0.5, textwrap.fill(text, width), va="center", fontsize=7, transform=axes.transAxes, parse_math=False)
