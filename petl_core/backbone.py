"""Frozen backbones: an open_clip model with its preprocessing and tokenizer, ready to be adapted."""

import copy
import hashlib
import re
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import open_clip
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.transformer import TextTransformer
from safetensors import SafetensorError
from torch import nn
from tqdm.auto import tqdm

from petl_core import data, weights_files
from petl_core.errors import ConfigError
from petl_core.files import resolve

torch.backends.cudnn.conv.fp32_precision = "ieee"  # by default a GPU rounds what a convolution reads to ten bits

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MAX_ERROR_CHARS = 300  # of open_clip's errors, which may list hundreds of weights
IN_NO_WEIGHT = ("num_heads", "num_attention_heads", "pool_type")  # attributes of modules


@dataclass(frozen=True)
class Backbone:
    """A CLIP whose every parameter is frozen, ``logit_scale`` included."""

    clip: nn.Module
    preprocess: object  # torchvision transform: PIL image -> (3, H, W) float
    tokenizer: object  # list of captions -> (B, context) long
    config: dict = field(default_factory=dict)  # open_clip's model_cfg; empty if the model was not loaded by open_clip

    @property
    def preprocessing(self) -> str:
        """``preprocess`` as text, without memory addresses, so that it is the same in every process."""
        return re.sub(r" at 0x[0-9a-f]+", "", str(self.preprocess))

    def pixels(self, paths: Sequence[Path], progress: bool = False) -> torch.Tensor:
        """Images resized and cropped for this backbone, decoded once: (N, 3, H, W) uint8.

        No image augmentation is used (as in the PE-RSITR release), so an epoch needs no second decoding.
        """
        to_crop = type(self.preprocess)(self.preprocess.transforms[:-2])  # ToTensor and Normalize follow

        def read(path: Path) -> np.ndarray:
            return np.asarray(to_crop(data.read_image(path))).transpose(2, 0, 1)

        pixels = np.empty(0, np.uint8)
        with ThreadPoolExecutor() as pool:
            bar = tqdm(pool.map(read, paths), "images", len(paths), disable=not progress, unit="image", mininterval=1)
            for row, image in enumerate(bar):
                if not row:  # all have the size of the first
                    pixels = np.empty((len(paths), *image.shape), np.uint8)
                pixels[row] = image
        return torch.from_numpy(pixels)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) uint8 -> the float input of ``encode_image``; bit-identical to ``preprocess``."""
        normalise = self.preprocess.transforms[-1]
        mean, std = (torch.tensor(v, device=pixels.device).view(3, 1, 1) for v in (normalise.mean, normalise.std))
        return (pixels.float() / 255 - mean) / std

    def tokens(self, captions: Sequence[str]) -> torch.Tensor:
        """(M, context) long; trim a batch with :func:`trim` before encoding it."""
        return self.tokenizer(list(captions))

    def __deepcopy__(self, memo: dict) -> "Backbone":
        """A copy with its own weights; everything else, which is never changed, is shared."""
        return replace(self, clip=copy.deepcopy(self.clip, memo))


def load(name: str, pretrained: str = "", precision: str = "fp32", device: str | torch.device = "cpu") -> Backbone:
    """An open_clip model, frozen and in evaluation mode.

    Args:
        name: an open_clip model name ("ViT-B-32-quickgelu"), "hf-hub:org/repo", or a folder that holds
            ``open_clip_config.json`` and weights.
        pretrained: for a model name: a tag ("openai"), a weights file (:mod:`petl_core.weights_files` lists the
            kinds), or "" for random weights.
        precision: "fp32", or "bf16" to hold the frozen weights in half the memory.

    Raises:
        ConfigError: the model, tag or folder is unknown, the file does not hold the model's weights, or the weights
            were trained with QuickGELU and the model does not have it.
    """
    if precision not in DTYPES:
        raise ConfigError(f"precision {precision!r} must be one of {', '.join(DTYPES)}")
    identifier = _identifier(name, pretrained)
    try:
        with _weights(name, pretrained) as weights:
            clip, _, preprocess = open_clip.create_model_and_transforms(
                identifier, pretrained=weights, force_custom_text=True, pretrained_text=False
            )
        tokenizer = open_clip.get_tokenizer(identifier)
    except ConfigError:
        raise
    except (AssertionError, RuntimeError, ValueError, OSError, SafetensorError, UnpicklingError) as error:
        problem = textwrap.shorten(str(error), MAX_ERROR_CHARS)
        raise ConfigError(f"backbone {name!r}, pretrained {pretrained!r}: {problem}") from error
    logit_scale = clip.logit_scale.detach().clone()
    clip = clip.to(device, DTYPES[precision]).eval().requires_grad_(False)
    clip.logit_scale.data = logit_scale.to(device)  # which may be trained, so it stays fp32
    return Backbone(clip, preprocess, tokenizer, open_clip.get_model_config(identifier))


def trim(tokens: torch.Tensor, clip: nn.Module | None = None) -> torch.Tensor:
    """(B, context) -> (B, longest): CLIP's causal tower pools at EOT, so padding changes no embedding.

    If the text tower of ``clip`` reads its padding, or pools after it, tokens are returned unchanged.
    """
    text = getattr(clip, "text", None)
    if isinstance(text, TextTransformer):
        reads_padding = text.attn_mask is None and not text.use_pad_mask
        if reads_padding or text.cls_emb is not None or text.pool_type == "last":
            return tokens
    return tokens[:, : int(caption_lengths(tokens, clip).max())]


def caption_lengths(tokens: torch.Tensor, clip: nn.Module | None = None) -> torch.Tensor:
    """(B,) number of tokens of each caption (B, context) without the padding of ``clip``'s text tower, or of CLIP's."""
    text = getattr(clip, "text", None)
    padding = text.config.pad_token_id if isinstance(text, HFTextEncoder) else getattr(text, "pad_id", 0)
    return lengths_without(tokens, padding)


def lengths_without(tokens: torch.Tensor, padding: int) -> torch.Tensor:
    """(B,) number of tokens of each caption (B, context) up to the last that is not padding.

    CLIP's padding is also its token of an exclamation mark inside a word, so only what follows the last other token
    counts as padding.
    """
    places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    return ((tokens != padding) * places).amax(dim=1)


def accept_trimmed(clip: nn.Module) -> None:
    """Let open_clip's causal text tower run on captions shorter than its context, which its fixed mask forbids."""

    def fit_mask(_, inputs, named):
        if named.get("attn_mask") is not None:
            length = inputs[0].shape[1]
            named["attn_mask"] = named["attn_mask"][..., :length, :length]
        return inputs, named

    if isinstance(clip.text, TextTransformer):
        clip.text.transformer.register_forward_pre_hook(fit_mask, with_kwargs=True)


