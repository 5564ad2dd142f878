"""Ablations: finished runs grouped by the few settings that one varies, as tables with intervals.

A factor is a field of :class:`~petl_core.config.RunConfig`, an option of the method, or one of

terms      which terms of HMMC have a weight, in words
queries    how test captions take scene labels: see :func:`labelled`

``train_images`` is the number of images that were trained on, where the field may say 0 for all. An untrained run has
no factors, and a setting that another one switches off, such as the warm-up of a queue of size 0, is None.
"""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petl_core.adapters import METHODS
from petl_core.config import RunConfig
from petl_core.evaluation import comparison
from petl_core.evaluation.comparison import Groups
from petl_core.plots import figures
from petl_core.runs.experiment import Run

TERMS = {"w_cross": "image–text", "w_image": "image–image", "w_text": "text–text"}
QUERIES = {"none": "no label", "predicted": "predicted label", "oracle": "oracle label (LEAK)"}
SWITCHES = {"queue_warmup": "queue_size", "queue_weight": "queue_size", "scene_template": "scene_probability"}
NAMES = {**figures.METHODS, "infonce": "InfoNCE"}


@dataclass(frozen=True)
class Labelled(Run):
    """A finished run by its test with labelled queries, "predicted" or "oracle", the latter a LEAK."""

    mode: str

    @property
    def test_hits(self) -> np.ndarray:
        return np.load(self.folder / f"test_hits_{self.mode}.npy")


def labelled(run: Run) -> list[Labelled]:
    """A run's tests with predicted and with the oracle's labels; none for a run that was trained without labels."""
    modes = [mode for mode in ("predicted", "oracle") if mode in run.metrics["scene_scores"]]
    return [Labelled(run.folder, run.config, run.metrics, mode) for mode in modes]


def value(run: Run, factor: str):
    """A factor's value in a run; None in an untrained run, or where another setting switches it off.

    Raises:
        ValueError: the run's method has no such option, nor its configuration such a field.
    """
    config = run.config
    options = METHODS[config.method].Options(**config.method_options)
    if not config.epochs or (factor in SWITCHES and not getattr(config, SWITCHES[factor])):
        return None
    if factor == "terms":
        return " + ".join(name for weight, name in TERMS.items() if getattr(config, weight))
    if factor == "queries":
        return QUERIES[run.mode if isinstance(run, Labelled) else "none"]
    if factor == "train_images":
        return run.metrics["images"]["train"]
    for owner in (config, options):
        if hasattr(owner, factor):
            return getattr(owner, factor)
    raise ValueError(f"{factor} is neither a field of RunConfig nor an option of {config.method}")


def by_factors(runs: Iterable[Run], factors: Sequence[str]) -> Groups:
    """Runs grouped by their factors, in the order given, each group's seeds ascending; untrained ones by themselves.

    Raises:
        ValueError: runs on different data, or runs of one group that differ in more than their seed.
    """
    runs = list(runs)
    comparison.check_one_data_set(runs)
    groups: Groups = {}
    for run in runs:
        groups.setdefault(_name(run, factors), []).append(run)
    for name, members in groups.items():
        if varied := _varied([run.config for run in members], ["seed"]):
            raise ValueError(f"{name}: runs differ in {', '.join(varied)}, which is none of the factors")
        members.sort(key=lambda run: run.config.seed)
    return groups


def conditions(groups: Groups, factors: Sequence[str]) -> str:
    """What a caption must say of how its figures came about, settings that vary beside the factors included."""
    runs = [run for members in groups.values() for run in members]
    known = [*factors, "seed", *(TERMS if "terms" in factors else ())]
    varied = _varied([run.config for run in runs if run.config.epochs], known)
    beside = f"Beside the factors, runs differ in {', '.join(varied)}." if varied else "All else is equal."
    return f"{comparison.conditions(runs)} {beside}"


def table(groups: Groups, factors: Sequence[str]) -> pd.DataFrame:
    """:func:`comparison.summary` with a column for each factor; groups are named in "configuration"."""
    frame = comparison.summary(groups).rename(columns={"method": "configuration"})
    for place, factor in enumerate(factors, start=1):
        values = [value(members[0], factor) for members in groups.values()]
        frame.insert(place, factor, pd.Series(values, dtype=object))
    return frame


def readable(frame: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """A frame of :func:`table` to print: factors, then "value [low, high]" in percent."""
    columns = {title(factor): frame[factor].map(text) for factor in factors}
    untrained = frame[list(factors)].isna().all(axis=1)
    columns[title(factors[0])] = columns[title(factors[0])].mask(untrained, frame["configuration"])
    body = figures.readable(frame.assign(method=frame["configuration"])).drop(columns="Method")
    return pd.concat([pd.DataFrame(columns), body], axis=1)


def differences(groups: Groups, *within: Sequence[str]) -> pd.DataFrame:
    """:func:`comparison.differences` of every group to the first trained one, the reference.

    With ``within``, to the first one that has the same of these factors; of several lists of factors, one after the
    other, and untrained groups in the first round alone.
    """
    untrained = {name: runs for name, runs in groups.items() if not runs[0].config.epochs}
    frames = []
    for i, same in enumerate(within or [()]):
        blocks: dict[tuple, Groups] = {}
        for name, runs in groups.items():
            if name not in untrained:
                blocks.setdefault(tuple(value(runs[0], factor) for factor in same), {})[name] = runs
        for block in blocks.values():
            frames.append(comparison.differences(block if i else {**block, **untrained}, [next(iter(block))]))
    frames = frames or [comparison.differences({}, [])]
    return pd.concat(frames, ignore_index=True).drop_duplicates(["Method", "Compared with"], ignore_index=True)


def drift(groups: Groups, factors: Sequence[str]) -> pd.DataFrame:
    """How far each run's queue has drifted at the end: the rows of :func:`recycling.drift` with run and factors.

    ``age`` is the middle of an age range, in steps. Empty where no run has a queue.
    """
    frames = []
    for run in (run for members in groups.values() for run in members):
        ages = pd.DataFrame(run.metrics["history"][-1].get("drift", []))
        frames.append(ages.assign(run=run.config.hash, **{factor: value(run, factor) for factor in factors}))
    frame = pd.concat([frame for frame in frames if len(frame)] or [pd.DataFrame()], ignore_index=True)
    return frame.assign(age=(frame["age_from"] + frame["age_to"]) / 2) if len(frame) else frame


def title(factor: str) -> str:
    """A factor as a column's title."""
    return {"terms": "HMMC terms"}.get(factor, factor.replace("_", " ").capitalize())


def text(value) -> str:
    """A factor's value as tables and legends show it."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else NAMES.get(value, value)


def _name(run: Run, factors: Sequence[str]) -> str:
    """A group's name: words stand for themselves, numbers follow their factor, a switch is named where it is on."""
    values = {factor: value(run, factor) for factor in factors}
    parts = []
    for factor, found in values.items():
        if isinstance(found, bool):
            parts += [title(factor).lower()] if found else []
        elif isinstance(found, str):
            parts.append(text(found))
        elif found is not None:
            parts.append(f"{title(factor).lower()} {text(found)}")
    return " · ".join(parts) if run.config.epochs else figures.label(run)


def _varied(configs: Sequence[RunConfig], known: Sequence[str]) -> list[str]:
    """Names of the fields and method options, but for ``known``, that are not the same in all configurations."""
    flat = [{**dataclasses.asdict(config), **config.method_options, "method_options": None} for config in configs]
    names = {name: None for fields in flat for name in fields if name not in known}
    return [name for name in names if len({json.dumps(fields.get(name)) for fields in flat}) > 1]
