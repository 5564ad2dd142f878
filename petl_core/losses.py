"""Contrasts between two batches of embeddings, and the hybrid multi-modal contrastive (HMMC) loss of PE-RSITR.

Embeddings are L2-normalised, (B, d); row i of one belongs to row i of the other. ``exclude`` (B, B) marks pairs that
are no negatives: false negatives, such as another caption of the same image.
"""

import torch
from torch.nn.functional import cross_entropy


def triplet(a: torch.Tensor, b: torch.Tensor, exclude: torch.Tensor | None = None, margin: float = 0.2) -> torch.Tensor:
    """Hardest-negative cosine triplet in both directions, summed over the batch, as released with PE-RSITR::

    sum_i max_{j != i} [margin + S_ij - S_ii]+  +  sum_j max_{i != j} [margin + S_ij - S_jj]+
    """
    similarity = a @ b.T  # (B, B)
    positive = similarity.diag()
    ignored = _diagonal_and(exclude, similarity)
    forward = (margin + similarity - positive[:, None]).clamp(min=0).masked_fill(ignored, 0)
    backward = (margin + similarity - positive[None, :]).clamp(min=0).masked_fill(ignored, 0)
    return forward.amax(dim=1).sum() + backward.amax(dim=0).sum()


def infonce(
    a: torch.Tensor,
    b: torch.Tensor,
    exclude: torch.Tensor | None = None,
    temperature: float | torch.Tensor = 0.07,
) -> torch.Tensor:
    """Symmetric cross-entropy over the batch, averaged over anchors and directions (CLIP, Radford et al. 2021)."""
    logits = a @ b.T / temperature  # (B, B)
    if exclude is not None:
        logits = logits.masked_fill(exclude & ~_eye(logits), float("-inf"))
    target = torch.arange(len(a), device=a.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def hmmc(images, texts, image_views, text_views, contrast, weights=(1.0, 1.0, 1.0), exclude=None) -> dict:
    """The terms of the HMMC loss (PE-RSITR, section III-C) and their weighted sum::

        w_cross * L(v, t) + w_image * L(v, v') + w_text * L(t, t')

    Args:
        images, texts: (B, d) embeddings v and t of a batch of pairs.
        image_views, text_views: (B, d) second views v' and t'; not used, and may be None, where their weight is 0.
        contrast: ``(a, b, exclude) -> scalar``, such as :func:`triplet` or :func:`infonce`.
        weights: of the cross-modal, image and text term; a term of weight 0 is not computed.
        exclude: a dict with the (B, B) masks of each term, "cross", "image" and "text"; or None.

    Returns:
        {"cross", "image", "text": scalars that were computed, "total": their weighted sum}.
    """
    pairs = {"cross": (images, texts), "image": (images, image_views), "text": (texts, text_views)}
    exclude = exclude or {}
    terms = {
        name: contrast(*pair, exclude.get(name))
        for (name, pair), weight in zip(pairs.items(), weights, strict=True)
        if weight
    }
    total = sum(weight * terms[name] for name, weight in zip(pairs, weights, strict=True) if weight)
    return {**terms, "total": total}


def false_negatives(image_ids: torch.Tensor, caption_ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Pairs (i, j) of a batch that are no negatives of each other, for each term of :func:`hmmc`: (B, B) bool.

    Same image or same caption text across modalities; same image between images; same caption text, or captions
    of one image, between texts. The release does not mask these.
    """
    same_image = image_ids[:, None] == image_ids[None, :]
    same_caption = caption_ids[:, None] == caption_ids[None, :]
    either = same_image | same_caption
    return {"cross": either, "image": same_image, "text": either}


def _eye(matrix: torch.Tensor) -> torch.Tensor:
    return torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)


def _diagonal_and(exclude: torch.Tensor | None, matrix: torch.Tensor) -> torch.Tensor:
    return _eye(matrix) if exclude is None else exclude | _eye(matrix)
