"""Checks of weights files before open_clip loads them.

Files in use:

    ViT-B-32.pt                                OpenAI: a TorchScript archive, in half precision
    RemoteCLIP-ViT-B-32.pt, RS5M_ViT-B-32.pt   a state dict of open_clip's CLIP (RemoteCLIP, GeoRSCLIP)
    open_clip_pytorch_model.bin, *.safetensors the same
    epoch_32.pt                                open_clip's training: {"state_dict": ...}, names prefixed with "module."

Only weights are read. A state dict does not record the activation it was trained with. The evaluation scripts of
RemoteCLIP and GeoRSCLIP load their ViT-B/32 into open_clip's "openai" model, which has QuickGELU: load them as
ViT-B-32-quickgelu, although RemoteCLIP's README shows the plain model.
"""

import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from safetensors import safe_open
from safetensors.torch import save_file

from petl_core.errors import ConfigError

OF_OPENAI = {"input_resolution", "context_length", "vocab_size"}  # in OpenAI's archives besides weights
SHOWN = 4  # names in a message

Sizes = dict[str, int]  # what distinguishes CLIPs with a ViT, in channels, patches, pixels, tokens and layers


def check(path: Path, model: str) -> None:
    """Check that a file holds the weights of an open_clip model.

    open_clip alone would silently fit position embeddings of another image size, and run OpenAI's weights with another
    activation.

    Args:
        path: of the file.
        model: an open_clip model name.

    Raises:
        ConfigError: it does not; the message says what the file holds, and the remedy.
    """
    shapes = _read_shapes(path)
    found, wanted = _sizes_of_weights(shapes), _sizes_of_model(model)
    from_openai = shapes.keys() >= OF_OPENAI
    if wanted and not found:
        first = ", ".join(list(shapes)[:SHOWN])
        raise ConfigError(
            f"weights {path}: {len(shapes)} tensors ({first}, ...) that are not a CLIP with a ViT in open_clip's or "
            "OpenAI's layout; save an open_clip model's state_dict()"
        )
    if found and found != wanted:
        others = [name for name in open_clip.list_models() if _sizes_of_model(name) == found]
        fitting = [repr(name) for name in others if not from_openai or _has_quick_gelu(name)][:SHOWN]
        remedy = f"use backbone {' or '.join(fitting)}" if fitting else "no open_clip model has these sizes"
        differences = [f"{k} {v} instead of {wanted[k]}" for k, v in found.items() if v != wanted[k]] if wanted else []
        what = ", ".join(differences) or "it has a ViT and open_clip's text tower"
        raise ConfigError(f"weights {path}: a CLIP with other sizes than {model} ({what}); {remedy}")
    if from_openai and not _has_quick_gelu(model):
        raise ConfigError(
            f"weights {path}: OpenAI's archive, trained with QuickGELU, which {model} does not have; "
            f"use backbone '{model}-quickgelu'"
        )


@contextmanager
def as_state_dict(path: Path) -> Iterator[Path]:
    """The file, or for an archive a temporary copy of its weights, since open_clip would load its code, too."""
    if not _is_archive(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.safetensors"
        save_file({name: weight.contiguous() for name, weight in _read(path).items() if name not in OF_OPENAI}, copy)
        yield copy


def _is_archive(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return any(name.endswith("/constants.pkl") for name in file.namelist())


def _read(path: Path) -> Any:
    """What a file holds; of safetensors, shapes alone."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            return {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in file.keys()}  # noqa: SIM118
    if _is_archive(path):
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # OpenAI's files will stay TorchScript
            return torch.jit.load(path, map_location="cpu").state_dict()
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a file, by open_clip's names."""
    try:
        content = _read(path)
    except Exception as error:  # torch raises nearly anything on files of other kinds
        if "Unsupported" in str(error) and "GLOBAL" in str(error):
            problem = "Python objects besides weights, which could run code; save the model's state_dict()"
        else:
            problem = "cannot be read as weights: it is cut short, or a Git LFS pointer; fetch it again"
        raise ConfigError(f"weights {path}: {problem}") from error
    if isinstance(content, Mapping):
        content = content.get("state_dict", content)
    named = content if isinstance(content, Mapping) else {}
    shapes = {str(name): tuple(value.shape) for name, value in named.items() if hasattr(value, "shape")}
    if not shapes:
        keys = f" with {', '.join(map(str, list(named)[:SHOWN]))}" if named else ""
        raise ConfigError(
            f"weights {path}: a {type(content).__name__}{keys}, not a state dict; save the state_dict() alone"
        )
    prefix = "module." if next(iter(shapes)).startswith("module.") else ""
    return {name.removeprefix(prefix): shape for name, shape in shapes.items()}


def _sizes_of_weights(shapes: dict[str, tuple[int, ...]]) -> Sizes | None:
    """None for anything but a CLIP with a ViT and open_clip's text tower."""

    def layers(tower: str) -> int:
        return sum(name.startswith(f"{tower}transformer.") and name.endswith("attn.in_proj_weight") for name in shapes)

    if any(name.startswith("text_decoder.") for name in shapes):  # CoCa
        return None
    text = "text." if "text.positional_embedding" in shapes else ""  # a separate text tower
    try:
        (image_width, _, patch_size, _), (_, embedding) = shapes["visual.conv1.weight"], shapes["visual.proj"]
        positions, _ = shapes["visual.positional_embedding"]
        context, text_width = shapes[f"{text}positional_embedding"]
        vocabulary, _ = shapes[f"{text}token_embedding.weight"]
    except (KeyError, ValueError):
        return None
    return {
        "embedding": embedding,
        "image_width": image_width,
        "image_layers": layers("visual."),
        "patch_size": patch_size,
        "patches_per_side": round((positions - 1) ** 0.5),
        "text_width": text_width,
        "text_layers": layers(text),
        "context": context,
        "vocabulary": vocabulary,
    }


def _sizes_of_model(model: str) -> Sizes | None:
    """The same of an open_clip model, by its name."""
    config = open_clip.get_model_config(model)
    image, text = CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"])
    if image.timm_model_name or text.hf_model_name or "multimodal_cfg" in config:
        return None
    if not (isinstance(image.layers, int) and isinstance(image.image_size, int)):
        return None
    return {
        "embedding": config["embed_dim"],
        "image_width": image.width,
        "image_layers": image.layers,
        "patch_size": image.patch_size,
        "patches_per_side": image.image_size // image.patch_size,
        "text_width": text.width,
        "text_layers": text.layers,
        "context": text.context_length,
        "vocabulary": text.vocab_size,
    }


def _has_quick_gelu(model: str) -> bool:
    return bool(open_clip.get_model_config(model).get("quick_gelu"))
