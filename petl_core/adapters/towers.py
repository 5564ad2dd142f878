"""CLIP's two towers inside: blocks, widths, dropout of their tokens, and what a side network reads from them.

A tower is open_clip's own, or it wraps an encoder of Hugging Face. A method that only reads a tower works with either
(:func:`blocks_of`); one that changes a tower's blocks works with open_clip's own (:func:`residual_blocks`).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from open_clip.transformer import ResidualAttentionBlock, Transformer
from torch import nn
from torch.nn.functional import pad

from petl_core.errors import ConfigError

Which = Literal["both", "image", "text"]


def towers(clip: nn.Module, which: Which = "both") -> dict[str, nn.Module]:
    """Both towers, or one of them, by modality: "visual", "text"."""
    chosen = {"both": ("visual", "text"), "image": ("visual",), "text": ("text",)}[which]
    return {modality: getattr(clip, modality) for modality in chosen}


def blocks_of(tower: nn.Module) -> nn.ModuleList:
    """The transformer blocks of an open_clip tower, or of the Hugging Face encoder inside one.

    Raises:
        ConfigError: the tower is not a transformer.
    """
    transformer = getattr(tower, "transformer", None)
    encoder = getattr(transformer, "encoder", transformer)
    for name in ("resblocks", "layer", "layers", "block"):
        if isinstance(getattr(encoder, name, None), nn.ModuleList):
            return getattr(encoder, name)
    raise ConfigError(f"{type(tower).__name__} has no transformer blocks to tap; choose a head on its embeddings")


def residual_blocks(tower: nn.Module) -> nn.ModuleList:
    """The blocks of a tower that is built of open_clip's own residual blocks, which methods know how to change.

    Raises:
        ConfigError: the tower has other blocks, or none.
    """
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    if blocks is None or not all(isinstance(block, ResidualAttentionBlock) for block in blocks):
        raise ConfigError(
            f"adapts open_clip's residual blocks, but {type(tower).__name__} has none; "
            "choose a method that works on embeddings or on tapped tokens"
        )
    return blocks


def width_of(tower: nn.Module) -> int:
    """Width of the tokens between the blocks of :func:`blocks_of`."""
    blocks_of(tower)
    return tower.config.hidden_size if hasattr(tower, "config") else tower.transformer.width


@contextmanager
def dropped_tokens(clip: nn.Module, drop: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Within this context ``drop`` changes the token embeddings of both towers before block 1.

    That is where PE-RSITR makes second views (section III-C): image tokens after position embedding and ``ln_pre``, CLS
    included; text tokens after position embedding.

    Raises:
        ConfigError: a tower without open_clip's transformer blocks.
    """
    with ExitStack() as hooks:
        for tower in towers(clip).values():
            transformer = getattr(tower, "transformer", None)
            if not isinstance(transformer, Transformer):
                raise ConfigError("second views need open_clip's transformer towers; set w_image and w_text to 0")
            hook = transformer.register_forward_pre_hook(lambda _, inputs: (drop(inputs[0]), *inputs[1:]))
            hooks.enter_context(hook)
        yield


@dataclass(frozen=True)
class TowerTaps:
    """What a side network reads from a tower: its embedding and the token states between its blocks, as one tensor::

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

    @torch.no_grad()
    def read(
        self, tower: nn.Module, encode: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor
    ) -> torch.Tensor:
        """Run ``encode(inputs)`` without a graph and pack the embedding and the tapped states."""
        states: list[torch.Tensor] = []

        def keep_input(_, args):
            states.append(args[0])

        def keep(_, __, output):
            states.append(output[0] if isinstance(output, tuple) else output)

        blocks = blocks_of(tower)
        with ExitStack() as hooks:
            if self.block_input:
                hooks.enter_context(blocks[0].register_forward_pre_hook(keep_input))
            for layer in self.layers:
                hooks.enter_context(blocks[layer].register_forward_hook(keep))
            embedding = encode(inputs)  # (B, d)
        rows, row_width = self._embedding_shape
        padded = pad(embedding, (0, rows * row_width - self.embedding_dim)).view(-1, rows, row_width)
        return torch.cat([padded, torch.cat(states, dim=-1)], dim=1)

    def unpack(self, taps: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The embedding (B, d) and the T states (B, N, width)."""
        rows, _ = self._embedding_shape
        return taps[:, :rows].flatten(1)[:, : self.embedding_dim], taps[:, rows:].split(self.width, dim=-1)

    @property
    def _embedding_shape(self) -> tuple[int, int]:
        row_width = (len(self.layers) + self.block_input) * self.width
        return math.ceil(self.embedding_dim / row_width), row_width
