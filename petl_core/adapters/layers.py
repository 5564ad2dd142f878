"""Pieces of adapters: dropout, linear layers by how they start, and residual blocks with places for adapters."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import nn

from petl_core.adapters.towers import residual_blocks, width_of

SITES = ("serial_attention", "parallel_attention", "serial_mlp", "parallel_mlp", "residual_mlp")
Site = Callable[[torch.Tensor], torch.Tensor]  # (B, N, width) -> (B, N, width)


def dropout(x: torch.Tensor, p: float, training: bool = True) -> torch.Tensor:
    """Zero each element with probability ``p``, and scale the others by 1 / (1 - p).

    In place of torch's own, whose ``bernoulli_`` is free to use the generator of a vendor's library, and in some builds
    did: masks differed between processors. ``torch.rand`` has one generator on every CPU.
    """
    if not training or p == 0:
        return x
    return x * (torch.rand(x.shape, device=x.device) >= p) / (1 - p)


def down_projection(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with Kaiming uniform weights (a = sqrt 5) and zero bias."""
    linear = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5))
    nn.init.zeros_(linear.bias)
    return linear


def up_projection(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that is all zero, so that training starts at zero-shot CLIP."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class AdaptedBlock(nn.Module):
    """A frozen pre-LN block with sites for adapters::

        x = x + serial_attention(attn(ln_1(x))) + parallel_attention(ln_1(x))
        x = x + serial_mlp(mlp(ln_2(x)))        + parallel_mlp(ln_2(x)) + residual_mlp(x)

    Sites are plain callables, not submodules: a method owns its modules once, however many blocks share them.
    """

    def __init__(self, block: ResidualAttentionBlock, **sites: Site):
        super().__init__()
        if unknown := sites.keys() - set(SITES):
            raise ValueError(f"no such site in a residual block: {', '.join(sorted(unknown))}")
        self.block = block
        self.sites = {name: partial(_in_float32, site) for name, site in sites.items()}

    def get_weight_dtype(self) -> torch.dtype:
        return self.block.get_weight_dtype()

    def forward(  # (B, N, width) -> (B, N, width), with the block's own arguments
        self,
        q_x: torch.Tensor,
        k_x: torch.Tensor | None = None,
        v_x: torch.Tensor | None = None,
        attn_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        block, sites = self.block, self.sites

        # attention
        normed = block.ln_1(q_x)
        change = block.ls_1(block.attention(q_x=normed, attn_mask=attn_mask))
        x = q_x + (sites["serial_attention"](change) if "serial_attention" in sites else change)
        if "parallel_attention" in sites:
            x = x + sites["parallel_attention"](normed)

        # MLP
        normed = block.ln_2(x)
        change = block.ls_2(block.mlp(normed))
        if "serial_mlp" in sites:
            change = sites["serial_mlp"](change)
        if "parallel_mlp" in sites:
            change = change + sites["parallel_mlp"](normed)
        if "residual_mlp" in sites:
            change = change + sites["residual_mlp"](x)
        return x + change


def instances(towers: Mapping[str, nn.Module], sites: Sequence[str], shared: bool) -> list[dict[str, int]]:
    """For each adapter that these towers need, the widths it is used at, by modality.

    One adapter serves all sites of all layers, or one each of them; those of layers that only the deeper tower has are
    for that tower alone, so none has unused weights.
    """
    places = {modality: len(sites) * len(residual_blocks(tower)) for modality, tower in towers.items()}
    counts = dict.fromkeys(towers, 1) if shared else places
    widths = {modality: width_of(tower) for modality, tower in towers.items()}
    return [{m: width for m, width in widths.items() if i < counts[m]} for i in range(max(counts.values()))]


def install(adapters: Sequence[nn.Module], tower: nn.Module, sites: Sequence[str], **arguments: object) -> None:
    """Put adapters at these sites of every block of a tower, in the order in which the tower runs through them.

    Args:
        adapters: a single one for all, or one for each (:func:`instances`).
        tower: ``clip.visual`` or ``clip.text``; its blocks are replaced by :class:`AdaptedBlock`.
        sites: some of ``SITES``.
        arguments: passed to the adapters at each call, after their input.
    """
    blocks = residual_blocks(tower)
    for layer, block in enumerate(blocks):
        chosen = {}
        for place, site in enumerate(sites, start=layer * len(sites)):
            chosen[site] = partial(adapters[place % len(adapters)], **arguments)  # 0 for a single one
        blocks[layer] = AdaptedBlock(block, **chosen)


def _in_float32(site: Site, x: torch.Tensor) -> torch.Tensor:
    """Adapters stay in float32 if the backbone has lower precision."""
    return site(x.float()).to(x.dtype)
