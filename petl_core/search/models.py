"""The model to search with: a finished run's, or an unadapted CLIP; and what distinguishes models."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from petl_core import adapters, backbone
from petl_core.adapters import AdaptedCLIP
from petl_core.backbone import input_dtype
from petl_core.errors import ConfigError
from petl_core.runs.archive import open_run
from petl_core.runs.run import find_device, load_model, require_weights


def zero_shot(name: str, pretrained: str = "", device: str = "auto") -> AdaptedCLIP:
    """A CLIP without adaptation, as :func:`petl_core.backbone.load` takes it.

    Raises:
        ConfigError: an unknown model, tag, folder or device, or a model whose weights would be random.
    """
    require_weights(name, pretrained)
    return adapters.attach(backbone.load(name, pretrained, device=find_device(device)), "zero_shot").eval()


def of_run(run: str | Path, runs_root: str | Path = "runs", device: str = "auto") -> AdaptedCLIP:
    """The model of a finished run, by its name or folder; a ConfigError if it is none."""
    return load_model(open_run(run, runs_root), device)


def fingerprint(model: AdaptedCLIP) -> str:
    """Digest of what decides a model's image embeddings: backbone, method, trained weights, preprocessing."""
    facts = {
        "backbone": model.backbone_fingerprint,
        "precision": str(input_dtype(model.clip)),
        "method": model.name,
        "options": dataclasses.asdict(model.options),
        "preprocessing": model.backbone.preprocessing,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, weight in sorted(model.trainable().items()):
        digest.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def as_input(model: AdaptedCLIP, image: Image.Image) -> torch.Tensor:
    """(3, H, W) input of the model's image tower."""
    preprocess: Any = model.backbone.preprocess
    return preprocess(image)


@torch.no_grad()
def embed(model: AdaptedCLIP, inputs: Sequence[torch.Tensor]) -> np.ndarray:
    """(B, d) normalised float32 embeddings of the (3, H, W) inputs of B images; a ConfigError if not finite."""
    model.eval()
    embeddings = model.encode_image(torch.stack(list(inputs)).to(model.device), normalize=True).cpu().numpy()
    if not np.isfinite(embeddings).all():
        raise ConfigError(f"{model.name}: its embeddings are NaN or infinite; its weights are broken: use another")
    return embeddings


def embed_picture(model: AdaptedCLIP, picture: Image.Image) -> np.ndarray:
    """(d,) normalised float32 embedding of one image."""
    return embed(model, [as_input(model, picture)])[0]
