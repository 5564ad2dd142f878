"""An ablation: finished runs grouped by the few settings that it varies, as a table, differences and captions."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from petl_core.evaluation import answers, captions, comparison
from petl_core.evaluation.factors import factor_title, factor_value, fields_of, format_value
from petl_core.evaluation.grouping import Group, Key, differing_fields, first_runs, group_runs
from petl_core.evaluation.names import describe, method_title
from petl_core.evaluation.tuning import TUNED, choose_settings
from petl_core.runs.folder import Failure, Run


class Ablation:
    """Runs grouped by factors (:mod:`petl_core.evaluation.factors`)::

        ablation = Ablation(runs, ["queue_size", "queue_weight"])
        ablation.table  # a row per group: key, a column per factor, parameters, seeds, metrics with intervals
        ablation.readable_table()
        ablation.differences()  # of every group from the first trained one
        plots.ablation.plot_lines(ablation, {"queue_size": "queue size"}, hue="queue_weight")

    Where several learning rates, temperatures or other tuned settings were tried, the runs with the best validation mR
    are kept, unless that setting is a factor itself. An untrained run has no factors: it is a group by itself.

    Args:
        runs: finished ones, on one data set.
        factors: fields of RunConfig, options of the method, "terms", "labels", "queries" or "queue".
        failed: runs that were asked for and are missing; captions name them.

    Raises:
        ValueError: runs on different data, or runs of one group that differ in more than their seed.
    """

    def __init__(self, runs: Iterable[Run], factors: Sequence[str], failed: Sequence[Failure] = ()):
        self.factors = tuple(factors)
        self.failed = tuple(failed)
        runs = list(runs)
        self.runs = choose_settings(runs, except_for=self._fields())
        self.on = captions.on(self.runs[0])
        # In the order given: where a later rate of the first configuration is chosen, it is still the first.
        order = list(dict.fromkeys(self._key(run) for run in runs))
        self.groups = sorted(group_runs(self.runs, self._key), key=lambda group: order.index(group.key))
        self.first_runs = first_runs(self.groups)
        self.names = {key: self._name(run) for key, run in self.first_runs.items()}
        self._method_titles = {run.config.method: method_title(run) for run in self.runs}
        self.table = self._table()

    def differences(self, *rounds: Sequence[str]) -> pd.DataFrame:
        """:func:`comparison.differences_of_pairs` of groups from a reference.

        Each round names the factors that a group shares with its reference, which is the first trained group with the
        same values of them. Without rounds, all groups have the same reference, the first trained one::

            ablation = Ablation(runs, ["terms", "contrast"])
            ablation.differences()  # every group from the first
            ablation.differences(["contrast"])  # every group from the first with the same contrast
            ablation.differences(["contrast"], ["terms"])  # these, then every group from the first with the same terms

        Untrained groups have no factors; in the first round they are compared with every reference, later with none.
        """
        trained = [group for group in self.groups if group.is_trained]
        untrained = [group for group in self.groups if not group.is_trained]
        pairs: list[tuple[Group, Group]] = []
        for number, shared in enumerate(rounds or [()]):
            # Groups that are compared with each other.
            blocks: dict[Key, list[Group]] = {}
            for group in trained:
                values = tuple(factor_value(group.first, factor) for factor in shared)
                blocks.setdefault(values, []).append(group)

            # Each with the first of its block.
            for block in blocks.values():
                reference = block[0]
                compared = [*block, *untrained] if number == 0 else block
                pairs += [(group, reference) for group in compared]
        return comparison.differences_of_pairs(pairs)

    def caption(self, subject: str) -> str:
        """Of the table: its subject, how its results came about, what varies besides the factors, what failed."""
        varied = self._varied()
        words = ", ".join(factor_title(name).lower() for name in varied)
        others = f"Besides the factors, runs differ in {words}." if varied else "All else is equal."
        return f"{subject}: {captions.conditions(self.runs)} {others}{captions.failed_sentence(self.failed)}"

    def figure_caption(self, subject: str) -> str:
        """Of a plot of the table."""
        return f"Test mR {subject}, 95% intervals. {self.on}"

    def differences_caption(self, subject: str, differences: pd.DataFrame) -> str:
        """Of a frame of :meth:`differences`: what is compared, and what is significant."""
        verdicts = comparison.verdicts(differences)
        return f"Paired mR differences (points) {subject}, 95% intervals. {verdicts} {self.on}"

    def forest_caption(self, subject: str) -> str:
        """Of a plot of differences."""
        return f"Paired mR differences (points) {subject}, {captions.FOREST} {self.on}"

    def answer(self, differences: pd.DataFrame, claim: str = "") -> str:
        """What a frame of :meth:`differences` says about trained runs, and whether it supports a claim."""
        untrained = {group.key for group in self.groups if not group.is_trained}
        return answers.of_differences(differences[~differences["key"].isin(untrained)], self.names, claim)

    def failed_runs(self) -> pd.DataFrame:
        """One row per run that was asked for and is missing, with the reason."""
        return captions.failed_runs(self.failed)

    def readable_table(self) -> pd.DataFrame:
        """The table to print: factors, the chosen settings where these differ, then "value [low, high]" in percent."""
        columns = {
            factor_title(factor): [self.value_name(factor, value) for value in self.table[factor]]
            for factor in self.factors
        }
        for name in self._varied():
            if name in TUNED:
                values = [factor_value(group.first, name) for group in self.groups]
                columns[factor_title(name)] = [format_value(name, value) for value in values]
        first = columns[factor_title(self.factors[0])]
        for i, group in enumerate(self.groups):
            if self.table[self.factors[0]].isna()[i] and not group.is_trained:  # no factors, only a name
                first[i] = describe(group.first)
        metrics = comparison.readable_summary(self.table, self.names).drop(columns="Method")
        return pd.concat([pd.DataFrame(columns), metrics], axis=1)

    def readable_differences(self, differences: pd.DataFrame) -> pd.DataFrame:
        """A frame of :meth:`differences` to print."""
        return comparison.readable_differences(differences, self.names)

    def value_name(self, factor: str, value: Any) -> str:
        """A factor's value as tables and legends show it."""
        return self._method_titles[value] if factor == "method" and value else format_value(factor, value)

    def _varied(self) -> list[str]:
        """The fields and options that differ between trained runs, besides the factors and the seed."""
        configs = [run.config for run in self.runs if run.config.epochs]
        return differing_fields(configs, ["seed", *self._fields()])

    def _fields(self) -> list[str]:
        """The fields and options that the factors cover."""
        return [field for factor in self.factors for field in fields_of(factor)]

    def _key(self, run: Run) -> Key:
        """Values of the factors; for an untrained run, followed by its method."""
        values = tuple(factor_value(run, factor) for factor in self.factors)
        return values if run.config.epochs else (*values, run.config.method)

    def _name(self, run: Run) -> str:
        """Words as they are, numbers after the name of their factor, and the names of switches that are on."""
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
