"""Negative sample recycling: embeddings of past batches serve as negatives again, so that their number does not
depend on the batch (CMER, arXiv 2501.10638)::

    L = L_batch + weight * L_queue

A reconstruction: CMER's code was not released. Our choices are one queue of images and one of texts; negatives from the
queue alone, and entries of the anchor's own image or caption masked.

In each direction an anchor is compared with keys, which pass no gradient on::

    image v_i:  positive v_i . sg(t_i),  negatives v_i . k over the texts k of the queue
    text t_i:   positive t_i . sg(v_i),  negatives t_i . k over its images k

So attraction and repulsion reach the same side of every pair. With gradients to both sides of the positive, attraction
would count twice, and the loss would reward a model that moves as a whole.

There are two kinds of keys. The model's own embeddings of past batches need nothing else (XBM, Wang et al. 2020), but
then the positive's key is fresh and the negatives' are stale, so that their age alone distinguishes them. In MoCo (He
et al. 2020, section 3) one slow encoder gives positives and negatives; here that is a :class:`SlowCopy` of the few
parameters that a method trains, on the same frozen towers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from petl_core.losses import Contrast, infonce_to_queue

DRIFT_COLUMNS = ["modality", "age_from", "age_to", "cosine", "count"]
MOMENTUM = 0.99  # of a slow copy


@dataclass(frozen=True)
class Pairs:
    """B image-text pairs: their embeddings, and the ids of their images and captions."""

    images: torch.Tensor  # (B, d), normalised
    texts: torch.Tensor  # (B, d), normalised
    image_ids: torch.Tensor  # (B,) long
    caption_ids: torch.Tensor  # (B,) long


class Queue(nn.Module):
    """The last ``size`` pairs of keys: normalised float32 features without gradients.

    Like any module it moves with ``to(device)``, and its ``state_dict`` (tensors alone) belongs in a checkpoint.

    Args:
        size: pairs kept, independent of the batch size; 0 keeps none.
        width: d of the embeddings.
    """

    def __init__(self, size: int, width: int):
        super().__init__()
        self.size = size
        self.steps = self.stored = 0  # batches, and pairs, enqueued so far
        for name in ("images", "texts"):
            self.register_buffer(name, torch.zeros(size, width))
        for name in ("image_ids", "caption_ids", "stored_at"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.long))

    def __len__(self) -> int:
        return min(self.stored, self.size)

    @property
    def ages(self) -> torch.Tensor:
        """(K,) steps since each entry was computed: 1 for the batch enqueued last."""
        return self.steps - self.stored_at[: len(self)]

    @torch.no_grad()
    def enqueue(self, keys: Pairs) -> None:
        """Replace the oldest pairs with a batch; called once per step, after the loss.

        Of a batch larger than the queue, its last ``size`` pairs are kept.
        """
        kept = min(len(keys.images), self.size)
        self.stored += len(keys.images)
        if kept:
            rows = torch.arange(self.stored - kept, self.stored, device=self.images.device) % self.size
            for name in ("images", "texts", "image_ids", "caption_ids"):
                stored = getattr(self, name)
                stored[rows] = getattr(keys, name)[-kept:].to(stored)
            self.stored_at[rows] = self.steps
        self.steps += 1

    def loss(self, batch: Pairs, keys: Pairs, contrast: Contrast = infonce_to_queue) -> torch.Tensor:
        """L_queue of a batch of anchors, a scalar; gradients flow to them alone.

        Args:
            batch: the anchors. Queue entries that share an image or a caption with an anchor are not its negatives.
            keys: the same pairs as they will be queued, which are the positives: ``batch`` itself, or a slow copy's.
            contrast: ``(positive (A,), negatives (A, K), exclude (A, K)) -> scalar`` of the A = 2 B anchors, such as
                :func:`petl_core.losses.infonce_to_queue`.

        Returns:
            Zero, with a graph, while the queue is empty.
        """
        count = len(self)
        if not count:
            return 0 * (batch.images * batch.texts).sum()
        images, texts = batch.images.to(self.images), batch.texts.to(self.texts)  # (B, d), the anchors
        positive = torch.cat([(images * keys.texts.detach()).sum(dim=1), (texts * keys.images.detach()).sum(dim=1)])
        # Copies, because the backward pass needs the queue as it is now, and usually comes after the next enqueue.
        negatives = torch.cat([images @ self.texts[:count].clone().T, texts @ self.images[:count].clone().T])  # (A, K)
        same_image = batch.image_ids.to(self.image_ids)[:, None] == self.image_ids[:count]
        same_caption = batch.caption_ids.to(self.caption_ids)[:, None] == self.caption_ids[:count]
        return contrast(positive, negatives, (same_image | same_caption).repeat(2, 1))

    def get_extra_state(self) -> torch.Tensor:
        return torch.tensor([self.steps, self.stored])

    def set_extra_state(self, state: torch.Tensor) -> None:
        self.steps, self.stored = state.tolist()


class SlowCopy:
    """An exponential moving average of parameters: ``slow = momentum * slow + (1 - momentum) * parameter``.

    Args:
        parameters: what is followed, by name; the copy starts equal to it.
        momentum: share that is kept at each update (MoCo, He et al. 2020, section 3.2).
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], momentum: float = MOMENTUM):
        self._parameters, self._momentum = dict(parameters), momentum
        self.weights = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Follow the parameters; called once per step, after the optimizer."""
        for name, parameter in self._parameters.items():
            self.weights[name].lerp_(parameter, 1 - self._momentum)

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Continue from ``weights``, such as those of a checkpoint.

        Raises:
            KeyError: a parameter is missing.
        """
        for name, slow in self.weights.items():
            slow.copy_(weights[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this context the parameters hold the slow weights; graphs made outside stay valid."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.data, self.weights[name] = self.weights[name], parameter.data


@torch.no_grad()
def drift(
    queue: Queue,
    encode_images: Callable[[torch.Tensor], torch.Tensor],
    encode_texts: Callable[[torch.Tensor], torch.Tensor],
    limit: int = 256,
) -> pd.DataFrame:
    """Mean cosine of stored features to fresh encodings of the same images and captions, by age.

    A model's own keys are stored as trained, dropout included, so even the youngest entries may be below 1: compare
    older ones with them. An id must identify what was encoded; if it has several wordings, that shows as drift, too.

    Args:
        queue: whose entries are encoded again.
        encode_images, encode_texts: the current encoders of keys, distinct ids (D,) long, on the CPU -> (D, d).
        limit: entries to compare, evenly spaced by age; each costs an encoding.

    Returns:
        One row per modality ("image", "text") and age range that has entries: ages in steps from ``age_from`` (1, 2, 4,
        8, ...) to ``age_to`` inclusive, mean ``cosine`` and ``count``.
    """
    if not len(queue):
        return pd.DataFrame(columns=DRIFT_COLUMNS)
    rows = torch.linspace(0, len(queue) - 1, min(len(queue), limit)).round().long()
    images = _cosines(queue.images[rows], queue.image_ids[rows], encode_images)
    texts = _cosines(queue.texts[rows], queue.caption_ids[rows], encode_texts)
    ages = queue.ages[rows].cpu().numpy()
    return pd.concat([_by_age("image", ages, images), _by_age("text", ages, texts)], ignore_index=True)


def _cosines(stored: torch.Tensor, ids: torch.Tensor, encode: Callable) -> pd.Series:
    distinct, inverse = ids.cpu().unique(return_inverse=True)
    fresh = encode(distinct)[inverse].double()
    return pd.Series(cosine_similarity(stored.cpu().double(), fresh).numpy())  # double, for a drift below 1e-7


def _by_age(modality: str, ages: np.ndarray, cosines: pd.Series) -> pd.DataFrame:
    """Age ranges double, so they do not depend on what the queue holds."""
    youngest = 2 ** np.floor(np.log2(ages)).astype(int)
    table = cosines.groupby(youngest).agg(cosine="mean", count="size").rename_axis("age_from").reset_index()
    return table.assign(modality=modality, age_to=2 * table["age_from"] - 1)[DRIFT_COLUMNS]
