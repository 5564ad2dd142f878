"""Finished runs in groups: of one group are those that differ in their seed alone."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from petl_core.config import RunConfig
from petl_core.evaluation.names import describe
from petl_core.runs.folder import Run

Key = tuple[Hashable, ...]
Settings = tuple[tuple[str, Hashable], ...]

# What is chosen on validation for each method: fields of RunConfig, and options of methods.
TUNED = ("learning_rate", "temperature", "learn_temperature", "scale", "alpha", "ratio")


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone, seeds ascending, and the key by which tables and plots know them."""

    key: Key
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run that stands for all of them where their seed does not matter."""
        return self.runs[0]

    @property
    def is_trained(self) -> bool:
        return self.first.config.epochs > 0


def group_runs(runs: Iterable[Run], key_of: Callable[[Run], Key]) -> list[Group]:
    """Runs with equal keys as groups, in the order given.

    Raises:
        ValueError: runs on different data, or runs of one group that differ in more than their seed.
    """
    runs = list(runs)
    if len({(run.config.dataset, run.metrics["inputs"]["data"]) for run in runs}) > 1:
        raise ValueError("these runs were tested on different data sets; compare runs on one")
    members: dict[Key, list[Run]] = {}
    for run in runs:
        members.setdefault(key_of(run), []).append(run)
    for alike in members.values():
        if differing := differing_fields([run.config for run in alike], ["seed"]):
            raise ValueError(
                f"{describe(alike[0])}: runs of one group differ in more than their seed, in {', '.join(differing)}; "
                "compare them in separate groups"
            )
    return [Group(key, tuple(sorted(alike, key=lambda run: run.config.seed))) for key, alike in members.items()]


def first_runs(groups: Iterable[Group]) -> dict[Key, Run]:
    """The first run of each group by its key: what :mod:`names` needs to name a group."""
    return {group.key: group.first for group in groups}


def differing_fields(configs: Sequence[RunConfig], known: Iterable[str] = ()) -> list[str]:
    """Names of the fields and method options, but for ``known``, that are not the same in all configurations."""
    known = {*known, "method_options"}
    flat = [{**dataclasses.asdict(config), **config.method_options} for config in configs]
    names = dict.fromkeys(name for fields in flat for name in fields if name not in known)
    return [name for name in names if len({json.dumps(fields.get(name)) for fields in flat}) > 1]


def choose_settings(runs: Iterable[Run], but_for: Iterable[str] = ()) -> list[Run]:
    """Of runs that differ in settings of ``TUNED`` and in their seed alone, those with the best settings.

    Best is the highest mean validation mR over the seeds at which several settings were tried; the test split plays no
    part. Settings that lack one of these seeds are out, since runs that diverge are missing. The order is kept.

    Args:
        runs: finished ones.
        but_for: settings that are not chosen, because they are what is compared.
    """
    tuned = [name for name in TUNED if name not in set(but_for)]
    kept = []
    for family in families(runs, tuned):
        best = ranked_settings(family, tuned)[0].settings
        kept += [run for run in family if settings_of(run, tuned) == best]
    return kept


@dataclass(frozen=True)
class Candidate:
    """Settings of a family, and how they did on validation."""

    settings: Settings
    validation_mr: tuple[float, ...]  # percent, at each of the seeds that are compared
    seeds: tuple[int, ...]  # all that were finished

    @property
    def mean(self) -> float:
        return float(np.mean(self.validation_mr))


def families(runs: Iterable[Run], tuned: Sequence[str]) -> list[list[Run]]:
    """Runs that differ in these settings and in their seed alone, in the order given."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        fields = {name: value for name, value in dataclasses.asdict(run.config).items() if name not in tuned}
        options = {name: value for name, value in run.config.method_options.items() if name not in tuned}
        key = json.dumps({**fields, "seed": 0, "method_options": options}, sort_keys=True)
        found.setdefault(key, []).append(run)
    return list(found.values())


def ranked_settings(family: Sequence[Run], tuned: Sequence[str]) -> list[Candidate]:
    """The settings of a family that can be compared, best first; see :func:`choose_settings`."""
    scores: dict[Settings, dict[int, float]] = {}
    for run in family:
        scores.setdefault(settings_of(run, tuned), {})[run.config.seed] = validation_mr(run)
    tried = Counter(seed for of_seeds in scores.values() for seed in of_seeds)
    compared = [seed for seed in tried if tried[seed] > 1] or list(tried)
    candidates = [
        Candidate(settings, tuple(of_seeds[seed] for seed in compared), tuple(sorted(of_seeds)))
        for settings, of_seeds in scores.items()
        if of_seeds.keys() >= set(compared)
    ]
    if not candidates:  # none finished all of these seeds: those that finished most
        most = max(map(len, scores.values()))
        candidates = [
            Candidate(settings, tuple(of_seeds.values()), tuple(sorted(of_seeds)))
            for settings, of_seeds in scores.items()
            if len(of_seeds) == most
        ]
    return sorted(candidates, key=lambda candidate: -candidate.mean)


def settings_of(run: Run, tuned: Sequence[str]) -> Settings:
    """A run's values of these settings: fields of RunConfig, or options of its method."""
    values = {**run.metrics["method"]["options"], **dataclasses.asdict(run.config)}
    if run.config.learn_temperature:
        values["temperature"] = None  # which does not matter then
    return tuple((name, values[name]) for name in tuned if name in values)


def validation_mr(run: Run) -> float:
    """Validation mR at the chosen epoch, in percent; 0 for a run that was not trained."""
    return run.metrics["history"][run.metrics["chosen_epoch"]].get("validation_mr", 0.0)
