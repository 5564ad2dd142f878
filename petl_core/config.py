"""What identifies a run. Importable without torch, so that a batch can name every run's folder cheaply."""

import dataclasses
import hashlib
import json
import math
import os.path
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petl_core.data import scene_labels
from petl_core.errors import ConfigError
from petl_core.files import ROOT, resolve
from petl_core.validation import check_types

RECIPE = 4  # raised whenever the same configuration would train differently, so that old runs are not reused
REVISED = {"blank_captions": 2}  # the same for a field: renames only the runs in which it is not at its default

# What a field may hold, besides its type.
CHOICES = {
    "precision": ("fp32", "bf16"),
    "contrast": ("infonce", "triplet"),
    "pairs": ("images", "captions"),
    "schedule": ("cosine", "constant", "step"),
    "queue_keys": ("own", "ema"),
    "queue_directions": ("both", "image", "text"),
}
NOT_NEGATIVE = (
    "margin",
    "weight_decay",
    "epochs",
    "patience",
    "gradient_cache",
    "train_images",
    "queue_weight",
    "queue_warmup",
    "queue_ramp",
    "queue_hardest",
    "scene_weight",
    "seed",
)
POSITIVE = ("temperature", "learning_rate", "validation_interval")
FRACTIONS = ("validation_fraction", "view_dropout", "queue_momentum")  # above 0 and below 1
LARGEST_QUEUE = 65_536


