"""The ends of the scale and what lies near them: zero-shot, heads on frozen embeddings, biases alone, everything."""

from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn.functional import normalize

from petl_core.adapters.base import STRICT, Method, NoOptions, SideMethod
from petl_core.adapters.towers import residual_blocks, towers


class ZeroShot(SideMethod):
    """The frozen CLIP (Radford et al., ICML 2021)."""

    title = "Zero-shot CLIP"
    parameter_count = 0

    def fold(self, clip: nn.Module) -> dict[str, torch.Tensor]:
        return clip.state_dict()


class LinearProbe(SideMethod):
    """A linear map of each tower's normalised embedding into a joint space twice as wide::

        y_m = W_m x_m / |x_m| + b_m    # (B, d) -> (B, 2 d)

    1,050,624 parameters on ViT-B/32, as in PE-RSITR's tables, which leave the layout open. Starts at
    zero-shot similarities: both W are one random matrix with orthonormal columns, and b = 0. (Zero-padded
    identities would do that too, but the padded dimensions would never train: a tower's gradient there comes
    from the other's zeros.)

    It does not fold into a tower's last projection: with x = P h the embedding would have to be W P h + b |P h|, which
    is linear in h only where b = 0.
    """

    title = "Linear probe"
    parameter_count = 1_050_624

    def __init__(self, clip: nn.Module, options: NoOptions):
        super().__init__(clip, options)
        d = clip.text.output_dim
        self.image, self.text = nn.Linear(d, 2 * d), nn.Linear(d, 2 * d)
        nn.init.orthogonal_(self.image.weight)
        nn.init.zeros_(self.image.bias)
        self.text.load_state_dict(self.image.state_dict())

    def image_from_taps(self, taps: torch.Tensor) -> torch.Tensor:
        return self.image(normalize(taps, dim=-1))

    def text_from_taps(self, taps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.text(normalize(taps, dim=-1))


@dataclass(frozen=True, config=STRICT)
class CLIPAdapterOptions:
    """The ratio is that of the released code."""

    reduction: PositiveInt = 2  # the bottleneck is this many times narrower than the embedding
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.2  # of the adapted embedding in the mix


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
        d = clip.text.output_dim
        narrow = max(1, d // options.reduction)
        self.image, self.text = (
            nn.Sequential(nn.Linear(d, narrow, bias=False), nn.ReLU(), nn.Linear(narrow, d, bias=False), nn.ReLU())
            for _ in range(2)
        )

    def image_from_taps(self, taps: torch.Tensor) -> torch.Tensor:
        return self.ratio * self.image(taps) + (1 - self.ratio) * taps

    def text_from_taps(self, taps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.ratio * self.text(taps) + (1 - self.ratio) * taps


class BitFit(Method):
    """Every bias of both towers, LayerNorm's included (Ben Zaken, Goldberg, Ravfogel, ACL 2022, section 3).

    171,008 parameters on ViT-B/32. These are the backbone's own weights, so it must be held in float32.
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
