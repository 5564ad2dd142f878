"""Finished runs in groups; the runs of a group differ only in their seed."""

import dataclasses
import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from petl_core.config import RunConfig
from petl_core.evaluation.names import describe, loss_terms
from petl_core.runs.folder import Run

Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed, seeds ascending, and the key that identifies them in tables and plots."""

    key: Key
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run that represents all of them where the seed does not matter."""
        return self.runs[0]

    @property
    def is_trained(self) -> bool:
        return self.first.config.epochs > 0


def group_runs(runs: Iterable[Run], key_of: Callable[[Run], Key]) -> list[Group]:
    """Runs with equal keys as groups, in the order given.

    Raises:
        ValueError: runs on different data, or with different weights of one backbone; or runs of one group that differ
            in more than their seed.
    """
    runs = list(runs)
    _check_same_inputs(runs)
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


def _check_same_inputs(runs: Sequence[Run]) -> None:
    """What has one name must have had one content in all runs; a backbone may have been replaced between them."""
    if len({(run.config.dataset, run.metrics["inputs"]["data"]) for run in runs}) > 1:
        raise ValueError("these runs were tested on different data sets; compare runs on one")
    if len({run.metrics["inputs"]["images"] for run in runs}) > 1:
        raise ValueError("these runs read different images under the same names; delete the older runs")
    weights: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        name = (run.config.backbone, run.config.pretrained)
        weights.setdefault(name, set()).add(run.metrics["inputs"]["backbone"])
    for (backbone, _), digests in weights.items():
        if len(digests) > 1:
            raise ValueError(f"these runs were trained on different weights of {backbone}; delete the older runs")


def representative(groups: Iterable[Group], method: str) -> Group | None:
    """Of a method's groups, the one trained with InfoNCE on image-text pairs only, otherwise the first.

    Args:
        groups: of :func:`group_runs` by :func:`petl_core.evaluation.names.method_and_loss`.
        method: a key of the methods.
    """
    of_method = [group for group in groups if group.first.config.method == method]
    for group in of_method:
        if loss_terms(group.first.config) == ("cross",) and group.first.config.contrast == "infonce":
            return group
    return of_method[0] if of_method else None


def first_runs(groups: Iterable[Group]) -> dict[Key, Run]:
    """The first run of each group by its key, from which :mod:`names` makes the name of the group."""
    return {group.key: group.first for group in groups}


def differing_fields(configs: Sequence[RunConfig], known: Iterable[str] = ()) -> list[str]:
    """Names of the fields and method options, except ``known``, that are not the same in all configurations."""
    known = {*known, "method_options"}
    flat = [{**dataclasses.asdict(config), **config.method_options} for config in configs]
    names = dict.fromkeys(name for fields in flat for name in fields if name not in known)
    return [name for name in names if len({json.dumps(fields.get(name)) for fields in flat}) > 1]


def validation_mr(run: Run) -> float:
    """Validation mR at the chosen epoch, in percent; 0 for an untrained run."""
    return run.metrics["history"][run.metrics["chosen_epoch"]].get("validation_mr", 0.0)
