"""What identifies a run. Importable without torch, so that a batch can name every run's folder cheaply."""

import hashlib
import json
import os.path
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from petl_core.errors import ConfigError
from petl_core.files import ROOT, resolve

RECIPE = 5  # raised whenever the same configuration would train differently, so that old runs are not reused

NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class RunConfig(BaseModel):
    """One run, as data: everything that decides its result, and nothing about where files are.

    The defaults are a run of a few seconds, which the tests use. What no section of study.yaml varies is a constant
    where it is used, such as the triplet's margin in :mod:`petl_core.losses`.

    Raises:
        ConfigError: an unknown field, or one of the wrong type or out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    dataset: str = "scenes-tiny"
    backbone: str = "data/small-clip"  # open_clip folder or model name
    pretrained: str = ""  # tag or weights file, for an open_clip model name
    method: str = "mrs"
    method_options: dict[str, Any] = {}

    # The loss.
    contrast: Literal["infonce", "triplet"] = "infonce"  # the triplet is PE-RSITR's, as released
    w_cross: NotNegative = 1.0  # the image-text term, with which every method trains
    w_image: NotNegative = 0.0  # the other two terms of HMMC
    w_text: NotNegative = 0.0
    temperature: Positive = 0.07  # of InfoNCE, and of the scene cross-entropy
    learn_temperature: bool = False  # starting from CLIP's
    view_dropout: float = Field(0.2, gt=0, lt=1)  # of token embeddings, for HMMC's second views
    mask_false_negatives: bool = False

    # The training.
    epochs: Count = 2
    batch_size: int = Field(32, ge=2)  # a contrast needs a negative
    gradient_cache: Count = 0  # pairs encoded at a time (GradCache), for large batches; 0 = all
    pairs: Literal["images", "captions"] = "images"  # an epoch: every image with a random caption, or every caption
    learning_rate: Positive = 2e-3
    schedule: Literal["cosine", "step"] = "cosine"  # to zero; or PE-RSITR's x0.7 at the 20th epoch, the 40th, ...
    train_images: Count = 0  # use only this many training images, drawn by the seed; 0 = all
    seed: Count = 2
    select: Literal["last", "validation"] = "last"  # the epoch that is tested: the last, or the best on validation
    audit: bool = False  # also test every epoch, afterwards, to show what choosing on the test split would have claimed

    # Negative sample recycling.
    queue_size: int = Field(0, ge=0, le=65_536)  # pairs; 0 = no queue term
    queue_weight: NotNegative = 1.0
    queue_keys: Literal["own", "ema"] = "own"  # what encodes the queue: the model, or a slow copy of what it trains

    # Scene labels.
    scene_probability: Probability = 0.0  # of a training caption to take its image's scene label
    scene_weight: NotNegative = 0.0  # of a cross-entropy over the scene labels, added to the contrast
    scene_balance: bool = False  # draw the images of a batch evenly from the scenes

    blank_captions: bool = False  # train on them, as PE-RSITR's release does
    cache_features: bool = False  # train a side method on its taps from disk, in half precision

    def __init__(self, **fields: Any):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" if e["loc"] else e["ctx"]["error"]
                for e in error.errors()
            ]
            unknown = set(fields) - set(RunConfig.model_fields)
            problems += [f"known fields: {', '.join(RunConfig.model_fields)}"] if unknown else []
            raise ConfigError(f"run configuration: {'; '.join(map(str, problems))}") from None
        for name in ("dataset", "backbone", "pretrained"):
            object.__setattr__(self, name, _relative_to_root(getattr(self, name)))

    @model_validator(mode="after")
    def _fields_agree(self) -> "RunConfig":
        if self.epochs and not any(self.terms.values()):
            raise ValueError("w_cross, w_image or w_text must be positive")
        if self.epochs and self.method == "zero_shot":
            raise ValueError("epochs must be 0 for zero_shot")
        if self.train_images == 1:
            raise ValueError("train_images = 1: a contrast needs a negative; use 0 for all, or at least 2")
        if self.pairs == "captions" and self.scene_balance:
            raise ValueError("scene_balance draws images; set pairs to 'images'")
        if self.gradient_cache and self.cache_features:
            raise ValueError("gradient_cache is of no use with cache_features; set it to 0")
        if self.cache_features and self.scene_probability:
            raise ValueError("cache_features: captions with scene labels are not cached; set one of the two to 0")
        try:
            json.dumps(self.method_options, allow_nan=False, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise ValueError(f"method_options must be JSON: {error}") from error
        return self

    @property
    def terms(self) -> dict[str, float]:
        """The terms of HMMC, each with its weight, a field ``w_<term>``."""
        return {name.removeprefix("w_"): value for name, value in self if name.startswith("w_")}

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return {name: value for name, value in self if value != type(self).model_fields[name].default}

    @property
    def hash(self) -> str:
        """The run's name: 16 hexadecimal digits over the recipe and the fields that differ from their defaults.

        So a new field whose default changes nothing renames no run.
        """
        content = json.dumps({"recipe": RECIPE, **self.changed()}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def replace(self, **changes: Any) -> "RunConfig":
        """A copy with some fields changed."""
        return type(self)(**{**dict(self), **changes})

    def zero_shot(self) -> "RunConfig":
        """The untrained backbone on the same data: all other fields at their defaults, so that runs share it."""
        kept = {name: getattr(self, name) for name in ("dataset", "backbone", "pretrained")}
        return RunConfig(**kept, method="zero_shot", epochs=0)


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
