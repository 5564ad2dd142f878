"""Fifty steps of PE-RSITR's released training, written out by hand, beside those of the training loop.

Adapter and loss are compared with the released code's own values elsewhere (test_losses, adapters/test_multimodal);
here the whole step is: one adapter in every block of both towers, the triplets, Adam, and its learning rates.
"""

import types

import torch
from small_clips import tiny_backbone
from small_steps import prepared_pairs
from torch import nn
from torch.nn.functional import normalize, relu

from petl_core import adapters
from petl_core.config import RunConfig
from petl_core.inputs import read_images, read_texts
from petl_core.training import TrainState, epoch_batches, train_epoch

EPOCHS, RATE = 25, 2e-4  # of two steps each, so that the rate falls once


class ReleasedAdapter(nn.Module):
    """As ``MRS_Adapter``: a modality's own up-projection, then the one that both share."""

    def __init__(self, visual: int, text: int, bottleneck: int = 64, share: int = 64):
        super().__init__()
        self.visual_down_proj, self.down_proj = nn.Linear(visual, bottleneck), nn.Linear(text, bottleneck)
        self.visual_up_proj, self.up_proj = (nn.Linear(bottleneck, width - share) for width in (visual, text))
        self.share_up_proj = nn.Linear(bottleneck, share)

    def forward(self, x: torch.Tensor, visual: bool) -> torch.Tensor:
        down, up = (self.visual_down_proj, self.visual_up_proj) if visual else (self.down_proj, self.up_proj)
        h = relu(down(x))
        return torch.cat([up(h), self.share_up_proj(h)], dim=-1)


def install(clip, adapter: ReleasedAdapter) -> None:
    for tower in (clip.visual, clip.text):

        def forward(self, x, *_, visual=tower is clip.visual, attn_mask=None, **__):
            x = x + self.attention(self.ln_1(x), attn_mask=attn_mask)
            return x + self.mlp(self.ln_2(x)) + adapter(x, visual)

        for block in tower.transformer.resblocks:
            block.forward = types.MethodType(forward, block)


def released_loss(v: torch.Tensor, t: torch.Tensor, margin: float = 0.2) -> torch.Tensor:
    scores = v @ t.T
    own = scores.diag().view(-1, 1)
    mask = torch.eye(len(v)) > 0.5
    cost_s = (margin + scores - own.expand_as(scores)).clamp(min=0).masked_fill(mask, 0)
    cost_im = (margin + scores - own.t().expand_as(scores)).clamp(min=0).masked_fill(mask, 0)
    return cost_s.max(1)[0].sum() + cost_im.max(0)[0].sum()


def test_fifty_steps_are_the_released_ones(tmp_path):
    config = RunConfig(
        epochs=EPOCHS, batch_size=6, contrast="triplet", schedule="step", learning_rate=RATE,
        method_options={"dropout": 0.0},
    )  # fmt: skip
    prepared = prepared_pairs(tmp_path)
    model = adapters.attach(tiny_backbone(), "mrs", dropout=0.0)
    clip, adapter = tiny_backbone().clip, ReleasedAdapter(96, 80)
    ours = dict(model.method.named_parameters())
    pairs = {}
    for name, theirs in adapter.named_parameters():
        side = "visual" if name.startswith("visual") else "text"
        part, kind = (
            ("up_shared" if name.startswith("share") else f"{'down' if 'down' in name else 'up'}.{side}"),
            name.rsplit(".")[-1],
        )
        (pairs[name],) = [weight for key, weight in ours.items() if key.endswith(f"{part}.{kind}")]
        with torch.no_grad():
            pairs[name] += 0.05 * torch.randn(theirs.shape, generator=torch.Generator().manual_seed(len(pairs)))
            theirs.copy_(pairs[name])
    assert len(pairs) == len(ours) == 10
    install(clip, adapter)

    state = TrainState.start(config, model, 32)
    optimizer, steps = torch.optim.Adam(adapter.parameters(), RATE), 0
    for epoch in range(1, EPOCHS + 1):
        found = train_epoch(state, prepared, epoch)["total"]
        if epoch == 20:
            optimizer.param_groups[0]["lr"] *= 0.7
        released = []
        for rows in epoch_batches(prepared, config, epoch):
            images = read_images(model, prepared.inputs, prepared.image_rows[prepared.image_of[rows]])
            tokens, _ = read_texts(model, prepared.inputs, prepared.caption_rows[rows])
            padded = torch.nn.functional.pad(tokens, (0, 77 - tokens.shape[1]))
            loss = released_loss(
                normalize(clip.encode_image(images), dim=-1), normalize(clip.encode_text(padded), dim=-1)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            released.append(loss.item())
            steps += 1
        assert abs(found - sum(released) / len(released)) < 2.8e-7 * max(1, abs(found)) * 10, epoch
    assert steps == 50
    for name, theirs in adapter.named_parameters():
        torch.testing.assert_close(pairs[name], theirs, rtol=0, atol=2.8e-7, msg=name)
