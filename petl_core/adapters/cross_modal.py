"""Cross-Modal Adapter for Text-Video Retrieval (Jiang et al., arXiv 2211.09623, section 3)."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import gelu

from petl_core.adapters.base import Method
from petl_core.adapters.bottleneck import down_projection, up_projection
from petl_core.adapters.sites import adapter_widths, install
from petl_core.adapters.towers import towers
from petl_core.validation import ConfigError

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


class CrossModalBottleneck(nn.Module):
    """For modality m of width d_m::

        h = gelu(down_m(x))                                    # (B, N, bottleneck)
        y = x + concat(up_m(h), up_shared(h))                  # (B, N, d_m - share), (B, N, share)

    Starts at y = x.
    """

    def __init__(self, widths: dict[str, int], options: CrossModalOptions):
        super().__init__()
        r, share = options.bottleneck, options.share
        if share >= min(widths.values()):
            raise ConfigError(f"share {share} must be below the width of a tower ({min(widths.values())})")
        self.down = nn.ModuleDict({m: down_projection(d, r) for m, d in widths.items()})
        self.up = nn.ModuleDict({m: up_projection(r, d - share) for m, d in widths.items()})
        self.up_shared = up_projection(r, share)

    def forward(self, x: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, d_m) -> (B, N, d_m)
        h = gelu(self.down[modality](x))
        return x + torch.cat([self.up[modality](h), self.up_shared(h)], dim=-1)


class CrossModalAdapter(Method):
    """A bottleneck after attention and after the MLP of both towers; 163,168 parameters on ViT-B/32::

        x = x + adapter(attn(ln_1(x)))
        x = x + adapter(mlp(ln_2(x)))

    One instance serves both places of every layer. Published is 0.16M; ``share=64`` gives 161,088.
    The released code starts from normal weights of deviation 0.01; here the up-projections start at zero.
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
