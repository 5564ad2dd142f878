"""Scene labels, read off file names by each data set's own rule."""

from __future__ import annotations

import re
from pathlib import Path

from petl_core.data.errors import broken
from petl_core.data.layouts import lines_of

UCM_CLASSES = (
    "agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential",
    "forest", "freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark",
    "overpass", "parkinglot", "river", "runway", "sparseresidential", "storagetanks", "tenniscourt",
)  # fmt: skip
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


def words_of(file: Path) -> dict[str, str]:
    """The optional table `prefix<TAB>words` beside the captions; empty without one."""
    words: dict[str, str] = {}
    for i, line in enumerate(lines_of(file) if file.exists() else [], start=1):
        prefix, _, scene = (part.strip() for part in line.partition("\t"))
        if not (prefix and scene):
            remedy = "Write one such pair a line, no blank lines"
            raise broken(f"{file}:{i}", "is not 'prefix<TAB>words'", remedy)
        words[prefix] = scene
    return words


def scene_of(stem: str, data_set: str, words: dict[str, str]) -> str | None:
    """An image's scene in words, or None: read off its file name by the data set's own rule, not guessed."""
    if data_set.startswith("ucm"):
        number = int(stem) if re.fullmatch("[0-9]{1,4}", stem) else 0
        prefix = UCM_CLASSES[(number - 1) // 100] if 1 <= number <= 100 * len(UCM_CLASSES) else None
    else:
        match = re.fullmatch(r"(.*[^\d_].*)_\d+", stem)
        prefix = match[1] if match else None
    if prefix is None:
        return None
    if prefix in words:
        return words[prefix]
    if data_set.startswith(("rsicd", "rsitmd", "ucm", "scenes")):
        return SCENE_WORDS.get(prefix, re.sub(r"[_-]+", " ", prefix))
    return None
