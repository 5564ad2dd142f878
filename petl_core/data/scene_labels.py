"""Scene label augmentation: the scene category, as words, joins the caption (CMER, arXiv 2501.10638).

A reconstruction: CMER's code and templates were not released. In training a caption takes its image's label with a
probability. At test time queries take none; :mod:`petl_core.runs.scene_tests` has what labels can do there.

Images without a label keep their captions unchanged. Importable without torch.
"""

from collections.abc import Iterable, Sequence
from string import Formatter

import numpy as np

from petl_core.data.split import Split
from petl_core.errors import ConfigError

TEMPLATE = "a satellite photo of {scene}: {caption}"
CLASS_PROMPT = "a satellite photo of {scene}"
UNKNOWN = -1  # the class of an image without a label, or with one that is not in training


def check_template(template: str) -> None:
    """Check that a template has {scene} and {caption}, once each, and no other field.

    Raises:
        ConfigError: the template has other fields, or these in another form.
    """
    try:
        fields = [field[1:] for field in Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        raise ConfigError(f"scene template {template!r}: {error}") from error
    plain = all(not specification and not conversion for _, specification, conversion in fields)
    if sorted(str(name) for name, _, _ in fields) != ["caption", "scene"] or not plain:
        raise ConfigError(f"scene template {template!r} must hold {{scene}} and {{caption}}, once each, and no other")


def labelled_captions(split: Split, template: str = TEMPLATE) -> list[str]:
    """The M captions, each joined by the label of its image; unchanged if the image has none.

    Raises:
        ConfigError: see :func:`check_template`.
    """
    check_template(template)
    return join_labels(split.captions, [split.scenes[image] for image in split.image_of], template)


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


def join_labels(captions: Sequence[str], scenes: Sequence[str | None], template: str) -> list[str]:
    """Each caption joined by its label; unchanged if that is None."""
    return [
        caption if scene is None else template.format(scene=scene, caption=caption)
        for caption, scene in zip(captions, scenes, strict=True)
    ]
