"""Cross-Modal Adapter for Text-Video Retrieval (Jiang et al., arXiv 2211.09623, section 3)."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import gelu

from petl_core.adapters.base import Method
from petl_core.adapters.bottleneck import PartlySharedBottleneck
from petl_core.adapters.sites import adapter_widths, install
from petl_core.adapters.towers import towers

SITES = ("serial_attention", "serial_mlp")


@dataclass(frozen=True)
class CrossModalOptions:
    """``shared=False`` gives every layer two instances, after attention and after the MLP, as in the paper.

    ``share`` is the released code's default, 32 of the 512 or 768 output dimensions (its bottleneck is 8).
    """

    bottleneck: int = 64
    share: int = 32  # output dimensions that both modalities write through one up-projection
    shared: bool = True

    def __post_init__(self):
        if self.bottleneck < 1 or self.share < 1:
            raise ValueError("bottleneck and share must be at least 1")


class CrossModalBottleneck(PartlySharedBottleneck):
    """For modality m of width d_m::

        h = gelu(down_m(x))                                    # (B, N, bottleneck)
        y = x + concat(up_m(h), up_shared(h))                  # (B, N, d_m - share), (B, N, share)

    Starts at y = x.
    """

    def __init__(self, widths: dict[str, int], options: CrossModalOptions):
        super().__init__(widths, options.bottleneck, options.share)

    def forward(self, x: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, d_m) -> (B, N, d_m)
        return x + self.project_up(gelu(self.down[modality](x)), modality)


class CrossModalAdapter(Method):
    """A bottleneck after attention and after the MLP of both towers; 163,168 parameters on ViT-B/32::

        x = x + adapter(attn(ln_1(x)))
        x = x + adapter(mlp(ln_2(x)))

    One instance serves both places of every layer. The published count is 0.16M; ``share=64`` gives 161,088.
    The released code starts from normal weights of standard deviation 0.01; here the up-projections start at zero.
    """

    title = "Cross-Modal Adapter"
    parameter_count = 163_168
    Options = CrossModalOptions

    def __init__(self, clip: nn.Module, options: CrossModalOptions):
        super().__init__(clip, options)
        self.adapters = nn.ModuleList(
            CrossModalBottleneck(widths, options) for widths in adapter_widths(clip, SITES, options.shared)
        )
        for modality, tower in towers(clip).items():
            install(self.adapters, tower, SITES, modality=modality)
