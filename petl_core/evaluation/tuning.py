"""Settings of a method compared on validation: which are best, and whether they are at an edge of what was tried."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petl_core.evaluation.factors import factor_title, format_value
from petl_core.evaluation.grouping import validation_mr
from petl_core.evaluation.names import NO_VALUE, describe
from petl_core.runs.folder import Run
from petl_core.runs.tuned import Choice

# What is chosen for each method: fields of RunConfig, and options of methods.
FIELDS = ("learning_rate", "temperature", "learn_temperature")
OPTIONS = ("scale", "alpha", "ratio")
TUNED = (*FIELDS, *OPTIONS)
GRADED = ("learning_rate", *OPTIONS)  # of which the best should be neither the smallest nor the largest tried


@dataclass(frozen=True)
class Candidate:
    """Runs of one family with the same settings."""

    settings: dict[str, Any]
    runs: tuple[Run, ...]
    compared: tuple[int, ...]  # seeds at which candidates are compared

    @property
    def validation_mr(self) -> float:
        """Mean over the compared seeds, in percent."""
        return float(np.mean([validation_mr(run) for run in self.runs if run.config.seed in self.compared]))


def choose_settings(runs: Iterable[Run], except_for: Iterable[str] = ()) -> list[Run]:
    """Of runs that differ only in settings of ``TUNED`` and in their seed, those with the best settings.

    Args:
        runs: finished ones; untrained ones are kept.
        except_for: settings that are not chosen, because they are what is compared.
    """
    excluded = set(except_for)
    tuned = [name for name in TUNED if name not in excluded]
    runs = list(runs)
    kept = set()
    for family in families(runs, tuned):
        best = candidates(family, tuned)[0]
        kept |= {id(run) for run in best.runs}
    return [run for run in runs if id(run) in kept]


def families(runs: Iterable[Run], tuned: Sequence[str] = TUNED) -> list[list[Run]]:
    """Runs that differ only in these settings and in their seed, in the order given."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        fields = {name: value for name, value in dataclasses.asdict(run.config).items() if name not in tuned}
        options = {name: value for name, value in run.config.method_options.items() if name not in tuned}
        key = json.dumps({**fields, "seed": 0, "method_options": options}, sort_keys=True)
        found.setdefault(key, []).append(run)
    return list(found.values())


def candidates(family: Sequence[Run], tuned: Sequence[str] = TUNED) -> list[Candidate]:
    """The settings of a family that can be compared, best first.

    Best is the highest mean validation mR over the seeds at which several settings were tried; the test split is not
    used. Settings that lack one of these seeds are excluded, since runs that diverge are missing; if all lack one,
    those with the most seeds remain.
    """
    # Runs by their settings.
    runs_with: dict[str, list[Run]] = {}
    for run in family:
        runs_with.setdefault(json.dumps(settings_of(run, tuned)), []).append(run)

    # Seeds at which several settings were tried, and the settings that were tried at all of them.
    tried = {(settings, run.config.seed) for settings, runs in runs_with.items() for run in runs}
    times_tried = Counter(seed for _, seed in tried)
    compared = {seed for seed, times in times_tried.items() if times > 1} or set(times_tried)
    complete = [runs for runs in runs_with.values() if {run.config.seed for run in runs} >= compared]
    if not complete:
        most = max(len(runs) for runs in runs_with.values())
        complete = [runs for runs in runs_with.values() if len(runs) == most]

    # These as candidates, best first.
    found = []
    for runs in complete:
        seeds = sorted({run.config.seed for run in runs} & compared)
        found.append(Candidate(settings_of(runs[0], tuned), tuple(runs), tuple(seeds)))
    return sorted(found, key=lambda candidate: candidate.validation_mr, reverse=True)


def settings_of(run: Run, tuned: Sequence[str] = TUNED) -> dict[str, Any]:
    """A run's values of these settings, if it has them; a learned temperature has no value."""
    values = {**run.metrics["method"]["options"], **dataclasses.asdict(run.config)}
    if run.config.learn_temperature or run.config.contrast != "infonce":
        values.pop("temperature")
    return {name: values[name] for name in tuned if name in values}


def choices(runs: Iterable[Run]) -> list[Choice]:
    """The best settings of each family, as :func:`petl_core.runs.tuned.write` takes them.

    Options of a method that no run of the family names were not compared: they stay as the method has them.
    """
    found = []
    for family in families(run for run in runs if run.config.epochs):
        best = candidates(family)[0].settings
        fields = {name: best[name] for name in FIELDS if name in best}
        compared = {name for run in family for name in run.config.method_options}
        options = {name: best[name] for name in OPTIONS if name in best and name in compared}
        if options:
            fields["method_options"] = options
        found.append(Choice(family[0].config, fields))
    return found


def compared_settings(runs: Iterable[Run]) -> pd.DataFrame:
    """One row for each setting that was compared, the best of a method first.

    Returns:
        method (a description), a column per setting, validation_mr (percent), seeds (compared), runs, last_best (how
        many runs were best at their last epoch), chosen, and at_edge (the graded settings whose chosen value is the
        smallest or largest of several that were tried).
    """
    rows = []
    for family in families(run for run in runs if run.config.epochs):
        ranked = candidates(family)
        for candidate in ranked:
            is_chosen = candidate is ranked[0]
            rows.append(
                {
                    "method": describe(family[0]),
                    **candidate.settings,
                    "validation_mr": candidate.validation_mr,
                    "seeds": len(candidate.compared),
                    "runs": len(candidate.runs),
                    "last_best": sum(is_last_best(run) for run in candidate.runs),
                    "chosen": is_chosen,
                    "at_edge": _edges(ranked) if is_chosen else (),
                }
            )
    return pd.DataFrame(rows)


def readable_settings(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of :func:`compared_settings` to print."""
    settings = [name for name in TUNED if name in frame]
    columns = {factor_title(name): [format_value(name, value) for value in frame[name]] for name in settings}
    edges = [", ".join(factor_title(name).lower() for name in names) or NO_VALUE for names in frame["at_edge"]]
    return pd.DataFrame(
        {
            "Method": frame["method"],
            **columns,
            "Validation mR": frame["validation_mr"].map("{:.2f}".format),
            "Seeds": frame["seeds"],
            "Best epoch last": [
                f"{last} of {runs}" for last, runs in zip(frame["last_best"], frame["runs"], strict=True)
            ],
            "Chosen": frame["chosen"].map({True: "yes", False: NO_VALUE}),
            "At an edge": edges,
        }
    )


def is_last_best(run: Run) -> bool:
    """Whether a run was best at its last epoch, and so might have improved further."""
    return run.metrics["chosen_epoch"] == run.metrics["history"][-1]["epoch"]


def _edges(ranked: Sequence[Candidate]) -> tuple[str, ...]:
    """Graded settings of the best candidate beyond which nothing was tried.

    A learning rate is at an edge among those tried with the same other settings; an option among all that were tried,
    since each of its values suits other rates.
    """
    best = ranked[0].settings
    found = []
    for name in GRADED:
        comparable = [candidate.settings for candidate in ranked if name in candidate.settings]
        if name == "learning_rate":
            comparable = [settings for settings in comparable if {**settings, name: best[name]} == best]
        tried = {settings[name] for settings in comparable}
        if len(tried) > 1 and best[name] in (min(tried), max(tried)):
            found.append(name)
    return tuple(found)
