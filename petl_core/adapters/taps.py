"""What a side network reads from a frozen tower, packed into one tensor per sample so that it can be cached."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import pad

from petl_core.adapters.towers import blocks_of


@contextmanager
def tapped(tower: nn.Module, layers: Sequence[int]) -> Iterator[list[torch.Tensor]]:
    """Within this context a forward pass of ``tower`` leaves the outputs of these blocks in the list it yields.

    Each is (B, N, width), in the order in which the blocks run.
    """
    taps: list[torch.Tensor] = []

    def keep(_, __, output):
        taps.append(output[0] if isinstance(output, tuple) else output)

    blocks = blocks_of(tower)
    handles = [blocks[i].register_forward_hook(keep) for i in sorted(layers)]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class TowerTaps:
    """A tower's embedding and the token states between its blocks::

        (B, R + N, T * width)    # R rows hold the embedding, padded with zeros; then one row per token, T states each

    Tokens come last, so that captions padded to different lengths differ only in the number of these rows.
    """

    layers: tuple[int, ...]  # blocks whose outputs are read, from 0
    width: int
    embedding_dim: int
    block_input: bool = False  # also what enters block 0, as the first state

    @property
    def spec(self) -> str:
        """What is read, in words; equal words mean equal taps of the same tower."""
        blocks = ["input"] * self.block_input + [str(layer) for layer in self.layers]
        return f"embedding and blocks {', '.join(blocks)}"

    def read(
        self, tower: nn.Module, encode: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor
    ) -> torch.Tensor:
        """Run ``encode(inputs)`` without a graph and pack the embedding and the tapped states."""
        states: list[torch.Tensor] = []

        def keep_input(_, args):
            if self.block_input:
                states.append(args[0])

        tap_input = blocks_of(tower)[0].register_forward_pre_hook(keep_input)
        with tap_input, torch.no_grad(), tapped(tower, self.layers) as outputs:
            embedding = encode(inputs)  # (B, d)
        side_by_side = torch.cat([*states, *outputs], dim=-1)  # (B, N, T * width)
        rows = self._embedding_rows
        padded = pad(embedding, (0, rows * self._row_width - self.embedding_dim)).view(-1, rows, self._row_width)
        return torch.cat([padded, side_by_side], dim=1)

    def unpack(self, taps: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The embedding (B, d) and the T states (B, N, width)."""
        rows = self._embedding_rows
        return taps[:, :rows].flatten(1)[:, : self.embedding_dim], taps[:, rows:].split(self.width, dim=-1)

    @property
    def _row_width(self) -> int:
        return (len(self.layers) + self.block_input) * self.width

    @property
    def _embedding_rows(self) -> int:
        return math.ceil(self.embedding_dim / self._row_width)
