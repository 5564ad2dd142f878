"""Where an adapter can meet a residual block of open_clip."""

from collections.abc import Callable
from functools import partial

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import nn

from petl_core.validation import ConfigError

Site = Callable[[torch.Tensor], torch.Tensor]  # (B, N, width) -> (B, N, width)


class AdaptedBlock(nn.Module):
    """A frozen pre-LN block with sites for adapters::

        x = x + serial_attention(attn(ln_1(x))) + parallel_attention(ln_1(x))
        x = x + serial_mlp(mlp(ln_2(x)))        + parallel_mlp(ln_2(x)) + residual_mlp(x)

    Sites are plain callables, not submodules: a method owns its modules once, however many blocks share them.
    Keeps the block's signature, so open_clip runs it unaware.
    """

    def __init__(self, block: ResidualAttentionBlock, **sites: Site):
        super().__init__()
        self.block = block
        self.sites = {name: partial(_in_float32, site) for name, site in sites.items()}
        unknown = set(sites) - {
            "serial_attention",
            "parallel_attention",
            "serial_mlp",
            "parallel_mlp",
            "residual_mlp",
        }
        if unknown:
            raise ValueError(f"no such site in a residual block: {', '.join(sorted(unknown))}")

    def get_weight_dtype(self) -> torch.dtype:
        return self.block.get_weight_dtype()

    def forward(self, q_x, k_x=None, v_x=None, attn_mask=None):  # (B, N, width) -> (B, N, width)
        block, sites = self.block, self.sites
        normed = block.ln_1(q_x)
        change = block.ls_1(block.attention(q_x=normed, attn_mask=attn_mask))
        if "serial_attention" in sites:
            change = sites["serial_attention"](change)
        x = q_x + change
        if "parallel_attention" in sites:
            x = x + sites["parallel_attention"](normed)

        normed = block.ln_2(x)
        change = block.ls_2(block.mlp(normed))
        if "serial_mlp" in sites:
            change = sites["serial_mlp"](change)
        if "parallel_mlp" in sites:
            change = change + sites["parallel_mlp"](normed)
        if "residual_mlp" in sites:
            change = change + sites["residual_mlp"](x)
        return x + change


def adapt_blocks(tower: nn.Module, sites_of: Callable[[int], dict[str, Site]]) -> None:
    """Wrap every block ``i`` of ``tower`` (``clip.visual`` or ``clip.text``) with the sites ``sites_of(i)``."""
    blocks = resblocks(tower)
    for i, block in enumerate(blocks):
        blocks[i] = AdaptedBlock(block, **sites_of(i))


def resblocks(tower: nn.Module) -> nn.ModuleList:
    """The tower's residual blocks.

    Raises:
        ConfigError: for a tower that is not built of open_clip's own blocks.
    """
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    if blocks is None or not all(isinstance(block, ResidualAttentionBlock) for block in blocks):
        raise ConfigError(
            f"this method adapts open_clip's residual blocks, and {type(tower).__name__} has none; "
            "choose a method that works on embeddings or on tapped tokens"
        )
    return blocks


def width(tower: nn.Module) -> int:
    """Width of the tower's tokens."""
    resblocks(tower)
    return tower.transformer.width


def _in_float32(site: Site, x: torch.Tensor) -> torch.Tensor:
    """Adapters stay in float32 beside a backbone of lower precision."""
    return site(x.float()).to(x.dtype)
