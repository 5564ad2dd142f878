"""Words for runs and measurements. Code uses keys; these strings are made last, for people."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from petl_core.config import RunConfig
from petl_core.data.catalogue import PUBLISHED
from petl_core.runs.folder import Failure, Run

K = TypeVar("K", bound=Hashable)

METRICS = {
    "i2t_r1": "I→T R@1",
    "i2t_r5": "I→T R@5",
    "i2t_r10": "I→T R@10",
    "t2i_r1": "T→I R@1",
    "t2i_r5": "T→I R@5",
    "t2i_r10": "T→I R@10",
    "mr": "mR",
}
METRICS_BY_TITLE = {title: metric for metric, title in METRICS.items()}
HMMC_TERMS = {"cross": "image–text", "image": "image–image", "text": "text–text"}
CONTRASTS = {"infonce": "InfoNCE", "triplet": "triplet"}
PLAIN_TEST = "none"  # the mode of a test that knows no scene labels
# What a test knows about scene labels: modes of petl_core.runs.scene_tests, and the plain test.
QUERY_MODES = {
    PLAIN_TEST: "no label",
    "predicted": "predicted label",
    "gallery_hard": "gallery labels known, hard filter",
    "gallery_soft": "gallery labels known, soft prior",
    "gallery_known": "all image labels known, soft prior",
    "gallery_oracle": "oracle filter (LEAK)",
    "oracle": "oracle label (LEAK)",
}
ASSUMED_KNOWN = {
    PLAIN_TEST: "nothing",
    "predicted": "labels of training images",
    "gallery_hard": "labels of training and gallery images",
    "gallery_soft": "labels of training and gallery images",
    "gallery_known": "labels of training, gallery and query images",
    "gallery_oracle": "labels of gallery images, and of the one that a text looks for (LEAK)",
    "oracle": "label of the image that a text looks for (LEAK)",
}
LABEL_USES = {  # of scene labels in training, by fields of RunConfig
    "scene_probability": "labels in captions ({:g})",
    "scene_template": "as {!r}",
    "scene_weight": "label cross-entropy ({:g})",
    "scene_balance": "batches balanced by label",
}
DATASETS = {
    "scenes": "drawn scenes",
    "scenes-tiny": "a few drawn scenes",
    "scenes-natural": "drawn ground-level scenes",
    "scenes-natural-tiny": "a few drawn ground-level scenes",
    "rsicd": "RSICD",
    "rsitmd": "RSITMD",
    "ucm": "UCM",
}
BACKBONES = {  # what the default backbones were pre-trained on
    "embedded": "drawn ground-level scenes",
    "embedded-tiny": "a few drawn ground-level scenes",
}
MINUS = "\N{MINUS SIGN}"
NO_VALUE = "–"


def dataset_title(dataset: str) -> str:
    """A data set in words; an unknown one by its file name."""
    return DATASETS.get(dataset, Path(dataset).stem)


def setting(run: Run) -> str:
    """What a run was trained and tested on, and its backbone, in words: captions end with it, after "on"."""
    config, tested = run.config, run.metrics["images"]["test"]
    published = {known.name: known.test for known in PUBLISHED}.get(config.dataset, tested)
    split = f" (NOT its published split: {tested:,} test images)" if tested != published else ""
    data = f"{dataset_title(config.dataset)}{split}"
    if config.backbone in BACKBONES:
        size = f"{run.metrics['parameters']['backbone'] / 1e6:.1f} M parameters"
        return f"{data}; CLIP of {size} pre-trained on {BACKBONES[config.backbone]}"
    weights = f" ({Path(config.pretrained).stem} weights)" if config.pretrained else ""
    return f"{data}; {Path(config.backbone).name}{weights}"


def loss_terms(config: RunConfig) -> tuple[str, ...]:
    """The terms of the loss that have a weight."""
    return tuple(term for term, weight in config.terms.items() if weight)


def loss_term_names(terms: Iterable[str]) -> list[str]:
    """Terms of the loss in words, HMMC's three as one; other terms by the name of their field."""
    terms = tuple(terms)
    if set(HMMC_TERMS) <= set(terms):
        return ["HMMC", *(term for term in terms if term not in HMMC_TERMS)]
    return [HMMC_TERMS.get(term, term) for term in terms]


class MethodAndLoss(NamedTuple):
    """The key of a row in a comparison of methods: what :func:`describe` says, as values."""

    method: str  # or the name of a failed run, if its folder does not give the method
    terms: tuple[str, ...] = ()
    contrast: str = ""
    queue_size: int = 0
    scene_probability: float = 0.0
    scene_weight: float = 0.0
    scene_balance: bool = False

    def has_loss_of(self, other: "MethodAndLoss") -> bool:
        """Whether two rows differ only in their method."""
        return self[1:] == other[1:]


def method_and_loss(run: Run | Failure) -> MethodAndLoss:
    """The key of a run in a comparison of methods."""
    config = run.config
    if config is None:
        return MethodAndLoss(cast(Failure, run).name)
    if not config.epochs:
        return MethodAndLoss(config.method)
    labels = (config.scene_probability, config.scene_weight, config.scene_balance)
    return MethodAndLoss(config.method, loss_terms(config), config.contrast, config.queue_size, *labels)


def method_title(run: Run | Failure) -> str:
    """The method of a run as tables print it; its key if a failed run left no title."""
    if isinstance(run, Run):
        return run.metrics["method"]["title"]
    return run.title or (run.config.method if run.config else run.name)


def describe(run: Run | Failure) -> str:
    """The method of a run and, if it is trained, its contrast, terms beyond image-text, queue and scene labels."""
    config = run.config
    if config is None:
        return cast(Failure, run).name
    if not config.epochs:
        return method_title(run)
    contrast = f"({CONTRASTS.get(config.contrast, config.contrast)})"
    terms = loss_terms(config)
    if terms == ("cross",):  # with which every method trains
        parts = [f"{method_title(run)} {contrast}"]
    else:
        parts = [method_title(run), f"{' and '.join(loss_term_names(terms))} {contrast}"]
    if config.queue_size:
        parts.append(f"queue {config.queue_size}")
    if config.scene_probability:
        parts.append(f"scene labels {config.scene_probability:g}")
    if config.scene_weight:
        parts.append(f"scene cross-entropy {config.scene_weight:g}")
    if config.scene_balance:
        parts.append("balanced scenes")
    return " + ".join(parts)


def full_names(runs: Mapping[K, Run]) -> dict[K, str]:
    """A full description for each key."""
    return {key: describe(run) for key, run in runs.items()}


def short_names(runs: Mapping[K, Run]) -> dict[K, str]:
    """Only the method if no other key has it, otherwise the full description."""
    titles = Counter(method_title(run) for run in runs.values())
    return {key: method_title(run) if titles[method_title(run)] == 1 else describe(run) for key, run in runs.items()}
