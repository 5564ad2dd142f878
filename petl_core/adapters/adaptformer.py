"""AdaptFormer: Adapting Vision Transformers for Scalable Visual Recognition (Chen et al., NeurIPS 2022)."""

from dataclasses import dataclass

import torch
from torch import nn

from petl_core.adapters.base import Method
from petl_core.adapters.bottleneck import Bottleneck
from petl_core.adapters.sites import adapter_count, install
from petl_core.adapters.towers import towers, width_of

SITES = ("residual_mlp",)


@dataclass(frozen=True)
class AdaptFormerOptions:
    """As released; ``shared=False`` gives every layer its own instance, as in the paper."""

    bottleneck: int = 64
    scale: float = 0.1
    dropout: float = 0.1
    shared: bool = True

    def __post_init__(self):
        if self.bottleneck < 1 or not 0 <= self.dropout < 1 or not self.scale > 0:
            raise ValueError("bottleneck must be at least 1, dropout in [0, 1), scale positive")


class AdaptFormer(Method):
    """A scaled bottleneck parallel to the MLP; 165,248 parameters on ViT-B/32::

        x = x + mlp(ln_2(x)) + scale * up(dropout(relu(down(x))))

    One instance per tower serves every layer. Its input is the residual stream after attention, without
    LayerNorm, as in the released code. The paper adapts vision only.
    """

    title = "AdaptFormer"
    parameter_count = 165_248
    Options = AdaptFormerOptions

    def __init__(self, clip: nn.Module, options: AdaptFormerOptions):
        super().__init__(clip, options)
        self.adapters = nn.ModuleDict()
        for modality, tower in towers(clip).items():
            self.adapters[modality] = nn.ModuleList(
                Bottleneck(width_of(tower), options.bottleneck, torch.relu, options.dropout, options.scale)
                for _ in range(adapter_count(tower, SITES, options.shared))
            )
            install(self.adapters[modality], tower, SITES)
