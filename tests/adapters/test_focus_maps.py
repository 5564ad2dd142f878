"""Where a Focus-Adapter looks: its maps, and that they find planted targets."""

import math

import open_clip
import pytest
import torch
from small_clips import moved, tiny_clip

from petl_core import adapters
from petl_core.adapters.focus import focus_maps
from petl_core.backbone import Backbone
from petl_core.errors import ConfigError
from petl_core.losses import infonce


def randomise(model):
    """Far from the start, as gates far from even need."""
    return moved(model, scale=0.2).eval()


def attach(clip, method: str, **options) -> adapters.AdaptedCLIP:
    """To a backbone that only ever sees tensors."""
    return adapters.attach(Backbone(clip, None, None), method, **options)


def test_maps_lie_on_the_patch_grid():
    model = randomise(attach(tiny_clip(image_size=(32, 48)), "focus"))
    maps = focus_maps(model, torch.randn(2, 3, 32, 48))
    assert maps.shape == (2, 3, 4, 6)
    assert 0 <= maps.min() < 0.99 and maps.max() == 1
    plain = randomise(attach(tiny_clip(), "focus", attention="unsuppressed"))
    assert (focus_maps(plain, torch.randn(2, 3, 32, 32)) == 1).all()
    with pytest.raises(ConfigError, match="'mrs'"):
        focus_maps(attach(tiny_clip(), "mrs"), torch.randn(2, 3, 32, 32))


def planted(codes: torch.Tensor, which: torch.Tensor, grid: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images of noise with one of the codes (K, 3, p, p) on one patch, its row and its column."""
    p = codes.shape[-1]
    images = torch.randn(len(which), 3, grid * p, grid * p)
    rows, columns = torch.randint(grid, (2, len(which)))
    for image, code, row, column in zip(images, codes[which], rows, columns, strict=True):
        image[:, row * p : (row + 1) * p, column * p : (column + 1) * p] = code
    return images, rows, columns


def test_trained_focus_lies_on_planted_small_targets():
    torch.manual_seed(0)
    clip = open_clip.CustomTextCLIP(
        embed_dim=32,
        vision_cfg={"image_size": 48, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
        text_cfg={"context_length": 4, "vocab_size": 16, "width": 32, "heads": 1, "layers": 1},
    )
    model = attach(clip.eval(), "focus", taps=2).train()
    codes = 2 * torch.randn(8, 3, 8, 8)
    captions = torch.tensor([[1, 2 + code, 15, 0] for code in range(8)])  # each names its image's target
    optimizer = torch.optim.Adam(model.trainable().values(), 1e-2)
    for _ in range(200):
        images, _, _ = planted(codes, torch.arange(8), grid=6)
        loss = infonce(model.encode_image(images, normalize=True), model.encode_text(captions, normalize=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, rows, columns = planted(codes, torch.arange(8).repeat(25), grid=6)
    weights = focus_maps(model.eval(), images)  # (B, layers, 6, 6)
    on_target = weights[torch.arange(200), :, rows, columns]
    background = (weights.sum(dim=(2, 3)) - on_target) / 35
    difference = (on_target - background).mean(dim=1)
    assert difference.mean() > 0.1
    assert difference.mean() > 5 * difference.std() / math.sqrt(200)
