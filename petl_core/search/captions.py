"""``Captions``: texts, searched by image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petl_core.adapters import AdaptedCLIP
from petl_core.data import caption_key
from petl_core.search.exact import nearest
from petl_core.training import encoding


@dataclass(frozen=True)
class Captions:
    """Distinct captions as embeddings of one model, ready to be searched.

    Attributes:
        texts: (T,), without verbatim copies.
        embeddings: (T, d) float32, normalised.
    """

    texts: tuple[str, ...]
    embeddings: np.ndarray

    @classmethod
    def of(cls, captions: Sequence[str], model: AdaptedCLIP, progress: bool = True) -> "Captions":
        """Any captions, each encoded once."""
        first, _ = encoding.distinct([caption_key(caption) for caption in captions])
        texts = tuple(captions[i] for i in first)
        prepared = encoding.prepare_captions(model, texts)
        return cls(texts, encoding.embed_texts(model, prepared, prepared.caption_rows, progress).numpy())

    def nearest_to(self, query: np.ndarray, k: int = 10) -> list[tuple[str, float]]:
        """The k captions nearest to an embedding (d,), best first, with their cosines."""
        found = zip(*nearest(self.embeddings, query, k), strict=True)
        return [(self.texts[row], float(score)) for row, score in found]
