"""The default data sets: small captioned aerial scenes and ground-level twins, drawn when first asked for by name.

``-tiny`` ones take seconds and serve as tests; the others make the default study.
"""

from pathlib import Path

from petl_core import data
from petl_core.paths import resolve

DRAWN = {
    "scenes": {"domain": "aerial", "train": 800, "test": 300},
    "scenes-tiny": {"domain": "aerial", "train": 160, "test": 48},
    "scenes-natural": {"domain": "natural", "train": 6000, "test": 300},
    "scenes-natural-tiny": {"domain": "natural", "train": 320, "test": 48},
}


def load_or_draw(name: str, root: str | Path = "data", progress: bool = False) -> data.RetrievalData:
    """A data set by name or path, as :func:`petl_core.data.load`; a default one is drawn if it is not there."""
    if name in DRAWN:
        import drawn_scenes  # only where something is drawn

        drawn_scenes.write(resolve(root), name, **DRAWN[name], progress=progress)
    return data.load(name, resolve(root))
