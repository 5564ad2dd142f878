"""PETL methods: one family a file, one line each in ``METHODS``.

    model = attach(clip, "mrs", bottleneck=64)
    model.encode_image(images, normalize=True)
    model.save("adapter.safetensors")
    model = load(backbone.load("ViT-B-32-quickgelu", "openai").clip, "adapter.safetensors")

A new method is a file with a :class:`~petl_core.adapters.base.Method` and a line below::

    class Scale(Method):                                     # petl_core/adapters/scale.py
        '''Scale the frozen image embedding.'''
        def __init__(self, clip, options):
            super().__init__(clip, options)
            self.scale = nn.Parameter(torch.ones(clip.visual.output_dim))

        def encode_image(self, clip, images):
            return self.scale * clip.encode_image(images)

    METHODS["scale"] = Scale
"""

import json
from pathlib import Path

from torch import nn

from petl_core.adapters.adaptformer import AdaptFormer
from petl_core.adapters.base import (
    AdaptedCLIP,
    Method,
    SideMethod,
    attach_method,
    check_options,
    read_adapter,
    second_view,
)
from petl_core.adapters.bitfit import BitFit
from petl_core.adapters.convpass import Convpass
from petl_core.adapters.cross_modal import CrossModalAdapter
from petl_core.adapters.focus import FocusAdapter
from petl_core.adapters.heads import CLIPAdapter, LinearProbe
from petl_core.adapters.houlsby import HoulsbyAdapter
from petl_core.adapters.lora import LoRA
from petl_core.adapters.lst import LST
from petl_core.adapters.mrs import MRSAdapter
from petl_core.adapters.prompts import VPT, CoOp, VLPrompt
from petl_core.adapters.references import FullFineTuning, ZeroShot
from petl_core.adapters.uniadapter import UniAdapter
from petl_core.validation import ConfigError

__all__ = ["METHODS", "AdaptedCLIP", "Method", "SideMethod", "attach", "check", "load", "second_view"]

METHODS: dict[str, type[Method]] = {
    "zero_shot": ZeroShot,
    "linear_probe": LinearProbe,
    "full": FullFineTuning,
    "coop": CoOp,
    "vpt": VPT,
    "vl_prompt": VLPrompt,
    "adapter": HoulsbyAdapter,
    "clip_adapter": CLIPAdapter,
    "convpass": Convpass,
    "adaptformer": AdaptFormer,
    "cross_modal": CrossModalAdapter,
    "uniadapter": UniAdapter,
    "mrs": MRSAdapter,
    "lora": LoRA,
    "bitfit": BitFit,
    "lst": LST,
    "focus": FocusAdapter,
}


def attach(clip: nn.Module, method: str, *, train_logit_scale: bool = False, **options) -> AdaptedCLIP:
    """Freeze ``clip`` and attach a method to it.

    Args:
        clip: an open_clip model with a text tower of its own (``force_custom_text=True``); it is changed in place.
        method: a key of ``METHODS``.
        train_logit_scale: also train the temperature.
        options: fields of the method's options dataclass.

    Raises:
        ConfigError: an unknown method, an unknown or ill-typed option, or a backbone that the method cannot adapt.
    """
    check(method, options)
    return attach_method(clip, method, METHODS[method], options, train_logit_scale)


def check(method: str, options: dict) -> None:
    """Raise :class:`ConfigError` for an unknown method or an unknown or ill-typed option."""
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    check_options(method, METHODS[method], options)


def load(clip: nn.Module, path: str | Path) -> AdaptedCLIP:
    """Attach a saved adapter to the backbone it was trained on.

    Raises:
        ConfigError: a broken file, or one that belongs to another backbone.
    """
    metadata, weights = read_adapter(path)
    model = attach(
        clip,
        metadata["method"],
        train_logit_scale=json.loads(metadata["train_logit_scale"]),
        **json.loads(metadata["options"]),
    )
    if model.backbone_fingerprint != metadata["backbone"]:
        raise ConfigError(
            f"adapter {path} was trained on backbone {metadata['backbone']}, not on this one "
            f"({model.backbone_fingerprint}); load the same open_clip model and weights"
        )
    missing = model.trainable().keys() ^ weights.keys()
    if missing:
        raise ConfigError(f"adapter {path}: {sorted(missing)[0]} and {len(missing) - 1} more do not match {model.name}")
    model.load_state_dict(weights, strict=False)
    return model
