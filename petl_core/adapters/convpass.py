"""Convpass: Convolutional Bypasses Are Better Vision Transformer Adapters (Jie, Deng, arXiv 2207.07039)."""

from dataclasses import dataclass

import torch
from open_clip.transformer import QuickGELU
from torch import nn

from petl_core.adapters.base import Method
from petl_core.adapters.bottleneck import up_projection
from petl_core.adapters.sites import adapter_count, install
from petl_core.adapters.towers import width_of

SITES = ("parallel_attention", "parallel_mlp")


@dataclass(frozen=True)
class ConvpassOptions:
    """``shared=False`` gives every layer two instances, parallel to attention and to the MLP, as in the paper.

    The paper picks ``scale`` for each data set (VTAB-1k: 0.01 to 100); 1 is the released code's default.
    """

    bottleneck: int = 64
    scale: float = 1.0
    dropout: float = 0.1
    shared: bool = True

    def __post_init__(self):
        if self.bottleneck < 1 or not 0 <= self.dropout < 1 or not self.scale > 0:
            raise ValueError("bottleneck must be at least 1, dropout in [0, 1), scale positive")


class ConvolutionalBypass(nn.Module):
    """On a grid of H x W patches, with a = QuickGELU::

        h = a(down(x))                                    # (B, 1 + HW, bottleneck)
        h = a(conv(h))                                    # 3x3 on the grid; CLS separately, as a 1x1 image
        y = scale * up(dropout(h))                        # (B, 1 + HW, width)

    ``conv`` starts as the identity, ``up`` at zero: starts at y = 0.
    """

    def __init__(self, width: int, grid: tuple[int, int], options: ConvpassOptions):
        super().__init__()
        self.grid = grid
        self.scale = options.scale
        self.down = nn.Linear(width, options.bottleneck)
        self.conv = nn.Conv2d(options.bottleneck, options.bottleneck, kernel_size=3, padding=1)
        self.up = up_projection(options.bottleneck, width)
        self.activation = QuickGELU()
        self.dropout = nn.Dropout(options.dropout)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.zeros_(self.down.bias)
        nn.init.dirac_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, 1 + HW, width) -> (B, 1 + HW, width)
        h = self.activation(self.down(x)).transpose(1, 2)  # (B, bottleneck, 1 + HW)
        cls = self.conv(h[:, :, :1, None])  # (B, bottleneck, 1, 1)
        patches = self.conv(h[:, :, 1:].unflatten(2, self.grid))  # (B, bottleneck, H, W)
        h = torch.cat([cls.flatten(2), patches.flatten(2)], dim=2).transpose(1, 2)
        return self.scale * self.up(self.dropout(self.activation(h)))


class Convpass(Method):
    """A convolutional bypass parallel to attention and to the MLP; 136,064 parameters on ViT-B/32::

        x = x + attn(ln_1(x)) + bypass(ln_1(x))
        x = x + mlp(ln_2(x))  + bypass(ln_2(x))

    One instance serves both places of every layer. Vision only.
    """

    title = "Convpass"
    parameter_count = 136_064
    Options = ConvpassOptions

    def __init__(self, clip: nn.Module, options: ConvpassOptions):
        super().__init__(clip, options)
        self.adapters = nn.ModuleList(
            ConvolutionalBypass(width_of(clip.visual), clip.visual.grid_size, options)
            for _ in range(adapter_count(clip.visual, SITES, options.shared))
        )
        install(self.adapters, clip.visual, SITES)
