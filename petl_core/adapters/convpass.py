"""Convpass: Convolutional Bypasses Are Better Vision Transformer Adapters (Jie, Deng, arXiv 2207.07039)."""

import torch
from open_clip.transformer import QuickGELU
from pydantic import PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn

from petl_core.adapters.base import STRICT, Method
from petl_core.adapters.layers import dropout, install, instances, up_projection

SITES = ("parallel_attention", "parallel_mlp")


@dataclass(frozen=True, config=STRICT)
class ConvpassOptions:
    """``shared=False`` gives every layer two instances, parallel to attention and to the MLP, as in the paper.

    The paper picks ``scale`` for each data set (VTAB-1k: 0.01 to 100); 1 is the released code's default.
    """

    bottleneck: PositiveInt = 64
    scale: PositiveFloat = 1.0
    shared: bool = True


class ConvolutionalBypass(nn.Module):
    """On a grid of H x W patches, with a = QuickGELU::

        h = a(down(x))                                    # (B, 1 + HW, bottleneck)
        h = a(conv(h))                                    # 3x3 on the grid; CLS separately, as a 1x1 image
        y = scale * up(dropout(h))                        # (B, 1 + HW, width), dropout 0.1 as released

    ``conv`` starts as the identity, ``up`` at zero: starts at y = 0.
    """

    def __init__(self, width: int, grid: tuple[int, int], options: ConvpassOptions):
        super().__init__()
        self.grid, self.scale = grid, options.scale
        self.down = nn.Linear(width, options.bottleneck)
        self.conv = nn.Conv2d(options.bottleneck, options.bottleneck, kernel_size=3, padding=1)
        self.up = up_projection(options.bottleneck, width)
        self.activation = QuickGELU()
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.zeros_(self.down.bias)
        nn.init.dirac_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, 1 + HW, width) -> (B, 1 + HW, width)
        h = self.activation(self.down(x)).transpose(1, 2)  # (B, bottleneck, 1 + HW)
        cls = self.conv(h[:, :, :1, None])  # (B, bottleneck, 1, 1)
        patches = self.conv(h[:, :, 1:].unflatten(2, self.grid))  # (B, bottleneck, H, W)
        h = torch.cat([cls.flatten(2), patches.flatten(2)], dim=2).transpose(1, 2)
        return self.scale * self.up(dropout(self.activation(h), 0.1, self.training))


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
        widths = instances({"visual": clip.visual}, SITES, options.shared)
        self.adapters = nn.ModuleList(
            ConvolutionalBypass(each["visual"], clip.visual.grid_size, options) for each in widths
        )
        install(self.adapters, clip.visual, SITES)
