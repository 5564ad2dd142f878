"""LST: Ladder Side-Tuning for Parameter and Memory Efficient Transfer Learning (Sung et al., NeurIPS'22)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from open_clip.transformer import LayerNorm, ResidualAttentionBlock, text_global_pool
from torch import nn

from petl_core.adapters.base import SideMethod
from petl_core.adapters.bottleneck import down_projection, up_projection
from petl_core.adapters.taps import TowerTaps
from petl_core.adapters.towers import residual_blocks, towers, width_of
from petl_core.errors import ConfigError

GATE_TEMPERATURE = 0.1


@dataclass(frozen=True)
class LSTOptions:
    """The side network is ``reduction`` times narrower than its tower, heads and MLP included."""

    reduction: int = 8

    def __post_init__(self):
        if self.reduction < 1:
            raise ValueError("reduction must be at least 1")


class SideNetwork(nn.Module):
    """For a tower of width d whose blocks l = 1 ... n give h_l, with h_0 their input and r = d / reduction::

        s = down_0(h_0)                                   # (B, N, r)
        mu_l = sigmoid(alpha_l / 0.1)                     # alpha_l starts at 0
        s = block_l(mu_l s + (1 - mu_l) down_l(h_l))      # (B, N, r), the tower's block at width r
        s = ln(s)

    ``up`` maps the pooled state to the embedding and starts at zero. The paper prunes the side blocks out of
    the backbone by Fisher information; here they start at random.
    """

    def __init__(self, tower: nn.Module, reduction: int):
        super().__init__()
        frozen = residual_blocks(tower)
        d = width_of(tower)
        r = d // reduction
        heads = frozen[0].attn.num_heads
        if r < 1 or r % heads:
            raise ConfigError(f"reduction {reduction} leaves {r} of {d} dimensions, which {heads} heads cannot share")
        mlp = frozen[0].mlp
        ratio, activation = mlp.c_fc.out_features / d, type(mlp.gelu)
        self.causal = getattr(tower, "attn_mask", None) is not None
        self.down_input = down_projection(d, r)
        self.downs = nn.ModuleList(down_projection(d, r) for _ in frozen)
        self.alphas = nn.Parameter(torch.zeros(len(frozen)))
        self.blocks = nn.ModuleList(ResidualAttentionBlock(r, heads, ratio, act_layer=activation) for _ in frozen)
        self.ln = LayerNorm(r)
        self.up = up_projection(r, tower.output_dim)

    def forward(self, h_0: torch.Tensor, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """The input h_0 (B, N, d) of the first block and the outputs h_1 ... h_n of all -> s."""
        n = h_0.shape[1]
        mask = torch.full((n, n), -torch.inf, device=h_0.device).triu(1) if self.causal else None
        s = self.down_input(h_0)
        gates = torch.sigmoid(self.alphas / GATE_TEMPERATURE)
        for mu, down, block, h in zip(gates, self.downs, self.blocks, states, strict=True):
            s = block(mu * s + (1 - mu) * down(h), attn_mask=mask)
        return self.ln(s)  # (B, N, r)


class LST(SideMethod):
    """A side network for each frozen tower, which it only reads; 3,411,704 parameters on ViT-B/32.

    Embedding = frozen embedding + up(s at CLS or EOT). The paper and its code (ylsung/Ladder-Side-Tuning) replace the
    backbone's output by up(s), and start from weights pruned out of the backbone. Ours starts at random and would have
    to learn retrieval from scratch, so up(s) is added, and training starts at zero-shot CLIP.

    The towers run without a graph: of their activations only the tapped tokens, which the ladders read, are kept for
    the backward pass.

    On ViT-B/32, with L(i, o) = i o + o and r = d / 8, the side of a tower of width d has 12 blocks of
    4 L(r, r) + L(r, 4r) + L(4r, r) + 4r, 13 projections L(d, r), 12 gates, a LayerNorm of 2r and L(r, 512)
    up: 2,351,660 visual and 1,060,044 textual.
    """

    title = "LST"
    parameter_count = 3_411_704
    Options = LSTOptions

    def __init__(self, clip: nn.Module, options: LSTOptions):
        super().__init__(clip, options)
        sides = {modality: SideNetwork(tower, options.reduction) for modality, tower in towers(clip).items()}
        self.sides = nn.ModuleDict(sides)
        self.pooling = clip.text.pool_type, clip.text.eos_id
        self.taps = {modality: _every_state(tower) for modality, tower in towers(clip).items()}

    @property
    def tap_specs(self) -> dict[str, str]:
        return {"image": self.taps["visual"].spec, "text": self.taps["text"].spec}

    def tap_image(self, clip: nn.Module, images: torch.Tensor) -> torch.Tensor:
        return self.taps["visual"].read(clip.visual, clip.encode_image, images)

    def tap_text(self, clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        return self.taps["text"].read(clip.text, clip.encode_text, tokens)

    def image_from_taps(self, taps: torch.Tensor) -> torch.Tensor:
        embedding, s = self._side_state("visual", taps)
        return embedding + self.sides["visual"].up(s[:, 0])

    def text_from_taps(self, taps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        embedding, s = self._side_state("text", taps)
        return embedding + self.sides["text"].up(text_global_pool(s, tokens, *self.pooling))

    def _side_state(self, modality: str, taps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The frozen embedding (B, d) and the side network's last state (B, N, r)."""
        embedding, (h_0, *states) = self.taps[modality].unpack(taps)
        return embedding, self.sides[modality](h_0, states)


def _every_state(tower: nn.Module) -> TowerTaps:
    """The input of the tower's first block and the output of every block."""
    layers = tuple(range(len(residual_blocks(tower))))
    return TowerTaps(layers, width_of(tower), tower.output_dim, block_input=True)
