"""What a retrieval data set holds, and what its duplicates allow: counts, lengths, leaks, recall ceilings."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from petl_core.data import RetrievalData, Split, caption_key, read_image

RECALLS = (1, 5, 10)
COLOURS = dict(zip(("train", "test"), sns.color_palette("colorblind"), strict=False))
UNLABELLED = "(no label)"
SPREAD_BINS = {"1": 1, "2": 2, "3-5": 5, "6-10": 10, "11-20": 20, "over 20": np.inf}  # label: upper end

Tokenize = Callable[[Sequence[str]], Sequence[int]]  # captions -> their lengths in tokens


@dataclass(frozen=True, eq=False)
class Audit:
    """The measurements behind `summary`, one row an image and one row a caption, for plots and questions.

    images: split, file, scene (None without label), captions (how many), pixels (sha256 of the decoded image,
    None where images were not read). captions: split, caption, tokens (None without a tokeniser), spread
    (distinct images of its split that carry this caption), leaked (the caption stands in the other split).
    """

    name: str
    images: pd.DataFrame
    captions: pd.DataFrame
    blank: dict[str, int]  # split -> blank captions dropped while reading

    @property
    def summary(self) -> pd.DataFrame:
        """Measures by split; captions count as equal as `caption_key` defines it."""
        return pd.DataFrame({s: pd.Series(self._measures(s), dtype=object) for s in ("train", "test")})

    def ceilings(self, split: str = "test") -> dict[int, float]:
        """The best strict text-to-image R@k in percent that duplicates leave, {k: R@k}.

        A caption that d images carry scores the same for all of them; ties broken at random put its own image
        among the first k with probability min(1, k/d).
        """
        spread = self.captions.loc[self.captions["split"] == split, "spread"]
        return {k: 100 * float(np.minimum(1, k / spread).mean()) for k in RECALLS}

    def _measures(self, split: str) -> dict[str, int | float]:
        images = self.images[self.images["split"] == split]
        captions = self.captions[self.captions["split"] == split]
        others = self.images[self.images["split"] != split]
        distinct = captions["caption"].map(caption_key).nunique()
        measures = {
            "images": len(images),
            "captions": len(captions),
            "blank captions dropped": self.blank[split],
            "images without caption": int((images["captions"] == 0).sum()),
            "captions an image, fewest": int(images["captions"].min()),
            "captions an image, most": int(images["captions"].max()),
            "distinct captions": distinct,
            "duplicate captions": len(captions) - distinct,
            "captions also in the other split": int(captions["leaked"].sum()),
            "captions also in the other split, %": round(100 * float(captions["leaked"].mean()), 1),
            "scene classes": images["scene"].nunique(),
            "images without scene label": int(images["scene"].isna().sum()),
            "image names also in the other split": int(images["file"].isin(others["file"]).sum()),
        }
        if images["pixels"].notna().all():
            measures["images also in the other split"] = int(images["pixels"].isin(others["pixels"]).sum())
            measures["duplicate images"] = len(images) - images["pixels"].nunique()
        if captions["tokens"].notna().all():
            measures["tokens a caption, median"] = float(captions["tokens"].median())
            measures["tokens a caption, most"] = int(captions["tokens"].max())
        for k, ceiling in self.ceilings(split).items():
            measures[f"ceiling of text-to-image R@{k}, %"] = round(ceiling, 1)
        return measures


def audit(data: RetrievalData, tokenize: Tokenize | None = None, check_images: bool = True) -> Audit:
    """Measure a data set. `check_images` reads every image, to find equal ones; one broken is a DataError."""
    splits = {"train": data.train, "test": data.test}
    keys = {name: [caption_key(caption) for caption in split.captions] for name, split in splits.items()}
    others = {"train": set(keys["test"]), "test": set(keys["train"])}
    images = [_image_rows(name, split, check_images) for name, split in splits.items()]
    captions = [_caption_rows(name, split, keys[name], others[name], tokenize) for name, split in splits.items()]
    return Audit(
        name=data.name,
        images=pd.concat(images, ignore_index=True),
        captions=pd.concat(captions, ignore_index=True),
        blank={name: split.blank for name, split in splits.items()},
    )


def _caption_rows(
    name: str, split: Split, keys: list[str], other_keys: set[str], tokenize: Tokenize | None
) -> pd.DataFrame:
    pairs = pd.DataFrame({"key": keys, "image": split.image_of})
    return pd.DataFrame(
        {
            "split": name,
            "caption": split.captions,
            "tokens": None if tokenize is None else np.asarray(tokenize(split.captions)),
            "spread": pairs.groupby("key")["image"].transform("nunique"),
            "leaked": pairs["key"].isin(other_keys),
        }
    )


def _image_rows(name: str, split: Split, check_images: bool) -> pd.DataFrame:
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        pixels = list(pool.map(_pixel_hash, split.images)) if check_images else None
    return pd.DataFrame(
        {
            "split": name,
            "file": [path.name for path in split.images],
            "scene": pd.Series(split.scenes, dtype=object),
            "captions": split.captions_per_image,
            "pixels": pd.Series(pixels, index=range(len(split.images)), dtype=object),
        }
    )


def _pixel_hash(path: Path) -> str:
    image = read_image(path)
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def plot_token_lengths(audit: Audit) -> Figure:
    """Share of captions by length, per split. Needs an audit made with a tokeniser."""
    if audit.captions["tokens"].isna().any():
        raise ValueError("token lengths were not measured: pass `tokenize` to audit()")
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
    labels = list(SPREAD_BINS)
    images = pd.cut(audit.captions["spread"], [0, *SPREAD_BINS.values()], labels=labels)
    share = images.groupby(audit.captions["split"]).value_counts(normalize=True).mul(100).rename("share")
    figure, axes = _figure()
    sns.barplot(
        share.reset_index(), x="spread", y="share", hue="split", order=labels, palette=COLOURS, ax=axes,
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
    """Random images with their scene and captions. Raises DataError where an image cannot be read."""
    count = min(count, len(split.images))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split.images))[:count])
    figure = Figure(figsize=(8.0, 1.7 * count), layout="constrained")
    grid = figure.subplots(count, 2, squeeze=False, width_ratios=(1, 3))
    for (picture, text), i in zip(grid, chosen, strict=True):
        captions = [split.captions[j] for j in np.flatnonzero(split.image_of == i)]
        picture.imshow(read_image(split.images[i]))
        picture.set_title(split.scenes[i] or UNLABELLED, fontsize=9)
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
