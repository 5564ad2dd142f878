"""Adapter: Parameter-Efficient Transfer Learning for NLP (Houlsby et al., ICML 2019, section 2.1)."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import gelu

from petl_core.adapters.base import Method
from petl_core.adapters.bottleneck import Bottleneck
from petl_core.adapters.sites import adapter_count, install
from petl_core.adapters.towers import towers, width_of

SITES = ("serial_attention", "serial_mlp")


@dataclass(frozen=True)
class HoulsbyOptions:
    """``shared=False`` gives every layer two instances, after attention and after the MLP, as in the paper."""

    bottleneck: int = 64
    shared: bool = True

    def __post_init__(self):
        if self.bottleneck < 1:
            raise ValueError("bottleneck must be at least 1")


class SerialBottleneck(Bottleneck):
    """``y = h + up(gelu(down(h)))``; starts at y = h."""

    def __init__(self, width: int, bottleneck: int):
        super().__init__(width, bottleneck, gelu)

    def forward(self, h: torch.Tensor) -> torch.Tensor:  # (B, N, width) -> (B, N, width)
        return h + super().forward(h)


class HoulsbyAdapter(Method):
    """A bottleneck after attention and after the MLP, inside the residual; 165,248 parameters on ViT-B/32::

        x = x + adapter(attn(ln_1(x)))
        x = x + adapter(mlp(ln_2(x)))

    One instance per tower serves both places of every layer. PE-RSITR's tables give only the count, and one instance
    in a single place, after attention or after the MLP, would have the same: two places are our choice, as in the
    paper. The paper starts near the identity (normal weights of standard deviation 0.01); here the up-projection starts
    at zero, and so exactly at the identity.
    """

    title = "Adapter"
    parameter_count = 165_248
    Options = HoulsbyOptions

    def __init__(self, clip: nn.Module, options: HoulsbyOptions):
        super().__init__(clip, options)
        self.adapters = nn.ModuleDict()
        for modality, tower in towers(clip).items():
            self.adapters[modality] = nn.ModuleList(
                SerialBottleneck(width_of(tower), options.bottleneck)
                for _ in range(adapter_count(tower, SITES, options.shared))
            )
            install(self.adapters[modality], tower, SITES)
