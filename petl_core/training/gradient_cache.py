"""Batches of any size, whose activations take the memory of a few pairs (GradCache, Gao et al. 2021).

A contrast couples all pairs of a batch, but only through their embeddings, and those are small:

1. embed chunk by chunk, and keep only the embeddings;
2. take the loss of all embeddings, and its gradient at each of them;
3. embed each chunk again, now with a graph, and propagate its gradient to the parameters.

In memory for the whole batch are its embeddings and its inputs: pixels and tokens, or a side method's taps. The result
is the gradient of the whole batch, for one more forward pass. Torch's own checkpoints do the third step during the
backward pass, with the random numbers of the first, so that dropout drops the same elements.
"""

from collections.abc import Sequence

import torch
from torch.utils.checkpoint import checkpoint

from petl_core.training.encoding import Encoder


def embed_in_chunks(chunks: Sequence[Encoder], device: torch.device) -> torch.Tensor:
    """(B, d) of all chunks; a backward pass holds the graph of one of them at a time.

    Args:
        chunks: each encodes a part of the batch, the same inputs at each call.
        device: on which they draw random numbers, besides the CPU.
    """
    at = torch.empty(0, device=device)  # so that the checkpoint repeats the random numbers of this device
    return torch.cat([checkpoint(_call, encode, at, use_reentrant=False) for encode in chunks])


def _call(encode: Encoder, _: torch.Tensor) -> torch.Tensor:
    return encode()
