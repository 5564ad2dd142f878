"""The default backbones: small CLIPs, pre-trained here when first used.

``embedded-tiny`` takes seconds and serves as a test; ``embedded`` makes the default study.
"""

from pathlib import Path

from petl_core.data.default_data import load_or_draw
from petl_core.errors import ConfigError
from petl_core.files import resolve
from petl_core.training import pretraining

BACKBONES = {
    "embedded": pretraining.PretrainConfig(dataset="scenes-natural"),
    "embedded-tiny": pretraining.PretrainConfig(dataset="scenes-natural-tiny", epochs=2),
}


def find_or_pretrain(
    name: str, runs_root: str | Path = "runs", data_root: str | Path = "data", progress: bool = False
) -> str:
    """What :func:`petl_core.backbone.load` takes for ``name``; a default backbone is pre-trained if needed."""
    if name not in BACKBONES:
        return name
    folder = resolve(runs_root) / "backbones" / name
    config = BACKBONES[name]
    if not pretraining.is_done(folder, config):
        pretraining.pretrain(config, load_or_draw(config.dataset, data_root, progress), folder, progress)
    return str(folder)


def require_weights(name: str, pretrained: str) -> None:
    """Raise ConfigError for a backbone whose weights would be random: an open_clip model without pretrained weights."""
    if "/" not in name and name not in BACKBONES and not pretrained:
        raise ConfigError(
            f"backbone {name!r}: its weights would be random; set pretrained to a tag such as 'openai', or to a "
            "weights file"
        )
