"""UniAdapter: Unified Parameter-Efficient Transfer Learning for Cross-modal Modeling (Lu et al., ICLR'24)."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import linear

from petl_core.adapters.base import Method
from petl_core.adapters.bottleneck import down_projection, up_projection
from petl_core.adapters.sites import adapter_widths, install
from petl_core.adapters.towers import towers

SITES = ("residual_mlp",)


@dataclass(frozen=True)
class UniAdapterOptions:
    """``shared=False`` gives every layer its own instance, as in the paper (its bottleneck is 512)."""

    bottleneck: int = 268
    scale: float = 0.1
    layer_norm: bool = True  # of the input, as in the released code
    shared: bool = True

    def __post_init__(self):
        if self.bottleneck < 1 or not self.scale > 0:
            raise ValueError("bottleneck must be at least 1, scale positive")


class UnifiedBottleneck(nn.Module):
    """For modality m of width d_m, with LN_m(x) zero-padded to the wider tower::

        y = scale * up_m(relu(down(LN_m(x))))             # (B, N, d_m)

    Starts at y = 0. Padding the input means leaving out the columns of ``down`` that would meet zeros.
    """

    def __init__(self, widths: dict[str, int], options: UniAdapterOptions):
        super().__init__()
        self.scale = options.scale
        norm = nn.LayerNorm if options.layer_norm else nn.Identity
        self.norms = nn.ModuleDict({m: norm(d) for m, d in widths.items()})
        self.down = down_projection(max(widths.values()), options.bottleneck)
        self.up = nn.ModuleDict({m: up_projection(options.bottleneck, d) for m, d in widths.items()})

    def forward(self, x: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, d_m) -> (B, N, d_m)
        x = self.norms[modality](x)
        h = torch.relu(linear(x, self.down.weight[:, : x.shape[-1]], self.down.bias))  # (B, N, bottleneck)
        return self.scale * self.up[modality](h)


class UniAdapter(Method):
    """A bottleneck parallel to the MLP of both towers, with one down-projection for both modalities::

        x = x + mlp(ln_2(x)) + scale * up_m(relu(down(LN_m(x))))

    Its input is the residual stream after attention.

    Our reading of PE-RSITR's tables, which give only the name and 0.55M: one instance serves all layers. With
    L(i, o) = i o + o, a bottleneck of r has L(768, r) + L(r, 768) + L(r, 512) = 2,049 r + 1,280 parameters on
    ViT-B/32, and 2 (768 + 512) in its LayerNorms; the default r = 268 gives 552,972, and 550,412 without them.

    The paper adapts BLIP, whose encoders are equally wide and feed a cross-modal one. CLIP's differ in width, hence the
    padding and a LayerNorm for each modality, where the released code (RERV/UniAdapter) has a single one; and CLIP has
    no use for a cross-modal up-projection. The visual up-projection starts at zero, like the textual one.
    """

    title = "UniAdapter"
    parameter_count = 552_972
    Options = UniAdapterOptions

    def __init__(self, clip: nn.Module, options: UniAdapterOptions):
        super().__init__(clip, options)
        self.adapters = nn.ModuleList(
            UnifiedBottleneck(widths, options) for widths in adapter_widths(clip, SITES, options.shared)
        )
        for modality, tower in towers(clip).items():
            install(self.adapters, tower, SITES, modality=modality)
