"""Building blocks of bottleneck adapters and side networks."""

import math
from collections.abc import Callable

import torch
from torch import nn

from petl_core.errors import ConfigError


def down_projection(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with Kaiming uniform weights (a = sqrt 5) and zero bias."""
    linear = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5))
    nn.init.zeros_(linear.bias)
    return linear


def up_projection(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that is all zero, so that training starts at zero-shot CLIP."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Bottleneck(nn.Module):
    """``y = scale * up(dropout(activation(down(x))))``; starts at y = 0."""

    def __init__(
        self,
        width: int,
        bottleneck: int,
        activation: Callable[[torch.Tensor], torch.Tensor],
        dropout: float = 0.0,
        scale: float = 1.0,
    ):
        super().__init__()
        self.down = down_projection(width, bottleneck)
        self.up = up_projection(bottleneck, width)
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, N, width) -> (B, N, width)
        return self.scale * self.up(self.dropout(self.activation(self.down(x))))


class PartlySharedBottleneck(nn.Module):
    """Projections of both modalities, which write their last ``share`` dimensions through one up-projection.

    Args:
        widths: d_m of each modality m.
        bottleneck: width between the projections.
        share: output dimensions of the common up-projection.

    Raises:
        ConfigError: ``share`` is not below every width.
    """

    def __init__(self, widths: dict[str, int], bottleneck: int, share: int):
        super().__init__()
        narrowest = min(widths.values())
        if share >= narrowest:
            raise ConfigError(f"share {share} must be below the narrowest tower's width, {narrowest}")
        self.down = nn.ModuleDict({m: down_projection(d, bottleneck) for m, d in widths.items()})
        self.up = nn.ModuleDict({m: up_projection(bottleneck, d - share) for m, d in widths.items()})
        self.up_shared = up_projection(bottleneck, share)

    def project_up(self, h: torch.Tensor, modality: str) -> torch.Tensor:  # (B, N, bottleneck) -> (B, N, d_m)
        return torch.cat([self.up[modality](h), self.up_shared(h)], dim=-1)
