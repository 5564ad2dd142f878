"""Zero-shot retrieval, the lower end of the scale: nothing is trained."""

import torch
from torch import nn

from petl_core.adapters.base import SideMethod


class ZeroShot(SideMethod):
    """The frozen CLIP (Radford et al., ICML 2021)."""

    title = "Zero-shot CLIP"
    parameter_count = 0

    def fold(self, clip: nn.Module) -> dict[str, torch.Tensor]:
        return clip.state_dict()
