"""Negative sample recycling: embeddings of past batches serve as negatives again, so that their number does not
depend on the batch (CMER, arXiv 2501.10638)::

    L = L_batch + weight * L_queue

A reconstruction: CMER's code was not released. Chosen here are one queue of images and one of texts, filled by the
trained model itself (no momentum encoder); positives from the batch and negatives from the queue alone; entries of the
anchor's own image or caption masked; and a warm-up counted in steps, because it is steps that outdate a feature.

Fresh positives against outdated negatives reward a model that moves as a whole, away from where it was. MoCo (He et al.
2020, section 4.1) does not converge without a momentum encoder for this reason; here a small weight or learning rate
has to do, and validation mR and the drift tell whether it does.
"""

from collections.abc import Callable

import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from petl_core.losses import Contrast, infonce_to_queue

DRIFT_COLUMNS = ["modality", "age_from", "age_to", "cosine", "count"]


class Queue(nn.Module):
    """The last ``size`` images and texts that were trained on: normalised float32 features without gradients.

    Like any module it moves with ``to(device)``, and its ``state_dict`` (tensors alone) belongs in a checkpoint.

    Args:
        size: entries kept, of any relation to the batch size; 0 keeps none.
        width: d of the embeddings.
        warmup: number of first steps whose batches are stored, but whose loss is zero.
    """

    def __init__(self, size: int, width: int, warmup: int = 0):
        super().__init__()
        self.size, self.warmup = size, warmup
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
    def enqueue(
        self, images: torch.Tensor, texts: torch.Tensor, image_ids: torch.Tensor, caption_ids: torch.Tensor
    ) -> None:
        """Store a batch of pairs over the oldest ones: embeddings (B, d), ids (B,) long; once a step, after the loss.

        Of a batch larger than the queue, its last ``size`` pairs are kept.
        """
        kept = min(len(images), self.size)
        self.stored += len(images)
        if kept:
            rows = torch.arange(self.stored - kept, self.stored, device=self.images.device) % self.size
            self.images[rows] = images[-kept:].to(self.images)
            self.texts[rows] = texts[-kept:].to(self.texts)
            self.image_ids[rows] = image_ids[-kept:].to(self.image_ids)
            self.caption_ids[rows] = caption_ids[-kept:].to(self.caption_ids)
            self.stored_at[rows] = self.steps
        self.steps += 1

    def loss(
        self,
        images: torch.Tensor,
        texts: torch.Tensor,
        image_ids: torch.Tensor,
        caption_ids: torch.Tensor,
        contrast: Contrast = infonce_to_queue,
    ) -> torch.Tensor:
        """L_queue of a batch of pairs, a scalar: each image against the queued texts, each text against the images.

        Args:
            images, texts: (B, d) normalised embeddings; gradients flow to them alone.
            image_ids, caption_ids: (B,) long; an entry that shares either with the anchor is no negative of it.
            contrast: ``(positive (2B,), negatives (2B, K), exclude (2B, K)) -> scalar``, such as
                :func:`petl_core.losses.infonce_to_queue`.

        Returns:
            Zero, with a graph, during the warm-up and while the queue is empty.
        """
        images, texts = images.to(self.images.dtype), texts.to(self.texts.dtype)
        positive = (images * texts).sum(dim=1)  # (B,)
        count = len(self)
        if not count or self.steps < self.warmup:
            return 0 * positive.sum()
        image_ids, caption_ids = image_ids.to(self.image_ids), caption_ids.to(self.caption_ids)
        same = image_ids[:, None] == self.image_ids[:count]  # (B, K)
        same |= caption_ids[:, None] == self.caption_ids[:count]
        # Copies, because the backward pass needs the queue as it is now, and usually comes after the next enqueue.
        queued_images, queued_texts = self.images[:count].clone(), self.texts[:count].clone()  # (K, d)
        negatives = torch.cat([images @ queued_texts.T, texts @ queued_images.T])  # (2B, K)
        return contrast(positive.repeat(2), negatives, same.repeat(2, 1))

    def get_extra_state(self) -> torch.Tensor:
        return torch.tensor([self.steps, self.stored])

    def set_extra_state(self, state: torch.Tensor) -> None:
        self.steps, self.stored = state.tolist()


@torch.no_grad()
def drift(
    queue: Queue,
    encode_images: Callable[[torch.Tensor], torch.Tensor],
    encode_texts: Callable[[torch.Tensor], torch.Tensor],
    bins: int = 10,
    limit: int = 1024,
) -> pd.DataFrame:
    """Mean cosine of stored features to fresh encodings of the same images and captions, by age.

    Features are stored as trained, dropout included, so the youngest entries need not reach 1: older ones compare
    with them. Ids must tell what was encoded; an id that stands for several wordings shows as drift, too.

    Args:
        queue: whose entries are encoded again.
        encode_images, encode_texts: distinct ids (D,) long, on the CPU -> (D, d) embeddings by the current model.
        bins: number of age ranges, all of one width.
        limit: entries to look at, evenly spaced by age; each costs an encoding.

    Returns:
        A row for each modality ("image", "text") and age range that has entries: ages in steps from ``age_from`` to
        ``age_to`` inclusive, mean ``cosine`` and ``count``.
    """
    if not len(queue):
        return pd.DataFrame(columns=DRIFT_COLUMNS)
    rows = torch.linspace(0, len(queue) - 1, min(len(queue), limit)).round().long()
    images = _cosines(queue.images[rows], queue.image_ids[rows], encode_images)
    texts = _cosines(queue.texts[rows], queue.caption_ids[rows], encode_texts)
    ages = queue.ages[rows].cpu().numpy()
    return pd.concat([_by_age("image", ages, images, bins), _by_age("text", ages, texts, bins)], ignore_index=True)


def _cosines(stored: torch.Tensor, ids: torch.Tensor, encode: Callable) -> pd.Series:
    distinct, inverse = ids.cpu().unique(return_inverse=True)
    fresh = encode(distinct).to(stored)[inverse.to(stored.device)]
    return pd.Series(cosine_similarity(stored, fresh).cpu().numpy())


def _by_age(modality: str, ages, cosines: pd.Series, bins: int) -> pd.DataFrame:
    width = -(-int(ages.max()) // bins)
    table = cosines.groupby((ages - 1) // width * width + 1).agg(cosine="mean", count="size")
    table = table.rename_axis("age_from").reset_index()
    age_to = (table["age_from"] + width - 1).clip(upper=int(ages.max()))
    return table.assign(modality=modality, age_to=age_to)[DRIFT_COLUMNS]
