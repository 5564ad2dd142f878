"""The pieces of which bottleneck adapters and side networks are made."""

import math
from collections.abc import Callable

import torch
from torch import nn


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
