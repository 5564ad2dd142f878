"""Bottlenecks that the two towers share in part: MRS-Adapter, Cross-Modal Adapter, UniAdapter."""

from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn.functional import gelu, linear

from petl_core.adapters.base import STRICT, Method
from petl_core.adapters.bottleneck import BottleneckOptions
from petl_core.adapters.layers import down_projection, dropout, install, instances, up_projection
from petl_core.adapters.towers import towers
from petl_core.errors import ConfigError


@dataclass(frozen=True, config=STRICT)
class MRSOptions(BottleneckOptions):
    """Sizes as released; ``share=0`` couples the towers in nothing."""

    share: NonNegativeInt = 64  # output dimensions that both modalities write through one up-projection


class PartlySharedBottleneck(nn.Module):
    """For modality m of width d_m, projections down and up, the last ``share`` dimensions through one for both::

        h = down_m(x)                                     # (B, N, bottleneck)
        y = concat(up_m(h), up_shared(h))                 # (B, N, d_m - share), (B, N, share)

    Raises:
        ConfigError: ``share`` is not below every width.
    """

    def __init__(self, widths: dict[str, int], options: MRSOptions):
        super().__init__()
        bottleneck, share, narrowest = options.bottleneck, options.share, min(widths.values())
        if share >= narrowest:
            raise ConfigError(f"share {share} must be below the narrowest tower's width, {narrowest}")
        self.down = nn.ModuleDict({m: down_projection(d, bottleneck) for m, d in widths.items()})
        self.up = nn.ModuleDict({m: up_projection(bottleneck, d - share) for m, d in widths.items()})
        self.up_shared = up_projection(bottleneck, share) if share else None

    def project_up(self, h: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, bottleneck) -> (B, N, d_m)
        own = self.up[modality](h)
        return torch.cat([own, self.up_shared(h)], dim=-1) if self.up_shared else own


class TwoTowerMethod(Method):
    """Adapters that serve both towers together, at ``sites`` of every block; subclasses say which."""

    Bottleneck: type[nn.Module]  # (widths by modality, options), called with (x, modality)
    sites: tuple[str, ...]

    def __init__(self, clip: nn.Module, options: Any):
        super().__init__(clip, options)
        adapted = towers(clip, options.towers)
        widths = instances(adapted, self.sites, options.shared)
        self.adapters = nn.ModuleList(self.Bottleneck(each, options) for each in widths)
        for modality, tower in adapted.items():
            install(self.adapters, tower, self.sites, modality=modality)


class MRSBottleneck(PartlySharedBottleneck):
    """For modality m of width d_m::

        h = dropout(relu(down_m(x)))                      # (B, N, bottleneck), dropout 0.5 as released
        y = concat(up_m(h), up_shared(h))                 # (B, N, d_m - share), (B, N, share)

    Starts at y = 0.
    """

    def forward(self, x: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, d_m) -> (B, N, d_m)
        h = dropout(torch.relu(self.down[modality](x)), 0.5, self.training)
        return self.project_up(h, modality)


class MRSAdapter(TwoTowerMethod):
    """MRS-Adapter of PE-RSITR (Yuan, Zhan, Xiong, TGRS 2023, section III-B): a bottleneck parallel to the MLP::

        x = x + mlp(ln_2(x)) + adapter_m(x)

    One instance serves every block of both towers: 161,088 parameters on ViT-B/32. Its input is the residual stream
    after attention, without LayerNorm.
    """

    title = "MRS-Adapter"
    parameter_count = 161_088
    Options = MRSOptions
    Bottleneck = MRSBottleneck
    sites = ("residual_mlp",)


@dataclass(frozen=True, config=STRICT)
class CrossModalOptions(MRSOptions):
    """``share`` is the released code's, 32 of the 512 or 768 output dimensions (its bottleneck is 8)."""

    share: NonNegativeInt = 32


class CrossModalBottleneck(PartlySharedBottleneck):
    """For modality m of width d_m::

        h = gelu(down_m(x))                               # (B, N, bottleneck)
        y = x + concat(up_m(h), up_shared(h))             # (B, N, d_m - share), (B, N, share)

    Starts at y = x.
    """

    def forward(self, x: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, d_m) -> (B, N, d_m)
        return x + self.project_up(gelu(self.down[modality](x)), modality)


class CrossModalAdapter(TwoTowerMethod):
    """Cross-Modal Adapter (Jiang et al., arXiv 2211.09623, section 3): a bottleneck after attention and after the MLP::

        x = x + adapter_m(attn(ln_1(x)))
        x = x + adapter_m(mlp(ln_2(x)))

    One instance serves both places of every layer: 163,168 parameters on ViT-B/32. The published count is 0.16M;
    ``share=64`` gives 161,088. The released code starts from normal weights of standard deviation 0.01; here the
    up-projections start at zero.
    """

    title = "Cross-Modal Adapter"
    parameter_count = 163_168
    Options = CrossModalOptions
    Bottleneck = CrossModalBottleneck
    sites = ("serial_attention", "serial_mlp")


@dataclass(frozen=True, config=STRICT)
class UniAdapterOptions(BottleneckOptions):
    """The paper's bottleneck is 512, in every layer."""

    bottleneck: PositiveInt = 268
    scale: PositiveFloat = 0.1


class UnifiedBottleneck(nn.Module):
    """For modality m of width d_m, with LN_m(x) zero-padded to the wider tower::

        y = scale * up_m(relu(down(LN_m(x))))             # (B, N, d_m)

    Starts at y = 0. Padding the input means leaving out the columns of ``down`` that would meet zeros.
    """

    def __init__(self, widths: dict[str, int], options: UniAdapterOptions):
        super().__init__()
        self.scale = options.scale
        self.norms = nn.ModuleDict({m: nn.LayerNorm(d) for m, d in widths.items()})
        self.down = down_projection(max(widths.values()), options.bottleneck)
        self.up = nn.ModuleDict({m: up_projection(options.bottleneck, d) for m, d in widths.items()})

    def forward(self, x: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, d_m) -> (B, N, d_m)
        x = self.norms[modality](x)
        h = torch.relu(linear(x, self.down.weight[:, : x.shape[-1]], self.down.bias))  # (B, N, bottleneck)
        return self.scale * self.up[modality](h)


class UniAdapter(TwoTowerMethod):
    """UniAdapter (Lu et al., ICLR 2024): a bottleneck parallel to the MLP, one down-projection for both modalities::

        x = x + mlp(ln_2(x)) + scale * up_m(relu(down(LN_m(x))))

    Its input is the residual stream after attention.

    Our reading of PE-RSITR's tables, which give only the name and 0.55M: one instance serves all layers. With
    L(i, o) = i o + o, a bottleneck of r has L(768, r) + L(r, 768) + L(r, 512) = 2,049 r + 1,280 parameters on
    ViT-B/32, and 2 (768 + 512) in its LayerNorms; the default r = 268 gives 552,972.

    The paper adapts BLIP, whose encoders are equally wide and feed a cross-modal one. CLIP's differ in width, hence the
    padding and a LayerNorm for each modality, where the released code (RERV/UniAdapter) has a single one; and CLIP has
    no use for a cross-modal up-projection. The visual up-projection starts at zero, like the textual one.
    """

    title = "UniAdapter"
    parameter_count = 552_972
    Options = UniAdapterOptions
    Bottleneck = UnifiedBottleneck
    sites = ("residual_mlp",)
