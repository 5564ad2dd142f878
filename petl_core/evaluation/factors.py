"""Factors: the settings that an ablation varies, read off a run and shown to people.

A factor is a field of :class:`~petl_core.config.RunConfig`, an option of the method, or one of

terms      the terms of the loss that have a weight, as a tuple
labels     what training did with scene labels: pairs of a field and its value
queries    what the test knows of scene classes: "none", or a mode of petl_core.runs.scene_tests

``train_images`` is the number of images that were trained on, where the field may say 0 for all.
"""

import dataclasses
from collections.abc import Hashable
from typing import Any

from petl_core.evaluation.labelled_queries import TRAINED_WITH, query_mode, trained_with
from petl_core.evaluation.names import CONTRASTS, LABEL_USES, NO_VALUE, QUERY_MODES, loss_term_names, loss_terms
from petl_core.runs.folder import Run

# A setting without effect where the other is 0.
SWITCHED_BY = {
    **dict.fromkeys(
        ("queue_weight", "queue_warmup", "queue_ramp", "queue_keys", "queue_directions", "queue_hardest"), "queue_size"
    ),
    "scene_template": "scene_probability",
}
TITLES = {"terms": "HMMC terms", "labels": "Labels in training", "queries": "Test"}  # not what their field is called
UNITS = {"queue_warmup": "steps", "share": "channels"}
VALUE_NAMES = {"queries": QUERY_MODES, "contrast": CONTRASTS}


def factor_value(run: Run, factor: str) -> Hashable:
    """A factor's value in a run; None where another setting switches it off, or in an untrained run's plain test.

    Raises:
        ValueError: the run's configuration has no such field, nor its method such an option.
    """
    config = run.config
    if factor == "queries" and (config.epochs or query_mode(run) != "none"):
        return query_mode(run)
    if not config.epochs or (factor in SWITCHED_BY and not getattr(config, SWITCHED_BY[factor])):
        return None
    if factor == "terms":
        return loss_terms(config)
    if factor == "labels":
        return trained_with(config)
    if factor == "train_images":
        return run.metrics["images"]["train"]
    settings = {**run.metrics["method"]["options"], **dataclasses.asdict(config)}
    if factor not in settings:
        raise ValueError(f"{factor} is neither a field of RunConfig nor an option of {config.method}")
    return _hashable(settings[factor])


def fields_of(factor: str, run: Run) -> list[str]:
    """The fields of RunConfig, or options, that a factor stands for."""
    if factor == "terms":
        return [name for name in vars(run.config) if name.startswith("w_")]
    return list(TRAINED_WITH) if factor == "labels" else [factor]


def factor_title(factor: str) -> str:
    """A factor as a column's title."""
    return TITLES.get(factor, factor.replace("_", " ").capitalize())


def format_value(factor: str, value: Any) -> str:
    """A factor's value as tables and legends show it."""
    if factor == "terms" and isinstance(value, tuple):
        return " + ".join(loss_term_names(value))
    if factor == "labels" and isinstance(value, tuple):
        return " + ".join(LABEL_USES[field].format(of_field) for field, of_field in value) or "without labels"
    if isinstance(value, tuple):
        return ", ".join(format_value("", part) for part in value)
    if value is None or value != value:  # NaN, into which a frame of numbers turns None
        return NO_VALUE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    return VALUE_NAMES.get(factor, {}).get(value, str(value))


def _hashable(value: Any) -> Hashable:
    """Lists and mappings, which JSON has, as tuples."""
    if isinstance(value, dict):
        return tuple((key, _hashable(inner)) for key, inner in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value
