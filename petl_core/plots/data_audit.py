"""A data set in pictures: samples, caption lengths, and captions that several images share."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from petl_core.data import Split, read_image
from petl_core.data.audit import SPREAD_BINS, Audit
from petl_core.plots.style import BLUE, ONE_COLUMN, ORANGE, TWO_COLUMNS

SPLIT_COLOURS = {"train": BLUE, "test": ORANGE}
UNLABELLED = "(no label)"
CHARS_PER_LINE = 92  # of a caption next to its image


def plot_token_lengths(audit: Audit) -> Figure:
    """Share of captions by length, per split.

    Raises:
        ValueError: the audit did not count tokens.
    """
    if audit.captions["tokens"].isna().any():
        raise ValueError("token lengths were not measured: pass count_tokens to audit()")
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 2.1))
    lengths = audit.captions.astype({"tokens": int})
    sns.histplot(
        lengths, x="tokens", hue="split", hue_order=list(SPLIT_COLOURS), palette=SPLIT_COLOURS, ax=axes, discrete=True,
        stat="percent", common_norm=False, element="step", alpha=0.25,
    )  # fmt: skip
    axes.get_legend().set_title("")
    axes.set(xlabel="caption length (tokens)", ylabel="captions of the split (%)")
    return figure


def plot_repeats(audit: Audit) -> Figure:
    """Share of captions by the number of images in their split that have them."""
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 2.1))
    sns.barplot(
        audit.repeats(), x="spread", y="share", hue="split", order=list(SPREAD_BINS), palette=SPLIT_COLOURS, ax=axes,
        hue_order=list(SPLIT_COLOURS),
    )  # fmt: skip
    axes.get_legend().set_title("")
    axes.set(xlabel="images of the split with the caption", ylabel="captions of the split (%)")
    return figure


def plot_samples(split: Split, count: int = 6, seed: int = 0) -> Figure:
    """Random images with their scene and captions.

    Args:
        split: to draw from.
        count: number of images; all if there are fewer.
        seed: of the random choice.

    Raises:
        DataError: an image cannot be read.
    """
    count = min(count, len(split.images))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split.images))[:count])
    figure, grid = plt.subplots(
        count, 2, squeeze=False, figsize=(TWO_COLUMNS, 1.15 * count), gridspec_kw={"width_ratios": (1, 5.5)}
    )
    for (picture, text), i in zip(grid, chosen, strict=True):
        picture.imshow(read_image(split.images[i]))
        picture.set_title(split.scenes[i] or UNLABELLED, fontsize=7, pad=2)
        captions = [split.captions[j] for j in np.flatnonzero(split.image_of == i)]
        lines = [textwrap.fill(caption, CHARS_PER_LINE, subsequent_indent="   ") for caption in captions]
        text.text(0, 0.5, "\n".join(lines), va="center", fontsize=7, linespacing=1.4, parse_math=False)
        picture.axis("off")
        text.axis("off")
    return figure