@dataclass(frozen=True)
class RunConfig:
    """One run, as data: everything that decides its result, and nothing about where files are.

    The defaults are a run of a few seconds, which the notebooks use as a test. The README has PE-RSITR's settings.

    Raises:
        ConfigError: a field of the wrong type or out of range.
    """

    dataset: str = "scenes-tiny"
    backbone: str = "embedded-tiny"  # embedded name, open_clip model name, or open_clip folder
    pretrained: str = ""  # tag or weights file, for an open_clip model name
    precision: str = "fp32"  # of the frozen backbone; what is trained is always fp32
    method: str = "mrs"
    method_options: dict = field(default_factory=dict)
    contrast: str = "infonce"  # or the released "triplet"
    w_cross: float = 1.0  # the image-text term, with which every method trains
    w_image: float = 0.0  # the other two terms of HMMC, used only in PE-RSITR's own rows
    w_text: float = 0.0
    margin: float = 0.2  # of the triplet
    temperature: float = 0.07  # of InfoNCE, and of a scene cross-entropy
    learn_temperature: bool = False  # starting from CLIP's; its inverse is clamped at 100, as in CLIP
    view_dropout: float = 0.2  # dropout of token embeddings, for the second views
    mask_false_negatives: bool = False
    epochs: int = 2  # at most, if there is patience
    patience: int = 0  # stop after this many epochs without a better validation mR; 0 = train all epochs
    validation_interval: int = 1  # epochs from one validation to the next; the last epoch always ends with one
    batch_size: int = 32
    gradient_cache: int = 0  # pairs encoded at a time with a graph (GradCache), for large batches; 0 = all
    pairs: str = "images"  # an epoch is every image once with a random caption, or every caption ("captions")
    learning_rate: float = 2e-3
    weight_decay: float = 0.0  # of all that is trained, a learned temperature included
    schedule: str = "cosine"  # to zero; "constant"; or PE-RSITR's "step", x0.7 at the 20th epoch, the 40th, ...
    validation_fraction: float = 0.2
    train_images: int = 0  # use only this many training images, drawn by the seed; 0 = all
    seed: int = 2
    queue_size: int = 0  # recycled negatives of each modality; 0 = no queue term
    queue_weight: float = 1.0
    queue_warmup: int = 0  # steps in which the queue fills but does not yet count
    queue_ramp: int = 0  # steps after the warm-up in which the weight grows to queue_weight
    queue_keys: str = "own"  # what encodes the queue: the model, or "ema", a slow copy of what it trains
    queue_momentum: float = 0.99  # of the slow copy
    queue_directions: str = "both"  # anchors that use a queue: "image", "text" or both
    queue_hardest: int = 0  # use only this many nearest negatives per anchor; 0 = all
    scene_probability: float = 0.0  # of a training caption to take its image's scene label
    scene_template: str = scene_labels.TEMPLATE
    scene_weight: float = 0.0  # of a cross-entropy over the scene labels, added to the contrast
    scene_balance: bool = False  # draw the images of a batch evenly from the scenes
    blank_captions: bool = False  # train on them, as PE-RSITR's release does
    cache_features: bool = False  # train a side method on its taps from disk, in half precision

    def __post_init__(self):
        declared = {f.name: f.type for f in dataclasses.fields(self)}
        for name, value in check_types(dataclasses.asdict(self), declared, "run configuration").items():
            object.__setattr__(self, name, value)
        for name in ("dataset", "backbone", "pretrained"):
            object.__setattr__(self, name, _relative_to_root(getattr(self, name)))
        self._check_ranges()
        self._check_combinations()
        try:
            json.dumps(self.method_options, allow_nan=False, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"run configuration: method_options must be JSON: {error}") from error

    def _check_ranges(self) -> None:
        """Each field alone."""
        for name, allowed in CHOICES.items():
            self._require(getattr(self, name) in allowed, name, f"one of {', '.join(allowed)}")
        for name, value in dataclasses.asdict(self).items():
            self._require(not isinstance(value, float) or math.isfinite(value), name, "finite")
        for name in (*NOT_NEGATIVE, *(f"w_{term}" for term in self.terms)):
            self._require(getattr(self, name) >= 0, name, "at least 0")
        for name in POSITIVE:
            self._require(getattr(self, name) > 0, name, "positive")
        for name in FRACTIONS:
            self._require(0 < getattr(self, name) < 1, name, "between 0 and 1")
        self._require(self.train_images != 1, "train_images", "0, or at least 2: a contrast needs a negative")
        self._require(self.batch_size >= 2, "batch_size", "at least 2: a contrast needs a negative")
        self._require(0 <= self.queue_size <= LARGEST_QUEUE, "queue_size", f"from 0 to {LARGEST_QUEUE:,}")
        self._require(0 <= self.scene_probability <= 1, "scene_probability", "from 0 to 1")

    def _check_combinations(self) -> None:
        """Fields that make sense only together."""
        has_loss = any(self.terms.values())
        self._require(self.epochs == 0 or has_loss, "w_cross", "positive, or another term's weight")
        self._require(self.epochs == 0 or self.method != "zero_shot", "epochs", "0 for zero_shot")
        if self.pairs == "captions" and self.scene_balance:
            raise ConfigError("run configuration: scene_balance draws images; set pairs to 'images'")
        if self.gradient_cache and self.cache_features:
            raise ConfigError("run configuration: gradient_cache is of no use with cache_features; set it to 0")
        if self.cache_features and self.scene_probability:
            raise ConfigError(
                "run configuration: cache_features: captions with scene labels are not cached; "
                "set cache_features to False, or scene_probability to 0"
            )

    def _require(self, condition: bool, name: str, wanted: str) -> None:
        if not condition:
            raise ConfigError(f"run configuration: {name} = {getattr(self, name)!r} must be {wanted}")

    @property
    def terms(self) -> dict[str, float]:
        """The terms of the loss, each with its weight, a field ``w_<term>``."""
        return {name.removeprefix("w_"): value for name, value in vars(self).items() if name.startswith("w_")}

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        values = dataclasses.asdict(self)
        return {f.name: values[f.name] for f in dataclasses.fields(self) if values[f.name] != _default(f)}

    @property
    def hash(self) -> str:
        """The run's name: 16 hexadecimal digits over the recipe and the fields that differ from their defaults.

        So a new field whose default changes nothing renames no run.
        """
        changed = self.changed()
        revised = {f"recipe of {name}": number for name, number in REVISED.items() if name in changed}
        content = json.dumps({"recipe": RECIPE, **revised, **changed}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def replace(self, **changes: Any) -> "RunConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def zero_shot(self) -> "RunConfig":
        """The untrained backbone on the same data: all other fields at their defaults, so that runs share it."""
        kept = ("dataset", "backbone", "pretrained", "precision")
        return RunConfig(**{name: getattr(self, name) for name in kept}, method="zero_shot", epochs=0)


def _default(declared: dataclasses.Field) -> Any:
    if declared.default_factory is not dataclasses.MISSING:
        return declared.default_factory()
    return declared.default


def _relative_to_root(name: str) -> str:
    """A path inside the project becomes relative to its root, so that moving the project keeps its runs."""
    folder = name.removeprefix("local-dir:")
    if "/" not in folder or folder.startswith("hf-hub:"):
        return name
    path = resolve(folder)
    as_written, target = Path(os.path.normpath(path)), path.resolve()
    for place in (as_written, target):  # where a link inside the project leads to is no part of a run
        if place.is_relative_to(ROOT):
            return str(place.relative_to(ROOT))
    return str(target)
