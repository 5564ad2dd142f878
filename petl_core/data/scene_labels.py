"""Scene labels: from file names, by each data set's own rule; and in captions (CMER, arXiv 2501.10638).

How labels join captions is a reconstruction: CMER's code and templates were not released. In training a caption takes
its image's label with a probability; at test time queries take none. Importable without torch.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from petl_core.data.split import Split

TEMPLATE = "a satellite photo of {scene}: {caption}"
CLASS_PROMPT = "a satellite photo of {scene}"
UNKNOWN = -1  # the class of an image without a label, or with one that is not in training

UCM_CLASSES = (
    "agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential",
    "forest", "freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark",
    "overpass", "parkinglot", "river", "runway", "sparseresidential", "storagetanks", "tenniscourt",
)  # fmt: skip
# Data sets whose file names are known to name the scene. Drawn ones have a table of their words instead.
NAMED_BY_SCENE = ("rsicd", "rsitmd", "ucm")
WORDS = (
    "bare land", "baseball diamond", "baseball field", "dense residential", "golf course", "medium residential",
    "mobile home park", "parking lot", "railway station", "sparse residential", "storage tanks", "tennis court",
)  # fmt: skip


def scene_of(stem: str, data_set: str, words: dict[str, str]) -> str | None:
    """An image's scene in words, by its data set's own rule; None, never a guess, if its file name gives none.

    >>> scene_of("denseresidential_12", "rsicd", {}), scene_of("101", "ucm", {}), scene_of("00923", "rsicd", {})
    ('dense residential', 'airplane', None)

    Args:
        stem: the file name without its suffix.
        data_set: plain name of the data set.
        words: scenes by prefix of the file name; they override the usual ones.
    """
    if data_set == "ucm":  # a hundred images of each class, in alphabetical order
        number = int(stem) if re.fullmatch("[0-9]{1,4}", stem) else 0
        prefix = UCM_CLASSES[(number - 1) // 100] if 1 <= number <= 100 * len(UCM_CLASSES) else None
    else:  # the part before a trailing _number, unless it is a number itself
        match = re.fullmatch(r"(.*[^\d_].*)_\d+", stem)
        prefix = match[1] if match else None
    if prefix in words:
        return words[prefix]
    if prefix is None or data_set not in NAMED_BY_SCENE:
        return None
    return {phrase.replace(" ", ""): phrase for phrase in WORDS}.get(prefix, re.sub(r"[_-]+", " ", prefix))


def labelled_captions(split: Split) -> list[str]:
    """The M captions, each joined by the label of its image; unchanged if the image has none."""
    return join_labels(split.captions, [split.scenes[image] for image in split.image_of])


def join_labels(captions: Sequence[str], scenes: Sequence[str | None]) -> list[str]:
    """Each caption joined by its label; unchanged if that is None."""
    return [
        caption if scene is None else TEMPLATE.format(scene=scene, caption=caption)
        for caption, scene in zip(captions, scenes, strict=True)
    ]


def draw_labelled(count: int, probability: float, generator: np.random.Generator) -> np.ndarray:
    """Which captions of a batch take their labelled form: (count,) bool, drawn independently."""
    return generator.random(count) < probability


def scene_classes(scenes: Iterable[str | None]) -> list[str]:
    """The C distinct labels of images, in alphabetical order."""
    return sorted({scene for scene in scenes if scene is not None})


def class_indices(scenes: Sequence[str | None], classes: Sequence[str]) -> np.ndarray:
    """The index of each image's label among the classes: (N,) int64, ``UNKNOWN`` if it is not one of them.

    >>> class_indices(["river", None, "airport"], ["beach", "river"])
    array([ 1, -1, -1])
    """
    place = {scene: i for i, scene in enumerate(classes)}
    return np.array([UNKNOWN if scene is None else place.get(scene, UNKNOWN) for scene in scenes], dtype=np.int64)


def class_prompts(classes: Sequence[str]) -> list[str]:
    """The text that represents each class."""
    return [CLASS_PROMPT.format(scene=scene) for scene in classes]
