"""An ablation: finished runs by the few settings that one varies, as a table, differences and a caption."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from petl_core.evaluation import answers, captions, comparison
from petl_core.evaluation.factors import factor_title, factor_value, fields_of, format_value
from petl_core.evaluation.grouping import Group, Key, differing_fields, first_runs, group_runs
from petl_core.evaluation.names import describe, method_title
from petl_core.evaluation.tuning import choose_settings
from petl_core.runs.folder import Failure, Run


class Ablation:
    """Runs grouped by factors (:mod:`petl_core.evaluation.factors`)::

        ablation = Ablation(runs, ["queue_size", "queue_weight"])
        ablation.table  # a row a group: key, a column a factor, parameters, seeds, metrics with intervals
        ablation.readable_table()
        ablation.differences()  # of every group to the first trained one
        plots.ablation.plot_lines(ablation, {"queue_size": "queue size"}, hue="queue_weight")

    Of several learning rates, temperatures or other tuned settings those with the best validation mR are kept, but for
    what is itself a factor. An untrained run has no factors: it is a group by itself.

    Args:
        runs: finished ones, on one data set.
        factors: fields of RunConfig, options of the method, "terms", "labels" or "queries".
        failed: runs that were asked for and are missing; captions name them.

    Raises:
        ValueError: runs on different data, or runs of one group that differ in more than their seed.
    """

    def __init__(self, runs: Iterable[Run], factors: Sequence[str], failed: Sequence[Failure] = ()):
        self.factors = tuple(factors)
        self.failed = tuple(failed)
        runs = list(runs)
        self.runs = choose_settings(runs, but_for=self._fields())
        self.on = captions.on(self.runs[0])
        self.groups = group_runs(self.runs, self._key)
        self.first_runs = first_runs(self.groups)
        self.names = {key: self._name(run) for key, run in self.first_runs.items()}
        self._method_titles = {run.config.method: method_title(run) for run in self.runs}
        self.table = self._table()

    def differences(self, *within: Sequence[str]) -> pd.DataFrame:
        """:func:`comparison.differences_of_pairs` of every group to the first trained one, the reference.

        With ``within``, to the first one that has the same of these factors; of several lists of factors, one after
        the other, and untrained groups in the first round alone.
        """
        untrained = [group for group in self.groups if not group.is_trained]
        pairs: list[tuple[Group, Group]] = []
        for i, same in enumerate(within or [()]):
            blocks: dict[Key, list[Group]] = {}
            for group in self.groups:
                if group.is_trained:
                    blocks.setdefault(tuple(factor_value(group.first, factor) for factor in same), []).append(group)
            for block in blocks.values():
                compared = block if i else [*block, *untrained]
                pairs += [(group, block[0]) for group in compared]
        return comparison.differences_of_pairs(pairs)

    def caption(self, subject: str) -> str:
        """Of the table: what it is about, how its results came about, what varies beside the factors, what failed."""
        known = ["seed", *self._fields()]
        varied = differing_fields([run.config for run in self.runs if run.config.epochs], known)
        words = ", ".join(factor_title(name).lower() for name in varied)
        beside = f"Beside the factors, runs differ in {words}." if varied else "All else is equal."
        return f"{subject}: {captions.conditions(self.runs)} {beside}{captions.failed_sentence(self.failed)}"

    def figure_caption(self, subject: str) -> str:
        """Of a plot of the table."""
        return f"Test mR {subject}, 95% intervals. {self.on}"

    def differences_caption(self, subject: str, differences: pd.DataFrame) -> str:
        """Of a frame of :meth:`differences`: what is compared, and what is significant."""
        told = comparison.verdicts(differences)
        return f"Paired mR differences (points) {subject}, 95% intervals. {told} {self.on}"

    def forest_caption(self, subject: str) -> str:
        """Of a plot of differences."""
        return f"Paired mR differences (points) {subject}, {captions.FOREST} {self.on}"

    def answer(self, differences: pd.DataFrame, claim: str = "") -> str:
        """What a frame of :meth:`differences` says of trained runs, and of a claim that they surpass the reference."""
        untrained = {group.key for group in self.groups if not group.is_trained}
        return answers.of_differences(differences[~differences["key"].isin(untrained)], self.names, claim)

    def failed_runs(self) -> pd.DataFrame:
        """One row a run that was asked for and is missing, with the reason."""
        return captions.failed_runs(self.failed)

    def readable_table(self) -> pd.DataFrame:
        """The table to print: factors, then "value [low, high]" in percent."""
        columns = {
            factor_title(factor): [self.value_name(factor, value) for value in self.table[factor]]
            for factor in self.factors
        }
        first = columns[factor_title(self.factors[0])]
        for i, group in enumerate(self.groups):
            if self.table[self.factors[0]].isna()[i] and not group.is_trained:  # it has but its name
                first[i] = describe(group.first)
        metrics = comparison.readable_summary(self.table, self.names).drop(columns="Method")
        return pd.concat([pd.DataFrame(columns), metrics], axis=1)

    def readable_differences(self, differences: pd.DataFrame) -> pd.DataFrame:
        """A frame of :meth:`differences` to print."""
        return comparison.readable_differences(differences, self.names)

    def value_name(self, factor: str, value: Any) -> str:
        """A factor's value as tables and legends show it."""
        return self._method_titles[value] if factor == "method" and value else format_value(factor, value)

    def _fields(self) -> list[str]:
        """What the factors stand for."""
        return [field for factor in self.factors for field in fields_of(factor)]

    def _key(self, run: Run) -> Key:
        """Values of the factors; of an untrained run, its method behind them."""
        values = tuple(factor_value(run, factor) for factor in self.factors)
        return values if run.config.epochs else (*values, run.config.method)

    def _name(self, run: Run) -> str:
        """Words stand for themselves, numbers follow their factor, a switch is named where it is on."""
        parts = [] if run.config.epochs else [describe(run)]
        for factor in self.factors:
            value = factor_value(run, factor)
            if isinstance(value, bool):
                parts += [factor_title(factor).lower()] if value else []
            elif isinstance(value, (int, float)):
                parts.append(f"{factor_title(factor).lower()} {format_value(factor, value)}")
            elif value is not None:
                parts.append(method_title(run) if factor == "method" else format_value(factor, value))
        return " · ".join(parts) or describe(run)

    def _table(self) -> pd.DataFrame:
        frame = comparison.summary(self.groups)
        for place, factor in enumerate(self.factors, start=1):
            values = [factor_value(group.first, factor) for group in self.groups]
            frame.insert(place, factor, pd.Series(values, dtype=object))
        return frame
