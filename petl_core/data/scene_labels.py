"""Scene label augmentation: the scene category, as words, joins the caption (CMER, arXiv 2501.10638).

A reconstruction: CMER's code and templates were not released. In training a caption takes its image's label with a
probability. Test queries take none, unless a mode asks for it:

none        the caption as it stands: the default
oracle      the true label of the query's own image: a leak, to be reported apart
predicted   the label that the query text itself suggests, among the classes seen in training: fair

Images without a label keep their captions unchanged. Importable without torch.
"""

from collections.abc import Callable, Sequence
from string import Formatter

import numpy as np

from petl_core.data.split import Split
from petl_core.validation import ConfigError

TEMPLATE = "a satellite photo of {scene}: {caption}"
CLASS_PROMPT = "a satellite photo of {scene}"
TEST_MODES = ("none", "oracle", "predicted")


def check_template(template: str) -> None:
    """Check that a template has {scene} and {caption}, once each, and no other field.

    Raises:
        ConfigError: it has not.
    """
    try:
        fields = [field[1:] for field in Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        raise ConfigError(f"scene template {template!r}: {error}") from error
    plain = all(not specification and not conversion for _, specification, conversion in fields)
    if sorted(str(name) for name, _, _ in fields) != ["caption", "scene"] or not plain:
        raise ConfigError(f"scene template {template!r} must hold {{scene}} and {{caption}}, once each, and no other")


def labelled_captions(split: Split, template: str = TEMPLATE) -> list[str]:
    """The M captions, each joined by the label of its image; unchanged where the image has none.

    Raises:
        ConfigError: see :func:`check_template`.
    """
    check_template(template)
    return _join(split.captions, [split.scenes[image] for image in split.image_of], template)


def draw_labelled(count: int, probability: float, generator: np.random.Generator) -> np.ndarray:
    """Which captions of a batch take their labelled form: (count,) bool, drawn independently."""
    return generator.random(count) < probability


def scene_classes(split: Split) -> list[str]:
    """The C distinct scene labels of a split, in alphabetical order."""
    return sorted({scene for scene in split.scenes if scene is not None})


def class_prompts(classes: Sequence[str]) -> list[str]:
    """The texts that stand for the classes in :func:`predict_scenes`."""
    return [CLASS_PROMPT.format(scene=scene) for scene in classes]


def predict_scenes(text_embeddings: np.ndarray, class_embeddings: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Zero-shot scene of each caption: the class whose prompt is nearest in the model's own text space.

    Args:
        text_embeddings: (M, d) normalised embeddings of the captions.
        class_embeddings: (C, d) normalised embeddings of :func:`class_prompts`.
        classes: the C labels.

    Raises:
        ConfigError: there is no class, as in a data set without scene labels.
    """
    if not len(classes):
        raise ConfigError("no scene class was seen in training, so none can be predicted")
    return [classes[i] for i in (text_embeddings @ class_embeddings.T).argmax(axis=1)]


def test_queries(
    split: Split, mode: str, template: str, predict: Callable[[Sequence[str]], Sequence[str]]
) -> list[str]:
    """The M captions of a test split as queries, in one of ``TEST_MODES``.

    Args:
        split: whose scenes are looked at in mode "oracle" alone.
        mode: "none", "oracle" or "predicted".
        template: how scene and caption are joined.
        predict: captions (M,) -> their labels (M,), from the texts alone; called in mode "predicted" alone.

    Raises:
        ConfigError: an unknown mode or a bad template.
    """
    check_template(template)
    if mode == "none":
        return list(split.captions)
    if mode == "oracle":
        return labelled_captions(split, template)
    if mode == "predicted":
        return _join(split.captions, predict(split.captions), template)
    raise ConfigError(f"scene test mode {mode!r} must be one of {', '.join(TEST_MODES)}")


def _join(captions: Sequence[str], scenes: Sequence[str | None], template: str) -> list[str]:
    """Each caption with its scene, as it stands where that is None."""
    return [
        caption if scene is None else template.format(scene=scene, caption=caption)
        for caption, scene in zip(captions, scenes, strict=True)
    ]
