"""What identifies a run. Importable without torch, so that a batch can name every run's folder cheaply."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

from petl_core.data import scene_labels
from petl_core.paths import ROOT, resolve
from petl_core.validation import ConfigError, check_types

RECIPE = 2  # raised whenever the same configuration would train differently, so that old runs are not reused


@dataclass(frozen=True)
class RunConfig:
    """One run, as data: everything that decides its result, and nothing about where files lie.

    Defaults are the run of a few seconds that the notebooks use as a test; the README has
    PE-RSITR's released settings.
    """

    dataset: str = "scenes-tiny"
    backbone: str = "embedded-tiny"  # embedded name, open_clip model name, or open_clip folder
    pretrained: str = ""  # tag or weights file, for an open_clip model name
    precision: str = "fp32"  # of the frozen backbone; what is trained is always fp32
    method: str = "mrs"
    method_options: dict = field(default_factory=dict)
    contrast: str = "infonce"  # or the released "triplet"
    w_cross: float = 1.0
    w_image: float = 1.0
    w_text: float = 1.0
    margin: float = 0.2  # of the triplet
    temperature: float = 0.07  # of InfoNCE
    learn_temperature: bool = False
    view_dropout: float = 0.2  # of token embeddings, for the second views
    mask_false_negatives: bool = False
    epochs: int = 2
    batch_size: int = 32
    pairs: str = "images"  # an epoch is every image once with a random caption, or every caption ("captions")
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    schedule: str = "cosine"  # to zero, or the released "step": x0.7 after epoch 20
    validation_fraction: float = 0.2
    train_images: int = 0  # use this many training images only, drawn by the seed; 0 = all
    seed: int = 2
    queue_size: int = 0  # recycled negatives of each modality; 0 = no queue term
    queue_weight: float = 1.0
    queue_warmup: int = 0  # first steps, in which the queue fills but does not count
    scene_probability: float = 0.0  # that a training caption takes its image's scene label
    scene_template: str = scene_labels.TEMPLATE
    cache_features: bool = False  # train a side method on its taps from disk, in half precision

    def __post_init__(self):
        declared = {f.name: f.type for f in dataclasses.fields(self)}
        for name, value in check_types(dataclasses.asdict(self), declared, "run configuration").items():
            object.__setattr__(self, name, value)
        for name in ("dataset", "backbone"):
            object.__setattr__(self, name, _portable(getattr(self, name)))
        self._check_ranges()

    def _check_ranges(self):
        choices = {
            "precision": ("fp32", "bf16"),
            "contrast": ("infonce", "triplet"),
            "pairs": ("images", "captions"),
            "schedule": ("cosine", "step"),
        }
        for name, allowed in choices.items():
            _require(getattr(self, name) in allowed, self, name, f"one of {', '.join(allowed)}")
        for name in (
            "w_cross",
            "w_image",
            "w_text",
            "margin",
            "weight_decay",
            "epochs",
            "train_images",
            "queue_weight",
            "queue_warmup",
            "seed",
        ):
            _require(getattr(self, name) >= 0, self, name, "at least 0")
        _require(
            self.epochs == 0 or self.w_cross + self.w_image + self.w_text > 0,
            self,
            "w_cross",
            "positive, or another term's weight",
        )
        for name in ("temperature", "learning_rate"):
            _require(getattr(self, name) > 0, self, name, "positive")
        _require(self.train_images != 1, self, "train_images", "0, or at least 2: a contrast needs a negative")
        _require(self.epochs == 0 or self.method != "zero_shot", self, "epochs", "0 for zero_shot")
        _require(self.batch_size >= 2, self, "batch_size", "at least 2: a contrast needs a negative")
        for name in ("validation_fraction", "view_dropout"):
            _require(0 < getattr(self, name) < 1, self, name, "between 0 and 1")
        _require(0 <= self.queue_size <= 65_536, self, "queue_size", "from 0 to 65,536")
        _require(0 <= self.scene_probability <= 1, self, "scene_probability", "from 0 to 1")
        scene_labels.check_template(self.scene_template)
        try:
            json.dumps(self.method_options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"run configuration: method_options must be JSON: {error}") from error

    @property
    def hash(self) -> str:
        """The run's name: 16 hexadecimal digits over every field."""
        content = json.dumps({"recipe": RECIPE, **dataclasses.asdict(self)}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def replace(self, **changes) -> "RunConfig":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def zero_shot(self) -> "RunConfig":
        """The untrained backbone on the same data: all other fields at their defaults, so that runs share it."""
        kept = ("dataset", "backbone", "pretrained", "precision")
        return RunConfig(**{name: getattr(self, name) for name in kept}, method="zero_shot", epochs=0)


def _require(condition: bool, config: RunConfig, name: str, wanted: str) -> None:
    if not condition:
        raise ConfigError(f"run configuration: {name} = {getattr(config, name)!r} must be {wanted}")


def _portable(name: str) -> str:
    """A path inside the project is named relative to its root, so that moving the project keeps its runs."""
    folder = name.removeprefix("local-dir:")
    if "/" not in folder or folder.startswith("hf-hub:"):
        return name
    path = resolve(folder).resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
