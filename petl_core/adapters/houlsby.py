"""Adapter: Parameter-Efficient Transfer Learning for NLP (Houlsby et al., ICML 2019, section 2.1)."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn.functional import gelu

from petl_core.adapters.base import Method
from petl_core.adapters.blocks import Site, adapt_blocks, resblocks, width
from petl_core.adapters.bottleneck import Bottleneck, towers


@dataclass(frozen=True)
class HoulsbyOptions:
    """``shared=False`` gives every layer two, after attention and after the MLP, as in the paper."""

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

    One instance a tower serves both places of every layer. The paper starts near the identity (normal weights
    of standard deviation 0.01); here the up-projection starts at zero, so it starts at the identity.
    """

    Options = HoulsbyOptions

    def __init__(self, clip: nn.Module, options: HoulsbyOptions):
        super().__init__(clip, options)
        self.adapters = nn.ModuleDict()
        for modality, tower in towers(clip).items():
            instances = 1 if options.shared else 2 * len(resblocks(tower))
            self.adapters[modality] = nn.ModuleList(
                SerialBottleneck(width(tower), options.bottleneck) for _ in range(instances)
            )
            adapt_blocks(tower, partial(self._sites, modality))

    def _sites(self, modality: str, layer: int) -> dict[str, Site]:
        adapters = self.adapters[modality]
        return {
            "serial_attention": adapters[2 * layer % len(adapters)],
            "serial_mlp": adapters[(2 * layer + 1) % len(adapters)],
        }
