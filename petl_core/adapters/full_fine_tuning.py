"""Full fine-tuning, the upper end of the scale: everything is trained."""

import torch
from torch import nn

from petl_core.adapters.base import Method, NoOptions


class FullFineTuning(Method):
    """Every weight of both towers; 151,277,312 parameters on ViT-B/32 (published counts add ``logit_scale``).

    These are the backbone's own weights, so it must be held in float32.
    """

    title = "Full fine-tuning"
    parameter_count = 151_277_312

    def __init__(self, clip: nn.Module, options: NoOptions):
        super().__init__(clip, options)
        clip.requires_grad_(True)

    def fold(self, clip: nn.Module) -> dict[str, torch.Tensor]:
        return clip.state_dict()
