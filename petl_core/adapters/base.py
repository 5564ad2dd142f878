"""What every method shares: options, taps, open_clip's interface, saving."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import normalize as l2_normalize

from petl_core.adapters.layers import dropout
from petl_core.adapters.towers import TowerTaps, dropped_tokens
from petl_core.backbone import Backbone, accept_trimmed, fingerprint, input_dtype
from petl_core.errors import ConfigError
from petl_core.files import write_atomically

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)  # of every method's options


@dataclass(frozen=True, config=STRICT)
class NoOptions:
    """A method without options."""


class Method(nn.Module):
    """What a method adds to a CLIP.

    A subclass states its ``title`` and, in ``__init__``, builds its own modules as attributes and installs them into
    the frozen ``clip``; or it overrides the two ``encode`` methods. One that only reads the towers is a
    :class:`SideMethod`.

    Attributes:
        title: its name in tables and figures.
        parameter_count: how many it trains on ViT-B/32 with default options; None if the count is not fixed.
        Options: a pydantic dataclass of its options, each with a default.
    """

    title: ClassVar[str]
    parameter_count: ClassVar[int | None] = None
    Options: ClassVar[type] = NoOptions

    def __init__(self, clip: nn.Module, options: object):  # an instance of Options
        super().__init__()

    def encode_image(self, clip: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) images in the backbone's precision -> (B, d) embeddings."""
        return clip.encode_image(images)

    def encode_text(self, clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """(B, L) token ids -> (B, d) embeddings."""
        return clip.encode_text(tokens)

    def fold(self, clip: nn.Module) -> dict[str, torch.Tensor]:
        """Weights with which open_clip's own towers give the embeddings of the adapted ``clip``, by open_clip's names.

        Raises:
            ConfigError: those towers have no place for what the method computes.
        """
        raise ConfigError(
            f"{self.title} computes what open_clip's towers have no weights for, so it does not fold into them; "
            "export the adapter alone instead (hub)"
        )


class SideMethod(Method):
    """A method without gradients into the frozen towers: heads and side networks.

    What it reads from them is one tensor, (B, d) or (B, rows, ...) whose last rows are the tower's tokens, computed
    without a graph, so it can come from a cache. It is the embedding, or what ``taps`` says, by modality.
    """

    taps: dict[str, TowerTaps] = {}  # noqa: RUF012 (a method sets its own)
    tap_dropout = 0.0  # above zero within a second view, see second_view

    @property
    def tap_specs(self) -> dict[str, str]:
        """What is tapped from each tower, in words; methods with equal words share a cache."""
        if not self.taps:
            return {"image": "embedding", "text": "embedding"}
        return {"image": self.taps["visual"].spec, "text": self.taps["text"].spec}

    def tap_image(self, clip: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, ...) taps; call it without a graph."""
        if not self.taps:
            return clip.encode_image(images)
        return self.taps["visual"].read(clip.visual, clip.encode_image, images)

    def tap_text(self, clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """(B, L) token ids -> (B, ...) taps; call it without a graph."""
        return self.taps["text"].read(clip.text, clip.encode_text, tokens) if self.taps else clip.encode_text(tokens)

    def image_from_taps(self, taps: torch.Tensor) -> torch.Tensor:
        """(B, ...) float32 taps -> (B, d) embeddings."""
        return taps

    def text_from_taps(self, taps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(B, ...) float32 taps of the captions ``tokens`` (B, L) -> (B, d) embeddings."""
        return taps

    def current_view(self, taps: torch.Tensor) -> torch.Tensor:
        """Taps as the method's own layers get them: in float32, with elements dropped in a second view."""
        return dropout(taps.float(), self.tap_dropout)

    def encode_image(self, clip: nn.Module, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            taps = self.tap_image(clip, images)
        return self.image_from_taps(self.current_view(taps))

    def encode_text(self, clip: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            taps = self.tap_text(clip, tokens)
        return self.text_from_taps(self.current_view(taps), tokens)


class AdaptedCLIP(nn.Module):
    """A frozen backbone with one method attached, behind open_clip's own interface.

    Attributes:
        backbone: its ``clip`` is changed in place and belongs to this model from now on.
        clip: the backbone's ``clip``, as a submodule.
        name: the method's key in ``METHODS``.
        method: what it adds, a :class:`Method`.
        options: an instance of the method's ``Options``.
        backbone_fingerprint: :func:`petl_core.backbone.fingerprint` before anything was trained.
    """

    def __init__(self, backbone: Backbone, name: str, method: type[Method], options: Any):
        super().__init__()
        self.backbone, self.name, self.options = backbone, name, options
        self.backbone_fingerprint = fingerprint(backbone.clip)
        accept_trimmed(backbone.clip)
        self.clip = backbone.clip.requires_grad_(False).eval()
        self.method = method(self.clip, options).to(self.device)

    @property
    def device(self) -> torch.device:
        """The device of backbone and method."""
        return next(self.clip.parameters()).device

    def encode_image(self, images: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """(B, 3, H, W) preprocessed images -> (B, d) float32 embeddings."""
        return _embeddings(self.method.encode_image(self.clip, images.to(input_dtype(self.clip))), normalize)

    def encode_text(self, tokens: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """(B, L) token ids -> (B, d) float32 embeddings."""
        return _embeddings(self.method.encode_text(self.clip, tokens), normalize)

    @torch.no_grad()
    def tap_image(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) preprocessed images -> (B, ...) taps of a side method, in the backbone's precision."""
        return self.method.tap_image(self.clip, images.to(input_dtype(self.clip)))

    @torch.no_grad()
    def tap_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, L) token ids -> (B, ...) taps of a side method, in the backbone's precision."""
        return self.method.tap_text(self.clip, tokens)

    def image_from_taps(self, taps: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """A side method's (B, ...) taps, in any precision -> (B, d) float32 embeddings."""
        return _embeddings(self.method.image_from_taps(self.method.current_view(taps)), normalize)

    def text_from_taps(self, taps: torch.Tensor, tokens: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """A side method's (B, ...) taps of the captions ``tokens`` (B, L) -> (B, d) float32 embeddings."""
        return _embeddings(self.method.text_from_taps(self.method.current_view(taps), tokens), normalize)

    def train(self, mode: bool = True) -> "AdaptedCLIP":
        """Training mode for what is trained; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        trained = {name for name, p in self.clip.named_parameters() if p.requires_grad} - {"logit_scale"}
        self.clip.train(mode and bool(trained))
        return self

    def trainable(self) -> dict[str, nn.Parameter]:
        """What the method trains, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def trainable_count(self) -> int:
        """Number of trained parameters, without ``logit_scale`` (the convention of the published tables)."""
        return sum(p.numel() for name, p in self.trainable().items() if name != "clip.logit_scale")

    def save(self, path: str | Path) -> Path:
        """Write what the method trains as safetensors, with what is needed to attach it again as metadata."""
        about = {
            "method": self.name,
            "options": dataclasses.asdict(self.options),
            "train_logit_scale": self.clip.logit_scale.requires_grad,
            "backbone": self.backbone_fingerprint,
        }
        weights = {name: p.detach().cpu().contiguous() for name, p in self.trainable().items()}
        return write_atomically(Path(path), lambda file: save_file(weights, file, {"adapter": json.dumps(about)}))


@contextmanager
def second_view(model: AdaptedCLIP, probability: float) -> Iterator[None]:
    """Within this context ``model`` sees a second view of its inputs, for HMMC (:mod:`petl_core.losses`).

    For a method inside the towers this is PE-RSITR's view: elements of the token embeddings are dropped before block 1.
    A side method may train from cached taps, which can no longer be changed that way. So that it trains the same with
    and without a cache, elements of its taps are always dropped instead: of the tapped tokens, and of the frozen
    embedding, which would otherwise be the same in both views. This rule is ours.
    """
    if not isinstance(model.method, SideMethod):
        with dropped_tokens(model.clip, partial(dropout, p=probability)):
            yield
        return
    model.method.tap_dropout = probability
    try:
        yield
    finally:
        model.method.tap_dropout = 0.0


def fill_options(name: str, method: type[Method], options: dict) -> Any:
    """An instance of the method's ``Options``, with defaults for what ``options`` leaves out.

    Raises:
        ConfigError: an option that is unknown, of the wrong type or out of range.
    """
    known = [f.name for f in dataclasses.fields(method.Options)]
    if unknown := sorted(options.keys() - set(known)):
        raise ConfigError(f"options of {name}: unknown {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    try:
        return method.Options(**options)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"options of {name}: {'; '.join(problems)}") from error


def _embeddings(features: torch.Tensor, normalize: bool) -> torch.Tensor:
    features = features.float()
    return l2_normalize(features, dim=-1) if normalize else features
