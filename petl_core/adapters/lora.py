"""LoRA: low-rank changes of the attention weights (Hu et al., ICLR 2022, section 4)."""

import math
from collections.abc import Callable

import torch
from pydantic import PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn.utils import parametrize

from petl_core.adapters.base import STRICT, Method
from petl_core.adapters.towers import residual_blocks, towers, width_of


@dataclass(frozen=True, config=STRICT)
class LoRAOptions:
    """How large a change of the weights can be."""

    rank: PositiveInt = 4
    alpha: PositiveFloat = 4.0  # the change is scaled by alpha / rank


class LowRank(nn.Module):
    """The change of one block's packed projection [W_q; W_k; W_v], (3 * width, width)::

        W_m + alpha / rank * B_m A_m    for m in q, v; A_m (rank, width), B_m (width, rank)

    Starts at no change: A is Kaiming uniform, B = 0.
    """

    def __init__(self, width: int, options: LoRAOptions):
        super().__init__()
        self.scale = options.alpha / options.rank
        self.a = nn.ParameterDict({m: nn.Parameter(torch.empty(options.rank, width)) for m in ("q", "v")})
        self.b = nn.ParameterDict({m: nn.Parameter(torch.zeros(width, options.rank)) for m in ("q", "v")})
        for a in self.a.values():
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))

    def change(self) -> torch.Tensor:  # (3 * width, width)
        q, v = (self.scale * self.b[m] @ self.a[m] for m in ("q", "v"))
        return torch.cat([q, torch.zeros_like(q), v])


class PlusChange(nn.Module):
    """A frozen weight plus a change whose weights belong to the method, not to the backbone."""

    def __init__(self, change: Callable[[], torch.Tensor]):
        super().__init__()
        self.change = change

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return (weight.float() + self.change()).to(weight.dtype)


class LoRA(Method):
    """Low-rank changes of the query and value projections of every block of both towers.

    245,760 parameters on ViT-B/32. Starts at zero-shot CLIP. A and B stay float32; with a bfloat16 backbone
    the changed weight is rounded to bfloat16, like the activations.
    """

    title = "LoRA"
    parameter_count = 245_760
    Options = LoRAOptions

    def __init__(self, clip: nn.Module, options: LoRAOptions):
        super().__init__(clip, options)
        self.layers = nn.ModuleDict()
        for modality, tower in towers(clip).items():
            self.layers[modality] = nn.ModuleList()
            for block in residual_blocks(tower):
                layer = LowRank(width_of(tower), options).to(block.attn.in_proj_weight.device)
                self.layers[modality].append(layer)
                parametrize.register_parametrization(block.attn, "in_proj_weight", PlusChange(layer.change))

    def encode_image(self, clip: nn.Module, images: torch.Tensor) -> torch.Tensor:
        with parametrize.cached():  # attention reads its weight several times
            return clip.encode_image(images)

    def encode_text(self, clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        with parametrize.cached():
            return clip.encode_text(tokens)

    def fold(self, clip: nn.Module) -> dict[str, torch.Tensor]:
        weights = clip.state_dict()
        for name, module in clip.named_modules():
            if parametrize.is_parametrized(module, "in_proj_weight"):
                del weights[f"{name}.parametrizations.in_proj_weight.original"]
                weights[f"{name}.in_proj_weight"] = module.in_proj_weight.detach()
        return weights
