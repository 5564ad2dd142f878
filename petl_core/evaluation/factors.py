"""Factors: the settings that an ablation varies, read from a run and put into words.

A factor is a field of :class:`~petl_core.config.RunConfig`, an option of the method, or one of

terms      the terms of the loss that have a weight, as a tuple
labels     how training used scene labels: pairs of a field and its value
queries    what the test knows about scene labels: PLAIN_TEST, or a mode of petl_core.runs.scene_tests
queue      the settings of a queue, except its size, that differ from their defaults: pairs of a field and its value

``train_images`` is the number of images that were trained on (where the field is 0, all of them); ``temperature`` is
"learned" if it was.
"""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

from petl_core.config import RunConfig
from petl_core.evaluation.labelled_queries import TRAINED_WITH, query_mode, trained_with
from petl_core.evaluation.names import (
    CONTRASTS,
    HMMC_TERMS,
    LABEL_USES,
    NO_VALUE,
    PLAIN_TEST,
    QUERY_MODES,
    loss_term_names,
    loss_terms,
)
from petl_core.runs.folder import Run

# Settings without effect unless another one is on.
SWITCHED_BY: dict[str, Callable[[RunConfig], Any]] = {
    **dict.fromkeys(
        ("queue_keys", "queue_weight", "queue_warmup", "queue_ramp", "queue_directions", "queue_hardest", "queue"),
        lambda config: config.queue_size,
    ),
    "queue_momentum": lambda config: config.queue_size and config.queue_keys == "ema",
    "scene_template": lambda config: config.scene_probability,
}
OF_A_QUEUE = tuple(name for name in SWITCHED_BY if name.startswith("queue_"))
LEARNED = "learned"  # value of a temperature that was learned
TITLES = {  # of factors whose title is not the field's name
    "terms": "HMMC terms",
    "labels": "Labels in training",
    "queries": "Test",
    "train_images": "Training images",
    "share": "Shared width",
    **{f"w_{term}": f"Weight of {name}" for term, name in HMMC_TERMS.items()},
}
UNITS = {"queue_warmup": "steps", "queue_ramp": "steps", "share": "channels"}
VALUE_NAMES = {
    "queries": QUERY_MODES,
    "contrast": CONTRASTS,
    "queue_keys": {"own": "own keys", "ema": "slow keys"},
    "queue_directions": {"both": "both anchors", "image": "image anchors", "text": "text anchors"},
}


def factor_value(run: Run, factor: str) -> Hashable:
    """A factor's value in a run; None if another setting switches it off, and for an untrained run's plain test.

    Raises:
        ValueError: the run's configuration has no such field, nor its method such an option.
    """
    config = run.config
    if factor == "queries" and (config.epochs or query_mode(run) != PLAIN_TEST):
        return query_mode(run)
    if not config.epochs or (factor in SWITCHED_BY and not SWITCHED_BY[factor](config)):
        return None
    if factor == "terms":
        return loss_terms(config)
    if factor == "labels":
        return trained_with(config)
    if factor == "queue":
        return queue_settings(config)
    if factor == "train_images":
        return run.metrics["images"]["train"]
    if factor == "temperature" and config.learn_temperature:
        return LEARNED
    settings = {**run.metrics["method"]["options"], **dataclasses.asdict(config)}
    if factor not in settings:
        raise ValueError(f"{factor} is neither a field of RunConfig nor an option of {config.method}")
    return _hashable(settings[factor])


def fields_of(factor: str) -> list[str]:
    """The fields of RunConfig, or options, that a factor covers."""
    if factor == "terms":
        return [f"w_{term}" for term in RunConfig().terms]
    if factor == "labels":
        return list(TRAINED_WITH)
    if factor == "queue":
        return list(OF_A_QUEUE)
    return ["temperature", "learn_temperature"] if factor == "temperature" else [factor]


def queue_settings(config: RunConfig) -> tuple[tuple[str, Any], ...]:
    """The settings of a run's queue, except its size, that have an effect and differ from their defaults."""
    changed = config.changed()
    return tuple((name, changed[name]) for name in OF_A_QUEUE if name in changed and SWITCHED_BY[name](config))


def factor_title(factor: str) -> str:
    """A factor as a column's title."""
    return TITLES.get(factor, factor.replace("_", " ").capitalize())


def format_value(factor: str, value: Any) -> str:
    """A factor's value as tables and legends show it."""
    if factor == "terms" and isinstance(value, tuple):
        return " + ".join(loss_term_names(value))
    if factor == "labels" and isinstance(value, tuple):
        return " + ".join(LABEL_USES[field].format(of_field) for field, of_field in value) or "without labels"
    if factor == "queue" and isinstance(value, tuple):
        return _queue_words(dict(value))
    if isinstance(value, tuple):
        return ", ".join(format_value("", part) for part in value)
    if value is None or value != value:  # NaN, which None becomes in a column of numbers
        return NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    return VALUE_NAMES.get(factor, {}).get(value, str(value))


def _queue_words(changed: dict[str, Any]) -> str:
    """Its keys and its weight, then the other changed settings; numbers follow the name of their field."""
    defaults = RunConfig()
    words = []
    for name, value in {"queue_keys": defaults.queue_keys, "queue_weight": defaults.queue_weight, **changed}.items():
        shown = format_value(name, value)
        words.append(shown if isinstance(value, str) else f"{name.removeprefix('queue_')} {shown}")
    return ", ".join(words)


def _hashable(value: Any) -> Hashable:
    """Lists and mappings from JSON as tuples."""
    if isinstance(value, dict):
        return tuple((key, _hashable(inner)) for key, inner in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value
