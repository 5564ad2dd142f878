"""LST: Ladder Side-Tuning for Parameter and Memory Efficient Transfer Learning (Sung et al., NeurIPS 2022)."""

from collections.abc import Sequence

import torch
from open_clip.transformer import LayerNorm, ResidualAttentionBlock, text_global_pool
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn

from petl_core.adapters.base import STRICT, SideMethod
from petl_core.adapters.layers import down_projection, up_projection
from petl_core.adapters.towers import TowerTaps, residual_blocks, towers, width_of
from petl_core.errors import ConfigError

GATE_TEMPERATURE = 0.1


@dataclass(frozen=True, config=STRICT)
class LSTOptions:
    """The side network is ``reduction`` times narrower than its tower, heads and MLP included."""

    reduction: PositiveInt = 8


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
        d, heads = width_of(tower), frozen[0].attn.num_heads
        r = d // reduction
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
        """The input h_0 (B, N, d) of the first block and the outputs h_1 ... h_n of all -> s (B, N, r)."""
        n = h_0.shape[1]
        mask = torch.full((n, n), -torch.inf, device=h_0.device).triu(1) if self.causal else None
        s = self.down_input(h_0)
        gates = torch.sigmoid(self.alphas / GATE_TEMPERATURE)
        for mu, down, block, h in zip(gates, self.downs, self.blocks, states, strict=True):
            s = block(mu * s + (1 - mu) * down(h), attn_mask=mask)
        return self.ln(s)


class LST(SideMethod):
    """A side network for each frozen tower, which it only reads; 3,411,704 parameters on ViT-B/32.

    Embedding = frozen embedding + up(s at CLS or EOT). The paper and its code (ylsung/Ladder-Side-Tuning) replace the
    backbone's output by up(s), and start from weights pruned out of the backbone. Ours starts at random and would have
    to learn retrieval from scratch, so up(s) is added, and training starts at zero-shot CLIP.

    On ViT-B/32, with L(i, o) = i o + o and r = d / 8, the side of a tower of width d has 12 blocks of
    4 L(r, r) + L(r, 4r) + L(4r, r) + 4r, 13 projections L(d, r), 12 gates, a LayerNorm of 2r and L(r, 512)
    up: 2,351,660 visual and 1,060,044 textual.
    """

    title = "LST"
    parameter_count = 3_411_704
    Options = LSTOptions

    def __init__(self, clip: nn.Module, options: LSTOptions):
        super().__init__(clip, options)
        self.sides = nn.ModuleDict({m: SideNetwork(tower, options.reduction) for m, tower in towers(clip).items()})
        self.pooling = clip.text.pool_type, clip.text.eos_id
        self.taps = {
            m: TowerTaps(tuple(range(len(residual_blocks(tower)))), width_of(tower), tower.output_dim, block_input=True)
            for m, tower in towers(clip).items()
        }

    def image_from_taps(self, taps: torch.Tensor) -> torch.Tensor:
        embedding, (h_0, *states) = self.taps["visual"].unpack(taps)
        side = self.sides["visual"]
        return embedding + side.up(side(h_0, states)[:, 0])

    def text_from_taps(self, taps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        embedding, (h_0, *states) = self.taps["text"].unpack(taps)
        side = self.sides["text"]
        return embedding + side.up(text_global_pool(side(h_0, states), tokens, *self.pooling))
