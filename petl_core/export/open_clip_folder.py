"""A model as a folder that open_clip loads by itself: ``open_clip_config.json`` and ``open_clip_model.safetensors``.

open_clip.create_model_and_transforms("local-dir:OUT")
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

from petl_core.adapters import AdaptedCLIP
from petl_core.backbone import Backbone
from petl_core.files import resolve, write_atomically, write_json


def export_open_clip(model: AdaptedCLIP, folder: str | Path) -> Path:
    """Write an adapted model whose method folds into its backbone.

    The folder reproduces the model's embeddings in the backbone's precision: open_clip's "fp32" or "pure_bf16".

    Args:
        model: on a backbone of :func:`petl_core.backbone.load`.
        folder: is made, or overwritten.

    Raises:
        ConfigError: open_clip's towers cannot compute what the method does.
    """
    return write_clip(model.backbone, model.method.fold(model.clip), folder)


def write_clip(backbone: Backbone, weights: dict[str, torch.Tensor], folder: str | Path) -> Path:
    """Write a backbone with these weights as a folder; the configuration last, since it makes the folder valid."""
    folder = resolve(folder)
    contiguous = {name: weight.contiguous() for name, weight in weights.items()}
    write_atomically(folder / "open_clip_model.safetensors", lambda path: save_file(contiguous, path))
    if hasattr(backbone.tokenizer, "save_pretrained"):  # of Hugging Face: open_clip looks for it in the folder
        backbone.tokenizer.save_pretrained(folder)
    config = {
        "model_cfg": {**backbone.config, "custom_text": True},  # a separate text tower, as in backbone.load
        "preprocess_cfg": backbone.clip.visual.preprocess_cfg,
    }
    write_json(folder / "open_clip_config.json", config)
    return folder
