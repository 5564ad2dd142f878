"""MRS-Adapter: the multi-modal remote-sensing adapter of PE-RSITR (Yuan, Zhan, Xiong, TGRS 2023, section III-B)."""

from dataclasses import dataclass

import torch
from torch import nn

from petl_core.adapters.base import Method
from petl_core.adapters.bottleneck import PartlySharedBottleneck
from petl_core.adapters.sites import adapter_widths, install
from petl_core.adapters.towers import towers

SITES = ("residual_mlp",)


@dataclass(frozen=True)
class MRSOptions:
    """Sizes as released; ``shared=False`` gives every layer its own instance."""

    bottleneck: int = 64
    share: int = 64  # output dimensions that both modalities write through one up-projection
    dropout: float = 0.5
    shared: bool = True

    def __post_init__(self):
        if self.bottleneck < 1 or self.share < 1 or not 0 <= self.dropout < 1:
            raise ValueError("bottleneck and share must be at least 1, dropout in [0, 1)")


class MRSBottleneck(PartlySharedBottleneck):
    """For modality m of width d_m::

        h = dropout(relu(down_m(x)))                      # (B, N, bottleneck)
        y = concat(up_m(h), up_shared(h))                 # (B, N, d_m - share), (B, N, share)

    Starts at y = 0.
    """

    def __init__(self, widths: dict[str, int], options: MRSOptions):
        super().__init__(widths, options.bottleneck, options.share)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, x: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, d_m) -> (B, N, d_m)
        h = self.dropout(torch.relu(self.down[modality](x)))
        return self.project_up(h, modality)


class MRSAdapter(Method):
    """One bottleneck parallel to the MLP of every block of both towers; 161,088 parameters on ViT-B/32.

    Its input is the residual stream after attention, without LayerNorm.
    """

    title = "MRS-Adapter"
    parameter_count = 161_088
    Options = MRSOptions

    def __init__(self, clip: nn.Module, options: MRSOptions):
        super().__init__(clip, options)
        self.adapters = nn.ModuleList(
            MRSBottleneck(widths, options) for widths in adapter_widths(clip, SITES, options.shared)
        )
        for modality, tower in towers(clip).items():
            install(self.adapters, tower, SITES, modality=modality)
