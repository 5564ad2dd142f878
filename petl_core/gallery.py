"""Retrieval galleries in the manner of the papers: a query, its best answers, the correct ones framed."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from petl_core import retrieval, training
from petl_core.data import RetrievalData, Split, caption_key, read_image
from petl_core.experiment import Run, load_model
from petl_core.figures import TWO_COLUMNS

RIGHT, WRONG = "#029e73", "#d55e00"  # of seaborn's colour-blind palette; frames also differ in line style


@dataclass(frozen=True)
class Searched:
    """A test split with the scores of every image for every caption, (N, M)."""

    split: Split
    scores: np.ndarray

    @property
    def text_ranks(self) -> np.ndarray:
        """(M,) rank, from 1, of each caption's own image; half ranks are ties."""
        relevant = retrieval.relevance(self.split.image_of, len(self.split.images))
        return retrieval.rank(self.scores.T, relevant.T).ranks + 1

    @property
    def image_ranks(self) -> np.ndarray:
        """(N,) rank, from 1, of the best of each image's own captions."""
        return retrieval.rank(self.scores, retrieval.relevance(self.split.image_of, len(self.split.images))).ranks + 1


def search(run: Run, dataset: RetrievalData, data_root: str, device: str = "auto", progress: bool = True) -> Searched:
    """Encode the test split with a finished run's model."""
    frozen, model = load_model(run, data_root, device)
    prepared = training.prepare(dataset.test, frozen, progress)
    embeddings = training.embed(model, frozen, prepared, next(model.parameters()).device, progress)
    return Searched(dataset.test, retrieval.similarity(*embeddings))


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
        right.axis("off")
        for line, (caption, copies, own) in enumerate(_best_captions(found, image, k)):
            text = textwrap.shorten(caption, 88, placeholder=" …") + (f"  (×{copies})" if copies > 1 else "")
            right.text(
                0,
                1 - (line + 0.5) / k,
                f"{'✓' if own else '✗'}  {text}",
                va="center",
                fontsize=7.5,
                color=RIGHT if own else "0.25",
                fontweight="bold" if own else "normal",
                transform=right.transAxes,
                family="DejaVu Sans",
            )
    return figure


def _best_captions(found: Searched, image: int, k: int) -> list[tuple[str, int, bool]]:
    """The k best distinct captions of an image: text, number of copies, whether one of them is the image's own."""
    copies: dict[str, list[int]] = {}
    for caption in retrieval.top_k(found.scores[image], found.scores.shape[1]):
        key = caption_key(found.split.captions[caption])
        if key not in copies and len(copies) == k:
            break
        copies.setdefault(key, []).append(caption)
    return [
        (found.split.captions[same[0]], len(same), bool((found.split.image_of[same] == image).any()))
        for same in copies.values()
    ]


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
