"""The two ends of the scale: nothing trained, and everything."""

from torch import nn

from petl_core.adapters.base import Method, NoOptions, SideMethod


class ZeroShot(SideMethod):
    """The frozen CLIP (Radford et al., ICML 2021)."""


class FullFineTuning(Method):
    """Every weight of both towers."""

    def __init__(self, clip: nn.Module, options: NoOptions):
        super().__init__(clip, options)
        clip.requires_grad_(True)
