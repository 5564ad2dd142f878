"""A data set in pictures: samples, caption lengths, scene classes, what captions repeat and what that costs."""

import textwrap

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from petl_core.data import Split, read_image
from petl_core.data.audit import SPREAD_BINS, Audit

COLOURS = dict(zip(("train", "test"), sns.color_palette("colorblind"), strict=False))
UNLABELLED = "(no label)"


def plot_token_lengths(audit: Audit) -> Figure:
    """Share of captions by length, per split.

    Raises:
        ValueError: the audit was made without a counter of tokens.
    """
    if audit.captions["tokens"].isna().any():
        raise ValueError("token lengths were not measured: pass count_tokens to audit()")
    figure, axes = _figure()
    lengths = audit.captions.astype({"tokens": int})
    sns.histplot(
        lengths, x="tokens", hue="split", palette=COLOURS, ax=axes, discrete=True, stat="percent",
        common_norm=False, element="step",
    )  # fmt: skip
    axes.set(title=f"{audit.name}: caption lengths", xlabel="length (tokens)")
    axes.set_ylabel("captions of the split (%)")
    return figure


def plot_scenes(audit: Audit) -> Figure:
    """Images a scene class, per split, the largest class first."""
    images = audit.images.assign(scene=audit.images["scene"].fillna(UNLABELLED))
    order = images["scene"].value_counts().index
    figure, axes = _figure(height=1.2 + 0.24 * len(order))
    sns.countplot(images, y="scene", hue="split", order=order, palette=COLOURS, ax=axes)
    sns.move_legend(axes, "upper left", bbox_to_anchor=(1, 1))
    axes.set(title=f"{audit.name}: scene classes", xlabel="images (count)", ylabel="scene class")
    return figure


def plot_repeats(audit: Audit) -> Figure:
    """Share of captions by how many images of their split carry them."""
    figure, axes = _figure()
    sns.barplot(
        audit.repeats(), x="spread", y="share", hue="split", order=list(SPREAD_BINS), palette=COLOURS, ax=axes,
        hue_order=list(COLOURS),
    )  # fmt: skip
    axes.set(
        title=f"{audit.name}: how often captions repeat",
        xlabel="images of the split that carry the caption (count)",
        ylabel="captions of the split (%)",
    )
    return figure


def plot_ceilings(audit: Audit) -> Figure:
    """The best strict text-to-image recalls on the test split that its duplicate captions leave."""
    ceilings = audit.ceilings()
    figure, axes = _figure(width=4.0)
    sns.barplot(x=[f"R@{k}" for k in ceilings], y=list(ceilings.values()), color=COLOURS["test"], ax=axes)
    axes.bar_label(axes.containers[0], fmt="%.1f")
    axes.set(
        title=f"{audit.name}: what duplicates leave",
        xlabel="strict text-to-image recall",
        ylabel="highest reachable value (%)",
        ylim=(0, 108),
    )
    return figure


def plot_samples(split: Split, count: int = 6, seed: int = 0) -> Figure:
    """Random images with their scene and captions.

    Args:
        split: to draw from.
        count: images shown, or all if there are fewer.
        seed: of the draw.

    Raises:
        DataError: an image cannot be read.
    """
    count = min(count, len(split.images))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split.images))[:count])
    figure = Figure(figsize=(8.0, 1.7 * count), layout="constrained")
    grid = figure.subplots(count, 2, squeeze=False, width_ratios=(1, 3))
    for (picture, text), i in zip(grid, chosen, strict=True):
        picture.imshow(read_image(split.images[i]))
        picture.set_title(split.scenes[i] or UNLABELLED, fontsize=9)
        captions = [split.captions[j] for j in np.flatnonzero(split.image_of == i)]
        lines = [textwrap.fill(caption, 90, subsequent_indent="   ") for caption in captions]
        text.text(0, 0.5, "\n".join(lines), va="center", fontsize=8, parse_math=False)
        picture.axis("off")
        text.axis("off")
    return figure


def _figure(width: float = 7.0, height: float = 3.6) -> tuple[Figure, Axes]:
    """Outside pyplot, so that a notebook shows a figure once and nobody has to close it."""
    with sns.axes_style("whitegrid"):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()
