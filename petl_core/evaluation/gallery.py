"""Retrieval galleries in the manner of the papers: a query, its best answers, the correct ones framed."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from petl_core import retrieval
from petl_core.data import RetrievalData, Split, caption_key, read_image
from petl_core.evaluation import embedding_space
from petl_core.plots.figures import TWO_COLUMNS
from petl_core.runs.experiment import Run
from petl_core.training import encoding as training

RIGHT, WRONG = "#029e73", "#d55e00"  # of seaborn's colour-blind palette; frames also differ in line style
MODELS = ("zero-shot", "adapted")
OUTCOMES = ("found by both", "fixed", "broken", "missed by both", "tied")


@dataclass(frozen=True)
class Searched:
    """A test split with the scores of every image for every caption, (N, M)."""

    split: Split
    scores: np.ndarray

    @property
    def text_ranking(self) -> retrieval.Ranking:
        """Where each of the M captions finds its own image."""
        return retrieval.rank(self.scores.T, retrieval.relevance(self.split.image_of, len(self.split.images)).T)

    @property
    def image_ranking(self) -> retrieval.Ranking:
        """Where each of the N images finds the best of its own captions."""
        return retrieval.rank(self.scores, retrieval.relevance(self.split.image_of, len(self.split.images)))

    @property
    def text_ranks(self) -> np.ndarray:
        """(M,) rank, from 1, of each caption's own image; half ranks are ties."""
        return self.text_ranking.ranks + 1

    @property
    def image_ranks(self) -> np.ndarray:
        """(N,) rank, from 1, of the best of each image's own captions."""
        return self.image_ranking.ranks + 1


def search(run: Run, dataset: RetrievalData, data_root: str, device: str = "auto", progress: bool = True) -> Searched:
    """Encode the test split with a finished run's model."""
    space = embedding_space.encode(run, dataset, data_root, device, progress)
    return Searched(dataset.test, retrieval.similarity(*space))


def outcomes(before: retrieval.Ranking, after: retrieval.Ranking, k: int) -> np.ndarray:
    """(Q,) of ``OUTCOMES``: which of two models has a query's own counterpart in its top k.

    "tied" where that hangs on the order of equal scores, for either model.
    """
    was, now = before.hits(k), after.hits(k)
    cases = [(was == 1) & (now == 1), (was == 0) & (now == 1), (was == 1) & (now == 0), (was == 0) & (now == 0)]
    return np.select(cases, OUTCOMES[:-1], OUTCOMES[-1])


def plot_text_to_image(found: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """Each row a caption, then its k best images; the caption's own image has a solid green frame."""
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
    """Each row an image and its k best captions, verbatim copies as one; the image's own are marked and bold."""
    figure, grid = plt.subplots(
        len(queries),
        2,
        figsize=(TWO_COLUMNS, 1.5 * len(queries)),
        squeeze=False,
        gridspec_kw={"width_ratios": [1, 4.2]},
    )
    ranks = found.image_ranks
    for (left, right), image in zip(grid, queries, strict=True):
        _show(left, found.split, image, right=None, title=f"best own caption at rank {ranks[image]:g}")
        _list(right, _best_captions(found, image, k), k)
    return figure


def plot_text_to_image_changes(before: Searched, after: Searched, queries: Sequence[int], k: int = 5) -> Figure:
    """For each caption its k best images by zero-shot, and below by the adapted model."""
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
    """For each image its k best captions by zero-shot, and below by the adapted model; copies among them as one."""
    figure, parts = _parts(len(queries), 0.6 + 0.26 * k)
    ranks = before.image_ranks, after.image_ranks
    for part, image in zip(parts, queries, strict=True):
        grid = part.add_gridspec(2, 2, width_ratios=[1, 3.6])
        _show(part.add_subplot(grid[:, 0]), after.split, image, right=None, title="")
        for row, (name, found) in enumerate(zip(MODELS, (before, after), strict=True)):
            axes = part.add_subplot(grid[row, 1])
            _list(axes, _merged(found, image, retrieval.top_k(found.scores[image], k)), k)
            axes.set_title(f"{name}: best own caption at rank {ranks[row][image]:g}", fontsize=6.5, pad=2, loc="left")
    return figure


def _parts(count: int, height: float) -> tuple[Figure, Sequence]:
    """A figure and its parts, one below the other; with none, it says so."""
    figure = plt.figure(figsize=(TWO_COLUMNS, height * count or 0.4), layout="constrained")
    if not count:
        figure.text(0, 0.5, "no such query", va="center", fontsize=7)
        return figure, ()
    return figure, figure.subfigures(count, 1, squeeze=False)[:, 0]


def _best_captions(found: Searched, image: int, k: int) -> list[tuple[str, int, bool]]:
    """The k best distinct captions of an image, with all their copies; see :func:`_merged`."""
    ordered = retrieval.top_k(found.scores[image], found.scores.shape[1])
    _, number = training.distinct([caption_key(found.split.captions[caption]) for caption in ordered])
    return _merged(found, image, ordered[number.numpy() < k])


def _merged(found: Searched, image: int, captions: Sequence[int]) -> list[tuple[str, int, bool]]:
    """Verbatim copies as one: text, number of copies, whether one of them is the image's own."""
    copies: dict[str, list[int]] = {}
    for caption in captions:
        copies.setdefault(caption_key(found.split.captions[caption]), []).append(caption)
    return [
        (found.split.captions[same[0]], len(same), bool((found.split.image_of[same] == image).any()))
        for same in copies.values()
    ]


def _list(axes, captions: list[tuple[str, int, bool]], k: int) -> None:
    axes.axis("off")
    for line, (caption, copies, own) in enumerate(captions):
        text = textwrap.shorten(caption, 88, placeholder=" …") + (f"  (×{copies})" if copies > 1 else "")
        axes.text(
            0,
            1 - (line + 0.5) / k,
            f"{'✓' if own else '✗'}  {text}",
            va="center",
            fontsize=7.5,
            color=RIGHT if own else "0.25",
            fontweight="bold" if own else "normal",
            transform=axes.transAxes,
            family="DejaVu Sans",
        )


def _show(axes, split: Split, image: int, right: bool | None, title: str) -> None:
    axes.imshow(read_image(split.images[image]))
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.set_title(title, fontsize=6.5, pad=2)
    for spine in axes.spines.values():
        colour, line = {None: ("0.6", "-"), True: (RIGHT, "-"), False: (WRONG, ":")}[right]
        spine.set(edgecolor=colour, linestyle=line, linewidth=2.4 if right else 1.2, visible=True)


def _write(axes, text: str, note: str, width: int) -> None:
    axes.axis("off")
    axes.text(0, 0.62, textwrap.fill(text, width), va="center", fontsize=7, transform=axes.transAxes)
    axes.text(0, 0.08, note, va="center", fontsize=6.5, color="0.35", transform=axes.transAxes)
