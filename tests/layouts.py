"""The methods in all their layouts, for tests of what every method keeps to, and full-size models without memory."""

import copy
import functools
from unittest.mock import patch

import open_clip
import pytest
import torch

from petl_core.adapters import METHODS, AdaptedCLIP, attach
from petl_core.backbone import Backbone

NOT_SHARED = [
    (name, {"shared": False}) for name in ("adapter", "convpass", "adaptformer", "cross_modal", "uniadapter", "mrs")
]
LAYOUTS = [
    *((name, {}) for name in METHODS),
    *NOT_SHARED,
    ("coop", {"tokens": 3, "deep": True}),
    ("vpt", {"deep": False}),
    ("vl_prompt", {"image_deep": False, "text_deep": True}),
    ("clip_adapter", {"ratio": 0.5}),
    ("cross_modal", {"share": 8}),
    ("lora", {"rank": 2, "alpha": 8}),
    ("lst", {"reduction": 4}),
    ("focus", {"taps": 1, "reduction": 4}),
    *(("focus", {"attention": attention}) for attention in ("unsuppressed", "uniform", "none")),
]
OWN_WEIGHTS = {"full", "bitfit"}  # they train the backbone itself, so it must be float32
TRAINED = [(name, options) for name, options in LAYOUTS if name != "zero_shot"]
ADAPTERS = [(name, options) for name, options in LAYOUTS if name not in OWN_WEIGHTS]  # for any precision


def each_layout(layouts=LAYOUTS):
    """Parametrises a test with ``name`` and ``options``."""
    names = [" ".join([name, *(f"{key}={value}" for key, value in options.items())]) for name, options in layouts]
    return pytest.mark.parametrize(("name", "options"), layouts, ids=names)


def meta_model(architecture: str, name: str, **options) -> AdaptedCLIP:
    """A method on a model of open_clip's, both without values."""
    backbone = Backbone(copy.deepcopy(_meta_clip(architecture)), None, None)
    with torch.device("meta"), patch("petl_core.adapters.base.fingerprint", return_value="no values to hash"):
        return attach(backbone, name, **options)


@functools.cache
def _meta_clip(architecture: str) -> torch.nn.Module:
    return open_clip.create_model(architecture, device="meta", force_custom_text=True)
