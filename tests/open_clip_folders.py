"""Small CLIPs of random weights on disk, as open_clip reads them."""

import json
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file


def random_clip(
    image_size: int = 32, width: int = 96, visual_layers: int = 2, text_layers: int = 2
) -> tuple[dict, open_clip.CustomTextCLIP]:
    """What ``open_clip_config.json`` holds, and the model; wider than what the MRS-Adapter shares, 64."""
    vision = {"image_size": image_size, "patch_size": 8, "width": width, "head_width": 32, "layers": visual_layers}
    text = {"width": width, "heads": width // 32, "layers": text_layers}
    config = {
        "model_cfg": {"embed_dim": width, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD},
    }
    torch.manual_seed(0)
    return config, open_clip.CustomTextCLIP(**config["model_cfg"])


def write_folder(folder: Path, **shape: int) -> Path:
    """An open_clip folder of :func:`random_clip`."""
    config, clip = random_clip(**shape)
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    weights = {name: weight.contiguous() for name, weight in clip.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder
