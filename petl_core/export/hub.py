"""An adapter to publish: a folder for the Hugging Face hub, and the model that is loaded from it.

    config.json            method, options, backbone with its fingerprint, preprocessing
    adapter.safetensors    what was trained, as the run left it
    README.md              the model card (model_card.py)
    backbone/              an open_clip folder, if others could not load the backbone by its name

Nothing in it is pickled.
"""

import json
import re
import shutil
from functools import partial
from pathlib import Path

import open_clip

from petl_core import adapters, backbone
from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.export.model_card import model_card, plain
from petl_core.export.open_clip_folder import write_clip
from petl_core.files import read_json, resolve, write_atomically, write_json
from petl_core.runs.experiment import find_device
from petl_core.runs.folder import Run
from petl_core.training import default_backbones

BACKBONE = "backbone"  # folder of one that is exported, too
FILES = ["config.json", "adapter.safetensors", f"{BACKBONE}/*.json", f"{BACKBONE}/*.safetensors", f"{BACKBONE}/*.txt"]


def export_hub(run: Run, folder: str | Path, data_root: str | Path = "data") -> Path:
    """Write a finished run's adapter, and what is needed to load it elsewhere.

    Args:
        run: which trained the adapter.
        folder: is made, or overwritten.
        data_root: folder of the data sets, for a default backbone that would have to be pre-trained again.

    Raises:
        ConfigError: the backbone has changed since the run.
    """
    folder, config = resolve(folder), run.config
    weights = default_backbones.find_or_pretrain(config.backbone, run.folder.parent, data_root)
    frozen = backbone.load(weights, config.pretrained, config.precision)
    if carried := not _is_public(config):
        write_clip(frozen, frozen.clip.state_dict(), folder / BACKBONE)
    model = adapters.load(frozen, run.folder / "adapter.safetensors")

    about = {
        "method": config.method,
        "options": run.metrics["method"]["options"],
        "backbone": {
            "name": plain(config.backbone),
            "pretrained": plain(config.pretrained),
            "precision": config.precision,
            "fingerprint": model.backbone_fingerprint,
            "carried": carried,
        },
        "preprocessing": _as_json(model),
    }
    write_atomically(folder / "adapter.safetensors", partial(shutil.copyfile, run.folder / "adapter.safetensors"))
    card = model_card(run, model.backbone_fingerprint, carried)
    write_atomically(folder / "README.md", lambda path: path.write_text(card, encoding="utf-8"))
    write_json(folder / "config.json", about)
    return folder


def load(place: str | Path, device: str = "auto") -> adapters.AdaptedCLIP:
    """The model of a folder that :func:`export_hub` wrote, in evaluation mode.

    Args:
        place: the folder, or if there is none of that name, a repository on the Hugging Face hub ("org/name").
        device: "cpu", "cuda", "cuda:1", or "auto".

    Raises:
        ConfigError: there is nothing, or not an exported adapter; or the backbone has changed under its name.
    """
    folder = _find(place)
    try:
        about = read_json(folder / "config.json")
        preprocessing, named = about["preprocessing"], about["backbone"]
        name, pretrained, precision = named["name"], named["pretrained"], named["precision"]
        if named["carried"]:
            name, pretrained = str(folder / BACKBONE), ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{folder / 'config.json'} does not describe an exported adapter ({problem})") from error
    frozen = backbone.load(name, pretrained, precision, find_device(device))
    model = adapters.load(frozen, folder / "adapter.safetensors").eval()
    if _as_json(model) != preprocessing:
        raise ConfigError(
            f"{folder}: its images were preprocessed as {preprocessing}, but backbone {name!r} now says "
            f"{_as_json(model)}; use the open_clip version it was exported with"
        )
    return model


def _is_public(config: RunConfig) -> bool:
    """Whether others can load the backbone by its name."""
    tags = open_clip.list_pretrained_tags_by_model(config.backbone)
    return config.backbone.startswith("hf-hub:") or config.pretrained in tags


def _as_json(model: adapters.AdaptedCLIP) -> dict:
    """The image preprocessing that the backbone requires."""
    return json.loads(json.dumps(model.clip.visual.preprocess_cfg))


def _find(place: str | Path) -> Path:
    folder = resolve(place)
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(place)):
        raise ConfigError(f"{folder} is not a folder, and {str(place)!r} is not a repository's name (org/name)")
    import huggingface_hub  # only if something is fetched

    try:
        return Path(huggingface_hub.snapshot_download(str(place), allow_patterns=FILES))
    except (OSError, ValueError) as error:  # no network, no such repository
        raise ConfigError(
            f"{folder} is not a folder, and {str(place)!r} cannot be fetched from the hub ({error})"
        ) from error
