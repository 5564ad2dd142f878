"""Bottlenecks of a tower's own in its blocks: Adapter (Houlsby) and AdaptFormer."""

from typing import Any

import torch
from pydantic import PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn.functional import gelu

from petl_core.adapters.base import STRICT, Method
from petl_core.adapters.layers import down_projection, dropout, install, instances, up_projection
from petl_core.adapters.towers import Which, towers


@dataclass(frozen=True, config=STRICT)
class BottleneckOptions:
    """``shared=False`` gives every site of every layer its own instance, as in the methods' own papers."""

    bottleneck: PositiveInt = 64
    shared: bool = True
    towers: Which = "both"


class SerialBottleneck(nn.Module):
    """``y = h + up(gelu(down(h)))``; starts at y = h."""

    def __init__(self, width: int, options: BottleneckOptions):
        super().__init__()
        self.down = down_projection(width, options.bottleneck)
        self.up = up_projection(options.bottleneck, width)

    def forward(self, h: torch.Tensor) -> torch.Tensor:  # (B, N, width) -> (B, N, width)
        return h + self.up(gelu(self.down(h)))


class PerTowerMethod(Method):
    """Adapters of each tower's own, at ``sites`` of every block; subclasses say which."""

    Bottleneck: type[nn.Module]  # (width, options), called with x
    sites: tuple[str, ...]

    def __init__(self, clip: nn.Module, options: Any):
        super().__init__(clip, options)
        self.adapters = nn.ModuleDict()
        for modality, tower in towers(clip, options.towers).items():
            widths = instances({modality: tower}, self.sites, options.shared)
            self.adapters[modality] = nn.ModuleList(self.Bottleneck(each[modality], options) for each in widths)
            install(self.adapters[modality], tower, self.sites)


class HoulsbyAdapter(PerTowerMethod):
    """Adapter (Houlsby et al., ICML 2019, section 2.1): a bottleneck after attention and after the MLP::

        x = x + adapter(attn(ln_1(x)))
        x = x + adapter(mlp(ln_2(x)))

    One instance per tower serves both places of every layer: 165,248 parameters on ViT-B/32. PE-RSITR's tables give
    only the count, and one instance in a single place would have the same: two places are our choice, as in the paper.
    The paper starts near the identity (normal weights of standard deviation 0.01); here the up-projection starts at
    zero, and so exactly at the identity.
    """

    title = "Adapter"
    parameter_count = 165_248
    Options = BottleneckOptions
    Bottleneck = SerialBottleneck
    sites = ("serial_attention", "serial_mlp")


@dataclass(frozen=True, config=STRICT)
class AdaptFormerOptions(BottleneckOptions):
    """The scale is the released code's."""

    scale: PositiveFloat = 0.1


class ParallelBottleneck(nn.Module):
    """``y = scale * up(dropout(relu(down(x))))``, dropout 0.1 as released; starts at y = 0."""

    def __init__(self, width: int, options: AdaptFormerOptions):
        super().__init__()
        self.down = down_projection(width, options.bottleneck)
        self.up = up_projection(options.bottleneck, width)
        self.scale = options.scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, N, width) -> (B, N, width)
        return self.scale * self.up(dropout(torch.relu(self.down(x)), 0.1, self.training))


class AdaptFormer(PerTowerMethod):
    """AdaptFormer (Chen et al., NeurIPS 2022): a scaled bottleneck parallel to the MLP::

        x = x + mlp(ln_2(x)) + scale * up(dropout(relu(down(x))))

    One instance per tower serves every layer: 165,248 parameters on ViT-B/32. Its input is the residual stream after
    attention, without LayerNorm, as in the released code. The paper adapts vision only.
    """

    title = "AdaptFormer"
    parameter_count = 165_248
    Options = AdaptFormerOptions
    Bottleneck = ParallelBottleneck
    sites = ("residual_mlp",)
