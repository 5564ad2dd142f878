"""BitFit: only the biases (Ben Zaken, Goldberg, Ravfogel, ACL 2022, section 3)."""

import torch
from torch import nn

from petl_core.adapters.base import Method, NoOptions
from petl_core.adapters.towers import residual_blocks, towers


class BitFit(Method):
    """Every bias of both towers: attention, MLP and LayerNorm; 171,008 parameters on ViT-B/32.

    Starts at zero-shot CLIP. These are the backbone's own weights, so it must be held in float32.
    """

    title = "BitFit"
    parameter_count = 171_008

    def __init__(self, clip: nn.Module, options: NoOptions):
        super().__init__(clip, options)
        for tower in towers(clip).values():
            residual_blocks(tower)  # or an error
            for name, parameter in tower.named_parameters():
                parameter.requires_grad_(name.endswith("bias"))

    def fold(self, clip: nn.Module) -> dict[str, torch.Tensor]:
        return clip.state_dict()
