"""The embedded default: data sets drawn and backbones pre-trained here, made when first asked for by name.

``-tiny`` ones take seconds and serve as tests; the others make the default study.
"""

from pathlib import Path

from petl_core import data, pretrain, scenes
from petl_core.parameters import resolve

DATASETS = {
    "scenes": {"domain": "aerial", "train": 800, "test": 300},
    "scenes-tiny": {"domain": "aerial", "train": 160, "test": 48},
    "scenes-natural": {"domain": "natural", "train": 6000, "test": 300},
    "scenes-natural-tiny": {"domain": "natural", "train": 320, "test": 48},
}
BACKBONES = {
    "embedded": pretrain.PretrainConfig(dataset="scenes-natural"),
    "embedded-tiny": pretrain.PretrainConfig(dataset="scenes-natural-tiny", epochs=2),
}


def dataset(name: str, root: str | Path = "data", progress: bool = False) -> data.RetrievalData:
    """A data set by name or path, as :func:`petl_core.data.load`; an embedded one is drawn if it is not there."""
    if name in DATASETS:
        scenes.write(resolve(root), name, **DATASETS[name], progress=progress)
    return data.load(name, resolve(root))


def backbone(name: str, runs_root: str | Path = "runs", data_root: str | Path = "data", progress: bool = False) -> str:
    """What :func:`petl_core.backbone.load` takes for ``name``; an embedded backbone is pre-trained if need be."""
    if name not in BACKBONES:
        return name
    folder = resolve(runs_root) / "backbones" / name
    config = BACKBONES[name]
    if not pretrain.is_done(folder, config):
        pretrain.pretrain(config, dataset(config.dataset, data_root, progress), folder, progress)
    return str(folder)
