"""Contrasts, and the hybrid multi-modal contrastive (HMMC) loss of PE-RSITR, which is a sum of them.

Embeddings are L2-normalised, (B, d); row i of one batch belongs to row i of the other. ``exclude`` marks pairs that are
not negatives: false negatives, such as another caption of the same image.

A new term of the loss is a line in ``TERMS`` and a field ``w_<term>`` of :class:`~petl_core.config.RunConfig`.
"""

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

Contrast = Callable[..., torch.Tensor]

# Which two batches each term contrasts. A batch whose name ends in "_views" is a second view of the same inputs.
TERMS = {
    "cross": ("images", "texts"),
    "image": ("images", "image_views"),
    "text": ("texts", "text_views"),
}
VIEWS = "_views"


# Two batches: every other row is a negative.


def triplet(a: torch.Tensor, b: torch.Tensor, exclude: torch.Tensor | None = None, margin: float = 0.2) -> torch.Tensor:
    """Hardest-negative cosine triplet in both directions, summed over the batch, as released with PE-RSITR::

    sum_i max_{j != i} [margin + S_ij - S_ii]+  +  sum_j max_{i != j} [margin + S_ij - S_jj]+
    """
    similarity = a @ b.T  # (B, B)
    positive = similarity.diag()
    ignored = _diagonal(similarity) if exclude is None else exclude | _diagonal(similarity)
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
        logits = logits.masked_fill(exclude & ~_diagonal(logits), float("-inf"))
    target = torch.arange(len(a), device=a.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


# A batch and a queue: negatives come from the queue alone.


def triplet_to_queue(
    positive: torch.Tensor, negatives: torch.Tensor, exclude: torch.Tensor, margin: float = 0.2
) -> torch.Tensor:
    """sum_i max_k [margin + negatives_ik - positive_i]+ over the anchors (A,) and their negatives (A, K).

    Summed, as :func:`triplet` of two batches is. ``exclude`` (A, K) marks negatives that do not count.
    """
    hardest = negatives.masked_fill(exclude, float("-inf")).amax(dim=1)
    return (margin + hardest - positive).clamp(min=0).sum()


def infonce_to_queue(
    positive: torch.Tensor,
    negatives: torch.Tensor,
    exclude: torch.Tensor,
    temperature: float | torch.Tensor = 0.07,
) -> torch.Tensor:
    """Cross-entropy of each anchor's positive (A,) against its negatives (A, K), averaged over the anchors.

    ``exclude`` (A, K) bool marks negatives that do not count.
    """
    # Masked after the division: the gradient of a learned temperature would be 0 * inf, otherwise.
    negatives = (negatives / temperature).masked_fill(exclude, float("-inf"))
    logits = torch.cat([positive[:, None] / temperature, negatives], dim=1)  # (A, 1 + K)
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


# A batch and classes: every other class is a negative.


def class_cross_entropy(
    embeddings: torch.Tensor, prompts: torch.Tensor, classes: torch.Tensor, temperature: float | torch.Tensor = 0.07
) -> torch.Tensor:
    """Cross-entropy of embeddings (B, d) against class prompts (C, d), averaged over those of known class.

    ``classes`` (B,) are indices of prompts; those below 0 are unknown and do not count. Without any, the loss is 0.
    """
    known = classes >= 0
    logits = embeddings[known] @ prompts.T / temperature
    return cross_entropy(logits, classes[known], reduction="sum") / known.sum().clamp(min=1)


# The loss of PE-RSITR.


def hmmc(
    batches: dict[str, torch.Tensor],
    contrast: Contrast,
    weights: dict[str, float] | None = None,
    exclude: dict[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """The terms of the HMMC loss (PE-RSITR, section III-C) and their weighted sum::

        total = w_cross * L(v, t) + w_image * L(v, v') + w_text * L(t, t')

    Args:
        batches: (B, d) embeddings by the names in ``TERMS``: "images" v, "texts" t and their second views v' and t'.
            Those of terms of weight 0 may be missing.
        contrast: of two batches, ``(a, b, exclude) -> scalar``, such as :func:`triplet` or :func:`infonce`.
        weights: of each term; a term of weight 0 is not computed. Without them, every term weighs 1.
        exclude: (B, B) masks by term, as from :func:`false_negatives`.

    Returns:
        The scalar of each term that was computed, and "total".
    """
    weights = dict.fromkeys(TERMS, 1.0) if weights is None else weights
    exclude = exclude or {}
    terms = {}
    for name, (a, b) in TERMS.items():
        if weights[name]:
            terms[name] = contrast(batches[a], batches[b], exclude.get(name))
    total = sum(weights[name] * term for name, term in terms.items())
    return {**terms, "total": total}


def views_needed(weights: dict[str, float]) -> set[str]:
    """The batches of second views that are contrasted by the terms with a weight."""
    return {batch for name, pair in TERMS.items() if weights[name] for batch in pair if batch.endswith(VIEWS)}


def false_negatives(image_ids: torch.Tensor, caption_ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Pairs (i, j) of a batch that are not negatives of each other, for each term of :func:`hmmc`: (B, B) bool.

    Between images those of the same image; otherwise those of the same image or the same caption text. The release does
    not mask these.
    """
    same_image = image_ids[:, None] == image_ids[None, :]
    same_caption = caption_ids[:, None] == caption_ids[None, :]
    of_images_alone = {name: all(batch.startswith("image") for batch in pair) for name, pair in TERMS.items()}
    return {name: same_image if alone else same_image | same_caption for name, alone in of_images_alone.items()}


def _diagonal(matrix: torch.Tensor) -> torch.Tensor:
    return torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)
