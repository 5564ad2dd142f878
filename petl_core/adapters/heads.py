"""Heads on frozen embeddings, for any two towers: linear probe, CLIP-Adapter."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import normalize

from petl_core.adapters.base import SideMethod


@dataclass(frozen=True)
class LinearProbeOptions:
    """The size of the probe."""

    width: int = 0  # of the joint space; 0 is twice the embedding's

    def __post_init__(self):
        if self.width < 0:
            raise ValueError("width must be at least 1, or 0 for twice the embedding's")


class LinearProbe(SideMethod):
    """A linear map of each tower's normalised embedding into a wider joint space::

        y_m = W_m x_m / |x_m| + b_m    # (B, d) -> (B, width)

    1,050,624 parameters on ViT-B/32, as in PE-RSITR's tables, which leave the layout open. Starts at
    zero-shot similarities: both W are one random matrix with orthonormal columns, and b = 0. (Zero-padded
    identities would do that too, but the padded dimensions would never train: a tower's gradient there comes
    from the other's zeros.) A width below d starts at a random projection instead.

    It does not fold into a tower's last projection: with x = P h the embedding would have to be W P h + b |P h|, which
    is linear in h only where b = 0.
    """

    title = "Linear probe"
    parameter_count = 1_050_624
    Options = LinearProbeOptions

    def __init__(self, clip: nn.Module, options: LinearProbeOptions):
        super().__init__(clip, options)
        embedding = clip.text.output_dim
        self.image = nn.Linear(embedding, options.width or 2 * embedding)
        self.text = nn.Linear(embedding, options.width or 2 * embedding)
        nn.init.orthogonal_(self.image.weight)
        self.text.load_state_dict(self.image.state_dict())
        for head in (self.image, self.text):
            nn.init.zeros_(head.bias)

    def image_from_taps(self, taps: torch.Tensor) -> torch.Tensor:
        return self.image(normalize(taps, dim=-1))

    def text_from_taps(self, taps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.text(normalize(taps, dim=-1))


@dataclass(frozen=True)
class CLIPAdapterOptions:
    """The ratio is that of the released code."""

    reduction: int = 2  # the bottleneck is this many times narrower than the embedding
    ratio: float = 0.2  # of the adapted embedding in the mix

    def __post_init__(self):
        if self.reduction < 1 or not 0 < self.ratio <= 1:
            raise ValueError("reduction must be at least 1, ratio in (0, 1]")


class CLIPAdapter(SideMethod):
    """CLIP-Adapter (Gao et al., IJCV 2024, section 3.2), a bottleneck on each tower's embedding::

        y_m = ratio * relu(U_m relu(D_m x_m)) + (1 - ratio) * x_m    # (B, d) -> (B, d / reduction) -> (B, d)

    524,288 parameters on ViT-B/32, as in PE-RSITR's tables, which leave the layout open. One tower adapted at reduction
    1 has the same count, and so has the released code (gaopengcuhk/CLIP-Adapter), with reduction 4 on the image
    embedding alone, which is 1,024 wide in its ResNet-50: 2 x 1,024 x 256. Two towers are our choice, since retrieval
    ranks in both directions.

    Starts near zero-shot CLIP, not at it: D and U are random.
    """

    title = "CLIP-Adapter"
    parameter_count = 524_288
    Options = CLIPAdapterOptions

    def __init__(self, clip: nn.Module, options: CLIPAdapterOptions):
        super().__init__(clip, options)
        self.ratio = options.ratio
        self.image = _bottleneck(clip.text.output_dim, options.reduction)
        self.text = _bottleneck(clip.text.output_dim, options.reduction)

    def image_from_taps(self, taps: torch.Tensor) -> torch.Tensor:
        return self._mix(self.image, taps)

    def text_from_taps(self, taps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self._mix(self.text, taps)

    def _mix(self, adapter: nn.Module, x: torch.Tensor) -> torch.Tensor:  # (B, d) -> (B, d)
        return self.ratio * adapter(x) + (1 - self.ratio) * x


def _bottleneck(width: int, reduction: int) -> nn.Sequential:
    """``relu(U relu(D x))``, without biases."""
    narrow = max(1, width // reduction)
    return nn.Sequential(
        nn.Linear(width, narrow, bias=False), nn.ReLU(), nn.Linear(narrow, width, bias=False), nn.ReLU()
    )
