"""What every method shares: options, open_clip's interface, saving and loading."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import normalize as l2_normalize

from petl_core import backbone
from petl_core.files import write_atomically
from petl_core.parameters import ConfigError, check_types


@dataclass(frozen=True)
class NoOptions:
    """A method without options."""


class Method(nn.Module):
    """What a method adds to a CLIP.

    A subclass names its ``Options`` and, in ``__init__``, builds its own modules as attributes and installs them into
    the frozen ``clip``; or it overrides the two ``encode`` methods (heads and side networks).
    """

    Options = NoOptions

    def __init__(self, clip: nn.Module, options):
        super().__init__()

    def encode_image(self, clip: nn.Module, images: torch.Tensor) -> torch.Tensor:
        return clip.encode_image(images)

    def encode_text(self, clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        return clip.encode_text(tokens)


class AdaptedCLIP(nn.Module):
    """A frozen CLIP with one method attached, behind open_clip's own interface."""

    def __init__(self, clip: nn.Module, name: str, method: type[Method], options):
        super().__init__()
        backbone.accept_trimmed(clip)
        self.backbone_fingerprint = backbone.fingerprint(clip)
        self.name = name
        self.options = options
        self.clip = clip.requires_grad_(False).eval()
        self.method = method(clip, options)

    def encode_image(self, images: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """(B, 3, H, W) preprocessed images -> (B, d) float32 embeddings."""
        features = self.method.encode_image(self.clip, images.to(backbone.input_dtype(self.clip))).float()
        return l2_normalize(features, dim=-1) if normalize else features

    def encode_text(self, tokens: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """(B, L) token ids -> (B, d) float32 embeddings."""
        features = self.method.encode_text(self.clip, tokens).float()
        return l2_normalize(features, dim=-1) if normalize else features

    def train(self, mode: bool = True) -> "AdaptedCLIP":
        """Training mode for what is trained; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        self.clip.train(mode and any(p.requires_grad for p in self.clip.parameters()))
        return self

    def trainable(self) -> dict[str, nn.Parameter]:
        """What the method trains, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def trainable_count(self) -> int:
        """Number of trained parameters, without ``logit_scale`` (the convention of the published tables)."""
        return sum(p.numel() for name, p in self.trainable().items() if name != "clip.logit_scale")

    def save(self, path: str | Path) -> Path:
        """Write what the method trains as safetensors, with what it takes to attach it again as metadata."""
        metadata = {
            "method": self.name,
            "options": json.dumps(dataclasses.asdict(self.options)),
            "train_logit_scale": json.dumps(self.clip.logit_scale.requires_grad),
            "backbone": self.backbone_fingerprint,
        }
        weights = {name: p.detach().cpu().contiguous() for name, p in self.trainable().items()}
        return write_atomically(Path(path), lambda temporary: save_file(weights, temporary, metadata))


def attach_method(clip: nn.Module, name: str, method: type[Method], options: dict, train_logit_scale: bool):
    """An :class:`AdaptedCLIP`; ``clip`` itself is changed and belongs to it from now on."""
    model = AdaptedCLIP(clip, name, method, check_options(name, method, options))
    clip.logit_scale.requires_grad_(train_logit_scale)
    low = [n for n, p in model.trainable().items() if p.dtype != torch.float32]
    if low:
        raise ConfigError(f"{name} trains the backbone's own weights ({low[0]}, ...): use precision fp32")
    return model


def check_options(name: str, method: type[Method], options: dict):
    """The method's options dataclass, filled.

    Raises:
        ConfigError: an unknown or ill-typed option.
    """
    declared = {f.name: f.type for f in dataclasses.fields(method.Options)}
    try:
        return method.Options(**check_types(options, declared, f"options of {name}"))
    except ValueError as error:
        raise (error if isinstance(error, ConfigError) else ConfigError(f"options of {name}: {error}")) from error


def read_adapter(path: str | Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and weights of a saved adapter.

    Raises:
        ConfigError: a missing, broken or foreign file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"adapter {path}: not a readable safetensors file ({error}); train or copy it again"
        ) from error
    if "method" not in metadata or "backbone" not in metadata:
        raise ConfigError(f"adapter {path}: no adapter metadata; it was not written by AdaptedCLIP.save")
    return metadata, weights
