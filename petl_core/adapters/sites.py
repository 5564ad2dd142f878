"""Where adapters enter the residual blocks of open_clip, and how many of them a tower needs."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import nn

from petl_core.adapters.towers import residual_blocks, towers, width_of

ALL_SITES = ("serial_attention", "parallel_attention", "serial_mlp", "parallel_mlp", "residual_mlp")


class AdaptedBlock(nn.Module):
    """A frozen pre-LN block with sites for adapters::

        x = x + serial_attention(attn(ln_1(x))) + parallel_attention(ln_1(x))
        x = x + serial_mlp(mlp(ln_2(x)))        + parallel_mlp(ln_2(x)) + residual_mlp(x)

    Sites are plain callables, (B, N, width) -> (B, N, width), not submodules: a method owns its modules once, however
    many blocks share them. Keeps the block's signature, so open_clip runs it like the original.
    """

    def __init__(self, block: ResidualAttentionBlock, **sites: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        unknown = set(sites) - set(ALL_SITES)
        if unknown:
            raise ValueError(f"no such site in a residual block: {', '.join(sorted(unknown))}")
        self.block = block
        self.sites = {name: partial(_in_float32, site) for name, site in sites.items()}

    def get_weight_dtype(self) -> torch.dtype:
        return self.block.get_weight_dtype()

    def forward(  # (B, N, width) -> (B, N, width)
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
        if "serial_attention" in sites:
            change = sites["serial_attention"](change)
        x = q_x + change
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


def adapter_count(tower: nn.Module, sites: Sequence[str], shared: bool) -> int:
    """How many adapters serve these sites of a tower: one for all, or one for each site of each layer."""
    layers = len(residual_blocks(tower))
    return 1 if shared else layers * len(sites)


def adapter_widths(clip: nn.Module, sites: Sequence[str], shared: bool) -> list[dict[str, int]]:
    """For each of the adapters that serve both towers together, the widths it is used at, by modality.

    Adapters of layers that only the deeper tower has are for that tower alone, so none has unused weights.
    """
    counts = {modality: adapter_count(tower, sites, shared) for modality, tower in towers(clip).items()}
    widths = {modality: width_of(tower) for modality, tower in towers(clip).items()}
    return [{m: width for m, width in widths.items() if i < counts[m]} for i in range(max(counts.values()))]


def install(adapters: Sequence[nn.Module], tower: nn.Module, sites: Sequence[str], **arguments: object) -> None:
    """Put adapters at these sites of every block of a tower, in the order in which the tower runs through them.

    Args:
        adapters: a single one, which serves every site of every layer, or one for each (:func:`adapter_count`).
        tower: ``clip.visual`` or ``clip.text``; its blocks are replaced by :class:`AdaptedBlock`.
        sites: some of ``ALL_SITES``.
        arguments: passed to the adapters at each call, after their input.
    """
    blocks = residual_blocks(tower)
    for layer, block in enumerate(blocks):
        chosen = {}
        for place, site in enumerate(sites, start=layer * len(sites)):
            adapter = adapters[place % len(adapters)]  # 0 for a single one
            chosen[site] = partial(adapter, **arguments)
        blocks[layer] = AdaptedBlock(block, **chosen)


def _in_float32(site: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Adapters stay in float32 if the backbone has lower precision."""
    return site(x.float()).to(x.dtype)
