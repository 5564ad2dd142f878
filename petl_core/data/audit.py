"""Audit of a retrieval data set: counts, lengths, leaks, and the recall ceilings that its duplicates set."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petl_core.data.images import pixel_digest
from petl_core.data.split import RetrievalData, caption_key

RECALLS = (1, 5, 10)
SPREAD_BINS = {"1": 1, "2": 2, "3-5": 5, "6-10": 10, "11-20": 20, "over 20": np.inf}  # label: upper end

TokenCounter = Callable[[Sequence[str]], Sequence[int]]  # captions -> their lengths in tokens


@dataclass(frozen=True, eq=False)
class Audit:
    """The measurements behind ``summary``, one row per image and one row per caption, for plots and questions.

    Args:
        name: of the data set.
        images: ``split``, ``file``, ``scene`` (None without label), ``captions`` (how many), ``pixels`` (sha256 of the
            decoded image, None where images were not read).
        captions: ``split``, ``caption``, ``image`` (its number in the split), ``tokens`` (None without a tokeniser),
            ``spread`` (distinct images of its split that have this caption), ``leaked`` (the caption is also in
            the other split).
        blank: blank captions dropped while reading, by split.
    """

    name: str
    images: pd.DataFrame
    captions: pd.DataFrame
    blank: dict[str, int]

    @property
    def summary(self) -> pd.DataFrame:
        """Measures by split; captions are equal if their :func:`petl_core.data.caption_key` is."""
        return pd.DataFrame({s: pd.Series(self._measures(s), dtype=object) for s in ("train", "test")})

    def ceilings(self, split: str = "test") -> dict[int, float]:
        """The best strict text-to-image R@k in percent that duplicates leave, {k: R@k}.

        All copies of a caption retrieve the same k images first, so at most k of their own images can be among these:
        at best those that have most of the copies.
        """
        captions = self.captions[self.captions["split"] == split]
        copies = captions.groupby([captions["caption"].map(caption_key), "image"]).size()
        place = copies.groupby(level="caption").rank(method="first", ascending=False)
        return {k: 100 * float(copies[place <= k].sum() / len(captions)) for k in RECALLS}

    def repeats(self) -> pd.DataFrame:
        """Percent of captions (``share``) by ``split`` and by how many of its images have them (``spread``, binned)."""
        images = pd.cut(self.captions["spread"], [0, *SPREAD_BINS.values()], labels=list(SPREAD_BINS))
        share = images.groupby(self.captions["split"]).value_counts(normalize=True).mul(100)
        return share.rename("share").reset_index()

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
            "captions per image, fewest": int(images["captions"].min()),
            "captions per image, most": int(images["captions"].max()),
            "distinct captions": distinct,
            "duplicate captions": len(captions) - distinct,
            "captions also in the other split": int(captions["leaked"].sum()),
            "captions also in the other split, %": round(100 * float(captions["leaked"].mean()), 1),
            "scene classes": images["scene"].nunique(),
            "images without scene label": int(images["scene"].isna().sum()),
            "image names also in the other split": int(images["file"].isin(others["file"]).sum()),
        }
        # What was not measured is not reported.
        if images["pixels"].notna().all():
            measures["images also in the other split"] = int(images["pixels"].isin(others["pixels"]).sum())
            measures["duplicate images"] = len(images) - images["pixels"].nunique()
        if captions["tokens"].notna().all():
            measures["tokens per caption, median"] = float(captions["tokens"].median())
            measures["tokens per caption, most"] = int(captions["tokens"].max())
        for k, ceiling in self.ceilings(split).items():
            measures[f"ceiling of text-to-image R@{k}, %"] = round(ceiling, 1)
        return measures


def audit(data: RetrievalData, count_tokens: TokenCounter | None = None, check_images: bool = True) -> Audit:
    """Measure a data set; lengths in tokens only with ``count_tokens``, equal images only with ``check_images``.

    Raises:
        DataError: an image is broken.
    """
    splits = {"train": data.train, "test": data.test}
    keys = {name: [caption_key(caption) for caption in split.captions] for name, split in splits.items()}
    images, captions = [], []
    for (name, split), other in zip(splits.items(), ("test", "train"), strict=True):
        pixels = None
        if check_images:
            with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
                pixels = list(pool.map(pixel_digest, split.images))
        rows = {
            "file": [path.name for path in split.images],
            "scene": pd.Series(split.scenes, dtype=object),
            "captions": split.captions_per_image,
            "pixels": pd.Series(pixels, index=range(len(split.images)), dtype=object),
        }
        images.append(pd.DataFrame(rows).assign(split=name))
        pairs = pd.DataFrame({"key": keys[name], "image": split.image_of})
        rows = {
            "caption": split.captions,
            "image": split.image_of,
            "tokens": None if count_tokens is None else np.asarray(count_tokens(split.captions)),
            "spread": pairs.groupby("key")["image"].transform("nunique"),
            "leaked": pairs["key"].isin(set(keys[other])),
        }
        captions.append(pd.DataFrame(rows).assign(split=name))
    blank = {name: split.blank for name, split in splits.items()}
    return Audit(data.name, pd.concat(images, ignore_index=True), pd.concat(captions, ignore_index=True), blank)
