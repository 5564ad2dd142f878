"""The pieces of which bottleneck adapters are made."""

import math
from collections.abc import Callable

import torch
from torch import nn

from petl_core.adapters.blocks import resblocks, width


def down_projection(inputs: int, outputs: int) -> nn.Linear:
    """Kaiming uniform (a = sqrt 5), zero bias."""
    linear = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5))
    nn.init.zeros_(linear.bias)
    return linear


def up_projection(inputs: int, outputs: int) -> nn.Linear:
    """All zero, so that training starts at zero-shot CLIP."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Bottleneck(nn.Module):
    """``y = scale * up(dropout(activation(down(x))))``; starts at y = 0."""

    def __init__(self, width: int, bottleneck: int, activation: Callable, dropout=0.0, scale=1.0):
        super().__init__()
        self.down = down_projection(width, bottleneck)
        self.up = up_projection(bottleneck, width)
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, N, width) -> (B, N, width)
        return self.scale * self.up(self.dropout(self.activation(self.down(x))))


def towers(clip: nn.Module) -> dict[str, nn.Module]:
    """Both towers by modality."""
    return {"visual": clip.visual, "text": clip.text}


def instance_widths(clip: nn.Module, shared: bool) -> list[dict[str, int]]:
    """Widths by modality of what each instance of a two-modality adapter serves: all layers, or one layer.

    The layers that only the deeper tower has serve it alone, so no instance holds a weight without a use.
    """
    widths = {modality: width(tower) for modality, tower in towers(clip).items()}
    if shared:
        return [widths]
    depths = {modality: len(resblocks(tower)) for modality, tower in towers(clip).items()}
    return [{m: d for m, d in widths.items() if layer < depths[m]} for layer in range(max(depths.values()))]
