"""Finished runs in groups: of one group are those that differ in their seed alone."""

import dataclasses
import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from petl_core.config import RunConfig
from petl_core.evaluation.names import describe
from petl_core.runs.folder import Run

Key = tuple[Hashable, ...]


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


def validation_mr(run: Run) -> float:
    """Validation mR at the chosen epoch, in percent; 0 for a run that was not trained."""
    return run.metrics["history"][run.metrics["chosen_epoch"]].get("validation_mr", 0.0)
