"""The default data sets: small captioned aerial scenes and ground-level scenes, drawn when first used.

The ``-tiny`` ones take seconds and serve as tests; the others make the default study.
"""

from pathlib import Path
from typing import Any

from petl_core.data.layouts import load
from petl_core.data.split import RetrievalData
from petl_core.errors import ConfigError
from petl_core.files import resolve

# Arguments of ``drawn_scenes.write``, by name. For another set add a line, or use a command (see data/README.md).
DRAWN: dict[str, dict[str, Any]] = {
    "scenes": {"domain": "aerial", "train": 800, "test": 300},
    "scenes-tiny": {"domain": "aerial", "train": 160, "test": 48},
    "scenes-natural": {"domain": "natural", "train": 6000, "test": 300},
    "scenes-natural-tiny": {"domain": "natural", "train": 320, "test": 48},
}


def load_or_draw(name: str, root: str | Path = "data", progress: bool = False) -> RetrievalData:
    """Read a data set as :func:`petl_core.data.load`; a default one is drawn if it does not exist.

    Raises:
        DataError: anything is missing or broken.
        ConfigError: the folder of a default set was drawn with other settings, or by another version.
    """
    if name in DRAWN:
        import drawn_scenes  # only if something is drawn

        try:
            drawn_scenes.write(resolve(root), name, **DRAWN[name], progress=progress)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    return load(name, resolve(root))
