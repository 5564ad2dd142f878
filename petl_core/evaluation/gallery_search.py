"""What a query finds: the rank of its own counterpart, the kinds of other answers, what adaptation fixes and breaks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from petl_core import retrieval
from petl_core.data import Split, caption_key
from petl_core.evaluation.embedding_space import Space

OUTCOMES = ("found by both", "fixed", "broken", "missed by both", "tied")


@dataclass(frozen=True)
class Searched:
    """A test split with the score of every image for every caption, (N, M)."""

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


def search(split: Split, space: Space) -> Searched:
    """Score every image of a split for every caption, by the cosine of their embeddings."""
    return Searched(split, retrieval.similarity(*space))


def outcomes(before: retrieval.Ranking, after: retrieval.Ranking, k: int) -> np.ndarray:
    """Which of two models has a query's own counterpart in its top k.

    Args:
        before: rankings of Q queries by the first model.
        after: rankings of the same queries by the second.
        k: how many answers count.

    Returns:
        (Q,) of ``OUTCOMES``; "tied" if that depends on the order of equal scores for either model.
    """
    was, now = before.hits(k), after.hits(k)
    cases = [(was == 1) & (now == 1), (was == 0) & (now == 1), (was == 1) & (now == 0), (was == 0) & (now == 0)]
    return np.select(cases, OUTCOMES[:-1], OUTCOMES[-1])


def kind_of_image(split: Split, caption: int, image: int) -> str:
    """What an image is to a caption: "own", "same words" (an equally good answer), "same scene" or "other"."""
    own = split.image_of[caption]
    if image == own:
        return "own"
    key = caption_key(split.captions[caption])
    if any(caption_key(split.captions[other]) == key for other in np.flatnonzero(split.image_of == image)):
        return "same words"
    return "same scene" if split.scenes[own] and split.scenes[own] == split.scenes[image] else "other"


class FoundCaption(NamedTuple):
    """A caption that an image finds, with its verbatim copies merged."""

    text: str
    copies: int
    kind: str  # "own" if one of the copies is the image's own, otherwise "same scene" or "other"
    score: float


def merge_copies(found: Searched, image: int, captions: Iterable[int]) -> list[FoundCaption]:
    """Captions in the given order, with verbatim copies merged into the first of them."""
    # The captions with the same words.
    split = found.split
    copies: dict[str, list[int]] = {}
    for caption in captions:
        copies.setdefault(caption_key(split.captions[caption]), []).append(caption)

    # What each is to the image.
    merged = []
    for same in copies.values():
        images = set(split.image_of[same])
        scenes = {split.scenes[other] for other in images}
        if image in images:
            kind = "own"
        elif split.scenes[image] and split.scenes[image] in scenes:
            kind = "same scene"
        else:
            kind = "other"
        merged.append(FoundCaption(split.captions[same[0]], len(same), kind, float(found.scores[image, same[0]])))
    return merged


def best_captions(found: Searched, image: int, k: int) -> list[FoundCaption]:
    """The k best distinct captions for an image, each with all its copies."""
    ordered = np.argsort(-found.scores[image], kind="stable")
    return merge_copies(found, image, ordered)[:k]


def best_own_caption(found: Searched, image: int) -> FoundCaption:
    """The best of an image's own captions."""
    own = np.flatnonzero(found.split.image_of == image)
    return merge_copies(found, image, [own[found.scores[image, own].argmax()]])[0]
