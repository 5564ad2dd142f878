"""What the tests share: a CLIP of a moment's construction, and the real data where they are."""

import os
from pathlib import Path

import open_clip
import pytest
import torch

torch.set_num_threads(1)  # the models are too small to share


def tiny_clip(seed: int = 0, **vision) -> open_clip.CustomTextCLIP:
    """Towers of different width and depth, so that nothing passes that mixes them up."""
    torch.manual_seed(seed)
    clip = open_clip.CustomTextCLIP(
        embed_dim=32,
        vision_cfg={"image_size": 32, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32, **vision},
        text_cfg={"width": 80, "heads": 2, "layers": 2},
    )
    return clip.eval()


@pytest.fixture
def clip():
    return tiny_clip()


@pytest.fixture
def images():
    return torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def tokens():
    return open_clip.get_tokenizer("ViT-B-32")(
        [
            "a river",
            "two white planes next to a grey terminal",
            "a forest",
            "a pond",
            "a beach",
            "many cars in a row",
        ]
    )


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data and weights."""
    if "PETL_REAL_DATA" not in os.environ:
        pytest.skip("PETL_REAL_DATA is unset: no real data to test on")
    return Path(os.environ["PETL_REAL_DATA"]).resolve()
