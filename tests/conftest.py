"""What the tests share: a small backbone with six pairs of its inputs, and the real data where they are."""

import os
from pathlib import Path

import pytest
import torch

import petl_core  # noqa: F401 (before open_clip, so that its heavy imports are lazy)

torch.set_num_threads(1)  # the models are too small to share


@pytest.fixture
def backbone():
    from small_clips import tiny_backbone  # here, for the tests that do without open_clip

    return tiny_backbone()


@pytest.fixture
def clip(backbone):
    """The model of ``backbone``."""
    return backbone.clip


@pytest.fixture
def images():
    return torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def tokens(backbone):
    return backbone.tokens(
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
