"""PETL methods: one family per file, and one line per method in ``METHODS``.

    model = attach(backbone.load("ViT-B-32-quickgelu", "openai"), "mrs", bottleneck=64)
    model.encode_image(images, normalize=True)
    model.save("adapter.safetensors")
    model = load(backbone.load("ViT-B-32-quickgelu", "openai"), "adapter.safetensors")

A new method is a file with a :class:`~petl_core.adapters.base.Method`, and a line in ``METHODS``::

    class Scale(Method):                                     # petl_core/adapters/scale.py
        '''Scale the frozen image embedding.'''

        title = "Scaled CLIP"                                # in tables and figures
        parameter_count = 512                                # on ViT-B/32

        def __init__(self, clip, options):
            super().__init__(clip, options)
            self.scale = nn.Parameter(torch.ones(clip.visual.output_dim))

        def encode_image(self, clip, images):
            return self.scale * clip.encode_image(images)

    "scale": Scale,                                          # below
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from petl_core.adapters.base import AdaptedCLIP, Method, SideMethod, fill_options, second_view
from petl_core.adapters.baselines import BitFit, CLIPAdapter, FullFineTuning, LinearProbe, ZeroShot
from petl_core.adapters.bottleneck import AdaptFormer, HoulsbyAdapter
from petl_core.adapters.convpass import Convpass
from petl_core.adapters.focus import FocusAdapter
from petl_core.adapters.lora import LoRA
from petl_core.adapters.lst import LST
from petl_core.adapters.multimodal import CrossModalAdapter, MRSAdapter, UniAdapter
from petl_core.adapters.prompts import VPT, CoOp, VLPrompt
from petl_core.backbone import Backbone, fingerprint
from petl_core.errors import ConfigError

__all__ = ["METHODS", "AdaptedCLIP", "Method", "SideMethod", "attach", "check_method", "load", "second_view"]

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


def attach(backbone: Backbone, method: str, *, train_logit_scale: bool = False, **options: Any) -> AdaptedCLIP:
    """Freeze a backbone and attach a method to it.

    Args:
        backbone: a CLIP with a separate text tower (``force_custom_text=True``), as returned by
            :func:`petl_core.backbone.load`; its ``clip`` is changed in place, and the model stays on its device.
        method: a key of ``METHODS``.
        train_logit_scale: also train the temperature.
        options: fields of the method's ``Options``.

    Raises:
        ConfigError: an unknown method, a wrong option, or a backbone that the method cannot adapt.
    """
    chosen = check_method(method, options)
    try:
        model = AdaptedCLIP(backbone, method, METHODS[method], chosen)
    except ConfigError as error:
        raise ConfigError(f"method {method}: {error}") from error
    model.clip.logit_scale.requires_grad_(train_logit_scale)
    not_float32 = [name for name, parameter in model.trainable().items() if parameter.dtype != torch.float32]
    if not_float32:
        problem = f"trains the backbone's own weights ({not_float32[0]}, ...), so it needs precision fp32"
        raise ConfigError(f"method {method}: {problem}")
    return model


def check_method(method: str, options: dict) -> Any:
    """An instance of the method's ``Options``, with defaults for what ``options`` leaves out.

    Raises:
        ConfigError: an unknown method, or an option that is unknown, of the wrong type or out of range.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    return fill_options(method, METHODS[method], options)


def load(backbone: Backbone, path: str | Path) -> AdaptedCLIP:
    """Attach an adapter that :meth:`AdaptedCLIP.save` wrote to the backbone it was trained on.

    Raises:
        ConfigError: the file is broken, or belongs to another backbone.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["adapter"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        method, options, trained_on = about["method"], dict(about["options"]), about["backbone"]
        learns_temperature = bool(about["train_logit_scale"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        problem = f"not a readable adapter file ({type(error).__name__}: {error}); train or copy it again"
        raise ConfigError(f"adapter {path}: {problem}") from error
    found = fingerprint(backbone.clip)
    if found != trained_on:
        raise ConfigError(
            f"adapter {path} was trained on backbone {trained_on}, not on this one ({found}); load the same weights "
            "into the same open_clip model, such as ViT-B-32-quickgelu and not ViT-B-32"
        )
    try:
        model = attach(backbone, method, train_logit_scale=learns_temperature, **options)
    except ConfigError as error:
        raise ConfigError(f"adapter {path}: {error}") from error
    unmatched = sorted(model.trainable().keys() ^ weights.keys())
    if unmatched:
        raise ConfigError(f"adapter {path}: {unmatched[0]} and {len(unmatched) - 1} more do not match {model.name}")
    model.load_state_dict(weights, strict=False)
    return model