def input_dtype(clip: nn.Module) -> torch.dtype:
    """The dtype of the image tower's input."""
    return next(clip.visual.parameters()).dtype


def fingerprint(clip: nn.Module) -> str:
    """Identity of a backbone: 16 hexadecimal digits, the same in either precision and on every machine.

    It covers name, shape and a sample of every weight, and what weights do not determine: activations and other modules
    without weights, heads and pooling, since one file of weights may fit several models, such as ViT-B-32 and
    ViT-B-32-quickgelu. It tells backbones apart in milliseconds, but does not detect forgery.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(clip.state_dict().items()):
        flat = weight.detach().flatten()
        sample = flat[:: max(1, len(flat) // 32)][:32].to("cpu", torch.bfloat16)
        digest.update(f"{name} {tuple(weight.shape)}".encode() + sample.view(torch.int16).numpy().tobytes())
    for name, module in clip.named_modules():
        settings = {key: getattr(module, key) for key in IN_NO_WEIGHT if hasattr(module, key)}
        if settings or next(module.parameters(), None) is None:
            digest.update(f"{name} {type(module).__name__} {settings}".encode())
    return digest.hexdigest()[:16]


def _identifier(name: str, pretrained: str) -> str:
    """``name`` as open_clip spells it."""
    if name.startswith("hf-hub:") and pretrained:
        raise ConfigError(f"backbone {name!r} brings its own weights; leave pretrained empty")
    if "/" not in name or name.startswith("hf-hub:"):
        if not name.startswith("hf-hub:") and name not in open_clip.list_models():
            raise ConfigError(
                f"backbone {name!r} is neither an open_clip model (see open_clip.list_models()) nor a folder; "
                "write a folder with a slash, as in ./my-clip"
            )
        return name
    folder = resolve(name.removeprefix("local-dir:"))
    if not (folder / "open_clip_config.json").is_file():
        raise ConfigError(f"backbone folder {folder} has no open_clip_config.json; point to an open_clip folder")
    if not any(folder.glob("open_clip_*.safetensors")) and not any(folder.glob("open_clip_*.bin")):
        raise ConfigError(f"backbone folder {folder} has no weights (open_clip_model.safetensors)")
    if pretrained:
        raise ConfigError(f"backbone folder {folder} brings its own weights; leave pretrained empty")
    return f"local-dir:{folder}"


@contextmanager
def _weights(name: str, pretrained: str) -> Iterator[str | None]:
    """The tag or file to load, after a check for which open_clip only warns: OpenAI weights need QuickGELU."""
    tags = [] if "/" in name else open_clip.list_pretrained_tags_by_model(name)
    if not pretrained or pretrained in tags:
        wants_quick = open_clip.get_pretrained_cfg(name, pretrained).get("quick_gelu", False) if pretrained else None
        has_quick = bool((open_clip.get_model_config(name) or {}).get("quick_gelu"))
        if wants_quick is not None and wants_quick != has_quick:
            other = name.removesuffix("-quickgelu") if has_quick else f"{name}-quickgelu"
            raise ConfigError(f"{pretrained!r} weights were not trained with {name}'s activation: use {other!r}")
        yield pretrained or None
        return
    path = resolve(pretrained)
    if not path.is_file():
        raise ConfigError(
            f"pretrained {pretrained!r} is neither a tag of {name} ({', '.join(tags)}) nor a file ({path} is missing)"
        )
    weights_files.check(path, name)
    with weights_files.as_state_dict(path) as file:
        yield str(file)
