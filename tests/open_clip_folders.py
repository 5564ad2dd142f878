"""Small CLIPs of random weights on disk, as open_clip reads them."""

import json
from pathlib import Path

import open_clip
import torch
from petl_core.training.pretraining import PretrainConfig
from safetensors.torch import save_file

# Wider than what the MRS-Adapter shares, 64.
SHAPE = {"image_size": 32, "width": 96, "visual_layers": 2, "text_layers": 2}


def random_clip(**changes: int) -> tuple[dict, open_clip.CustomTextCLIP]:
    """What ``open_clip_config.json`` holds, and the model."""
    config = PretrainConfig(dataset="", **{**SHAPE, **changes}).model()
    torch.manual_seed(0)
    return config, open_clip.CustomTextCLIP(**config["model_cfg"])


def write_folder(folder: Path, **changes: int) -> Path:
    """An open_clip folder; ``changes`` are fields of PretrainConfig."""
    config, clip = random_clip(**changes)
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    weights = {name: weight.contiguous() for name, weight in clip.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder
