"""An adapter as a file: the weights that a method trains, and what is needed to attach it again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from petl_core.errors import ConfigError
from petl_core.files import write_atomically

Value = TypeVar("Value")


@dataclass(frozen=True)
class SavedAdapter:
    """One safetensors file: ``weights`` by name, and everything else as its metadata."""

    method: str  # a key of METHODS
    options: dict
    train_logit_scale: bool
    backbone: str  # fingerprint
    architecture: str  # digest; empty in older files
    weights: dict[str, torch.Tensor]

    def write(self, path: Path) -> Path:
        metadata = {
            "method": self.method,
            "options": json.dumps(self.options),
            "train_logit_scale": json.dumps(self.train_logit_scale),
            "backbone": self.backbone,
            "architecture": self.architecture,
        }
        return write_atomically(path, lambda temporary: save_file(self.weights, temporary, metadata))

    @classmethod
    def read(cls, path: Path) -> "SavedAdapter":
        """The adapter in a file.

        Raises:
            ConfigError: the file is missing, broken, or not an adapter.
        """
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (OSError, SafetensorError) as error:
            problem = f"not a readable safetensors file ({error}); train or copy it again"
            raise ConfigError(f"adapter {path}: {problem}") from error
        if not {"method", "options", "train_logit_scale", "backbone"} <= metadata.keys():
            raise ConfigError(f"adapter {path}: no adapter metadata; it was not written by AdaptedCLIP.save")
        return cls(
            method=metadata["method"],
            options=_from_json(metadata, "options", dict, path),
            train_logit_scale=_from_json(metadata, "train_logit_scale", bool, path),
            backbone=metadata["backbone"],
            architecture=metadata.get("architecture", ""),
            weights=weights,
        )


def _from_json(metadata: dict[str, str], key: str, wanted: type[Value], path: Path) -> Value:
    """The value of a key, of the wanted type."""
    try:
        value = json.loads(metadata[key])
    except ValueError as error:
        raise ConfigError(
            f"adapter {path}: {key} in its metadata is not JSON ({error}); train or copy it again"
        ) from error
    if type(value) is not wanted:
        raise ConfigError(
            f"adapter {path}: {key} in its metadata is {metadata[key]}, but must be {wanted.__name__}; "
            "train or copy it again"
        )
    return value
