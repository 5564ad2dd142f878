"""Batches for a queue, and its entries as plain numbers."""

import torch
from torch.nn.functional import normalize

from petl_core.recycling import Pairs

WIDTH = 4


def pairs_of(size, seed, ids=6):
    """A batch; few ids, so that they repeat."""
    generator = torch.Generator().manual_seed(seed)
    images, texts = (normalize(torch.randn(size, WIDTH, generator=generator), dim=-1) for _ in range(2))
    return Pairs(images, texts, *(torch.randint(ids, (size,), generator=generator) for _ in range(2)))


def oldest_first(queue):
    """The queue's entries in the form and order of the naive one."""
    start = queue.stored % queue.size if len(queue) == queue.size else 0
    columns = (queue.images, queue.texts, queue.image_ids, queue.caption_ids, queue.stored_at)
    return list(zip(*(column[: len(queue)].roll(-start, 0).tolist() for column in columns), strict=True))


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))
