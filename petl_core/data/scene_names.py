"""Scene labels from file names, by each data set's own rule."""

import re
from pathlib import Path

from petl_core.data.errors import broken
from petl_core.data.layouts import read_lines

UCM_CLASSES = (
    "agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential",
    "forest", "freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark",
    "overpass", "parkinglot", "river", "runway", "sparseresidential", "storagetanks", "tenniscourt",
)  # fmt: skip
# Data sets whose file names are known to name the scene. Drawn ones have a table of their words instead.
NAMED_BY_SCENE = ("rsicd", "rsitmd", "ucm")
SCENE_WORDS = {
    "bareland": "bare land",
    "baseballdiamond": "baseball diamond",
    "baseballfield": "baseball field",
    "denseresidential": "dense residential",
    "golfcourse": "golf course",
    "mediumresidential": "medium residential",
    "mobilehomepark": "mobile home park",
    "parkinglot": "parking lot",
    "railwaystation": "railway station",
    "sparseresidential": "sparse residential",
    "storagetanks": "storage tanks",
    "tenniscourt": "tennis court",
}


def read_scene_words(file: Path) -> dict[str, str]:
    """Read the optional table of ``prefix<TAB>words`` lines next to the captions; empty without one.

    Raises:
        DataError: a line is not such a pair.
    """
    words: dict[str, str] = {}
    for i, line in enumerate(read_lines(file) if file.exists() else [], start=1):
        prefix, _, scene = (part.strip() for part in line.partition("\t"))
        if not (prefix and scene):
            remedy = "Write one such pair per line, without blank lines"
            raise broken(f"{file}:{i}", "is not 'prefix<TAB>words'", remedy)
        words[prefix] = scene
    return words


def scene_of(stem: str, data_set: str, words: dict[str, str]) -> str | None:
    """An image's scene in words, from its file name by the data set's own rule, never guessed.

    >>> scene_of("denseresidential_12", "rsicd", {}), scene_of("101", "ucm", {}), scene_of("00923", "rsicd", {})
    ('dense residential', 'airplane', None)

    Args:
        stem: the file name without its suffix.
        data_set: plain name of the data set.
        words: scenes by prefix of the file name; they override the usual ones.

    Returns:
        The scene, or None if the file name does not give one.
    """
    prefix = _ucm_class(stem) if data_set == "ucm" else _prefix(stem)
    if prefix is None:
        return None
    if prefix in words:
        return words[prefix]
    if data_set in NAMED_BY_SCENE:
        return SCENE_WORDS.get(prefix, re.sub(r"[_-]+", " ", prefix))
    return None


def _ucm_class(stem: str) -> str | None:
    """UCM numbers its images: a hundred of each class, in alphabetical order."""
    number = int(stem) if re.fullmatch("[0-9]{1,4}", stem) else 0
    return UCM_CLASSES[(number - 1) // 100] if 1 <= number <= 100 * len(UCM_CLASSES) else None


def _prefix(stem: str) -> str | None:
    """The part before a trailing ``_number``, unless it is a number itself."""
    match = re.fullmatch(r"(.*[^\d_].*)_\d+", stem)
    return match[1] if match else None
