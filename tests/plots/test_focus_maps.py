"""Where a Focus-Adapter looks: its maps, how they are drawn, and that they find planted targets."""

import math

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from conftest import tiny_clip
from drawn_scenes import write
from PIL import Image
from small_clips import randomise_far as randomise

from petl_core import adapters
from petl_core.adapters.focus import focus_maps
from petl_core.losses import infonce
from petl_core.plots import focus_plots
from petl_core.validation import ConfigError


def test_maps_lie_on_the_patch_grid():
    clip = tiny_clip(image_size=(32, 48))
    model = randomise(adapters.attach(clip, "focus"))
    maps = focus_maps(model, torch.randn(2, 3, 32, 48))
    assert maps.shape == (2, 3, 4, 6)
    assert 0 <= maps.min() < 0.99 and maps.max() == 1
    plain = randomise(adapters.attach(tiny_clip(), "focus", focus=False))
    assert (focus_maps(plain, torch.randn(2, 3, 32, 32)) == 1).all()
    with pytest.raises(ConfigError, match="'mrs'"):
        focus_maps(adapters.attach(tiny_clip(), "mrs"), torch.randn(2, 3, 32, 32))


def test_maps_are_drawn_over_images_with_the_boxes_of_targets(tmp_path):
    folder = write(tmp_path, "scenes-x", train=2, test=1, size=48, progress=False)
    boxes = focus_plots.target_boxes(folder)
    paths = [folder / "scenes-x_images" / name for name in sorted(boxes)[:2]]
    figure = focus_plots.plot_focus(paths, np.full((2, 3, 4, 4), 0.5), boxes)
    assert len(figure.axes) == 2 * 4 + 1
    assert figure.axes[-1].get_ylabel() == "focus weight" and figure.axes[-1].get_ylim() == (0, 1)
    for row, path in enumerate(paths):
        axes = figure.axes[4 * row + 1]
        assert len(axes.patches) == len(boxes[path.name]) > 0
        assert axes.images[1].get_extent() == [0, 48, 48, 0]


def test_target_focus_compares_patches_with_targets_and_without(tmp_path):
    path = tmp_path / "airport_1.png"
    Image.new("RGB", (64, 64)).save(path)
    weights = np.full((1, 2, 4, 4), 0.25)
    weights[0, 1, 2, 3] = 1.0  # the patch of x 48..64, y 32..48
    boxes = {"airport_1.png": [(50.0, 34.0, 60.0, 44.0)]}
    frame = focus_plots.target_focus([path, tmp_path / "without.png"], np.concatenate([weights, weights]), boxes)
    assert frame["target"].tolist() == [0.25, 1.0] and frame["background"].tolist() == [0.25, 0.25]


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
    model = adapters.attach(clip.eval(), "focus", taps=2).train()
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


def test_layers_are_summed_up_over_images():
    focus = pd.DataFrame({"layer": [1, 2] * 3, "target": [0.5, 0.1] * 3, "background": [0.2, 0.3] * 3})
    table = focus_plots.by_layer(focus).set_index("Layer")
    assert table["Difference"].round(6).tolist() == [0.3, -0.2]
    assert table.loc[1, "95% interval"] == "[+0.300, +0.300]"
