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

from pathlib import Path
from typing import Any

import torch

from petl_core.adapters.adaptformer import AdaptFormer
from petl_core.adapters.base import AdaptedCLIP, Method, SideMethod, fill_options, second_view
from petl_core.adapters.bitfit import BitFit
from petl_core.adapters.convpass import Convpass
from petl_core.adapters.cross_modal import CrossModalAdapter
from petl_core.adapters.focus import FocusAdapter
from petl_core.adapters.full_fine_tuning import FullFineTuning
from petl_core.adapters.heads import CLIPAdapter, LinearProbe
from petl_core.adapters.houlsby import HoulsbyAdapter
from petl_core.adapters.lora import LoRA
from petl_core.adapters.lst import LST
from petl_core.adapters.mrs import MRSAdapter
from petl_core.adapters.prompts import VPT, CoOp, VLPrompt
from petl_core.adapters.saved import SavedAdapter
from petl_core.adapters.uniadapter import UniAdapter
from petl_core.adapters.zero_shot import ZeroShot
from petl_core.backbone import Backbone, architecture, fingerprint
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
        ConfigError: an unknown method, an unknown option or one of the wrong type, or a backbone that the method
            cannot adapt.
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
    """Attach a saved adapter to the backbone it was trained on.

    Raises:
        ConfigError: the file is broken, or belongs to another backbone.
    """
    saved = SavedAdapter.read(Path(path))
    found = fingerprint(backbone.clip)
    if found != saved.backbone:
        raise ConfigError(
            f"adapter {path} was trained on backbone {saved.backbone}, not on this one ({found}); "
            "load the same open_clip model and weights"
        )
    if saved.architecture and saved.architecture != architecture(backbone.clip):
        raise ConfigError(
            f"adapter {path} was trained on these weights in a model with other activations, heads or pooling; "
            "load the same open_clip model, such as ViT-B-32-quickgelu and not ViT-B-32"
        )
    try:
        model = attach(backbone, saved.method, train_logit_scale=saved.train_logit_scale, **saved.options)
    except ConfigError as error:
        raise ConfigError(f"adapter {path}: {error}") from error
    unmatched = sorted(model.trainable().keys() ^ saved.weights.keys())
    if unmatched:
        raise ConfigError(f"adapter {path}: {unmatched[0]} and {len(unmatched) - 1} more do not match {model.name}")
    model.load_state_dict(saved.weights, strict=False)
    return model
