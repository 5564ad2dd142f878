"""Comparisons of groups: means with intervals over seeds and test images, paired differences, sentences on both."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from petl_core import statistics
from petl_core.evaluation.grouping import Group
from petl_core.evaluation.names import METRICS, MINUS, NO_VALUE, describe, method_and_loss
from petl_core.runs.folder import Failure

SIGNIFICANCE = 0.05  # of all verdicts of a table together
POWER = 0.8
EQUIVALENCE = 1.0  # points of mR; smaller differences are negligible
SEEDS_FOR_A_VERDICT = 2
ANSWERS = {True: "yes", False: "no", None: "cannot tell"}
DIFFERENCE_COLUMNS = [
    "key", "reference", "seeds", "difference", "low", "high", "p", "p_holm", "significant", "equivalent",
    "detectable",
]  # fmt: skip
Names = Mapping[Any, str]  # of keys
Pair = tuple[Group, Group]  # a group and its reference


def summary(groups: Sequence[Group]) -> pd.DataFrame:
    """One row per group: key, parameters, seeds, and every metric's mean with its interval (``*_low``, ``*_high``)."""
    rows = []
    for group in groups:
        hits = np.stack([run.test_hits for run in group.runs])  # (S, N, 7)
        found = statistics.interval(hits).set_index("metric")
        row: dict[str, Any] = {
            "key": group.key,
            "parameters": group.first.metrics["parameters"]["trained"],
            "seeds": len(group.runs),
        }
        for metric in METRICS:
            mean, low, high = found.loc[metric, ["mean", "low", "high"]]
            row |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def differences(
    groups: Sequence[Group], references: Sequence[Group], metric: str = "mr", without: Iterable[Pair] = ()
) -> pd.DataFrame:
    """:func:`differences_of_pairs` of every group from each reference, without pairs that are judged elsewhere."""
    elsewhere = [{group.key, reference.key} for group, reference in without]
    pairs = [(group, reference) for reference in references for group in groups]
    return differences_of_pairs([(a, b) for a, b in pairs if {a.key, b.key} not in elsewhere], metric)


def differences_of_pairs(pairs: Iterable[Pair], metric: str = "mr") -> pd.DataFrame:
    """Differences in a metric (points) of the first group of each pair from the second, its reference.

    Hits are paired by seed and test image; an untrained group, zero-shot, is paired with every seed of the other. A
    pair that comes again, either way round, is listed only once; a group is not compared with itself.

    A verdict needs two seeds in common. All p-values of a frame are one family, adjusted by Holm. Equivalence
    is judged pair by pair, by the 95 % interval that tables and plots show; two one-sided tests at 5 % would use the
    90 % interval.

    Returns:
        One row per pair: key, reference (keys), seeds in common, difference with its 95 % interval low and high (over
        images only if there is one seed), and, NaN or None where there is no verdict:

        p, p_holm: two-sided p-value of no difference, unadjusted and adjusted.
        significant: whether p_holm is below 5 %.
        equivalent: True if the interval is inside +-1 point, False if it is outside and the pair significant, otherwise
            None.
        detectable: the true difference that would be found with 80 % power
            at Holm's strictest step, 5 % divided by the number of verdicts.
    """
    pairs = list(pairs)
    groups = {group.key: group for pair in pairs for group in pair}
    hits = {
        key: {run.config.seed if group.is_trained else None: run.test_hits for run in group.runs}
        for key, group in groups.items()
    }
    frame = statistics.compare(hits, [(group.key, reference.key) for group, reference in pairs], metric)
    judged, significant = frame["p"].notna(), frame["p_holm"] < SIGNIFICANCE
    outside = significant & ((frame["low"] > EQUIVALENCE) | (frame["high"] < -EQUIVALENCE))
    inside = judged & (frame["excluded"] <= EQUIVALENCE)
    frame["significant"] = _true_false_none(significant.where(judged))
    frame["equivalent"] = _true_false_none(inside.where(inside | outside))
    return frame.rename(columns={"label": "key"})[DIFFERENCE_COLUMNS]


def verdicts(differences: pd.DataFrame) -> str:
    """How many pairs of a frame of :func:`differences` differ significantly, and which differences could be found."""
    judged = differences["significant"].dropna()
    of_one_seed = int((differences["seeds"] == 1).sum())
    parts = []
    if len(judged):
        found = f"{judged.astype(bool).sum()} of {counted(len(judged), 'difference')} significant"
        parts.append(f"{found} ({SIGNIFICANCE:.0%} level, adjusted by Holm; the intervals are not adjusted).")
    if of_one_seed:
        parts.append(f"No verdict on {counted(of_one_seed, 'pair')} with one seed in common.")
    if not parts:
        parts.append("No two rows could be compared.")
    parts.append(detectable_sentence(differences))
    return " ".join(part for part in parts if part)


def detectable_sentence(differences: pd.DataFrame) -> str:
    """The median of the detectable differences, in words; empty if nothing was judged."""
    detectable = differences["detectable"].dropna()
    if detectable.empty:
        return ""
    return f"A true difference of {detectable.median():.1f} points would be found with {POWER:.0%} power (median pair)."


def readable_summary(summary: pd.DataFrame, names: Names, failed: Sequence[Failure] = ()) -> pd.DataFrame:
    """A frame with metrics and intervals in the form of the published tables: "value [low, high]", in percent.

    Args:
        summary: of :func:`summary`, or of :func:`per_run.scores`.
        names: of its keys.
        failed: runs that failed; a method without any finished run gets a row "failed", below the others.
    """
    columns: dict[str, Any] = {
        "Method": [names[key] for key in summary["key"]],
        "Trained parameters": summary["parameters"].map("{:,}".format),
    }
    for count in ("seed", "seeds"):
        if count in summary:
            columns[count.capitalize()] = summary[count]
    for metric, title in METRICS.items():
        bounds = zip(summary[metric], summary[f"{metric}_low"], summary[f"{metric}_high"], strict=True)
        columns[title] = [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in bounds]
    table = pd.DataFrame(columns)
    names_of_failed = {method_and_loss(run): describe(run) for run in failed}
    missing = sorted(name for key, name in names_of_failed.items() if key not in set(summary["key"]))
    if not missing:
        return table
    rows = [dict.fromkeys(table, "failed") | {"Method": name} for name in missing]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True)


def readable_differences(differences: pd.DataFrame, names: Names) -> pd.DataFrame:
    """A frame of :func:`differences` to print."""
    columns = [
        "Method", "Compared with", "Seeds", "mR difference", "95% interval", "p", "p (Holm)", "Significant",
        f"Equivalent (±{EQUIVALENCE:g})",
    ]  # fmt: skip
    rows = []
    for row in differences.to_dict("records"):
        pair = [names[row["key"]], names[row["reference"]], row["seeds"]]
        found = [signed(row["difference"]), f"[{signed(row['low'])}, {signed(row['high'])}]"]
        if row["seeds"] == 0:
            rows.append([*pair, *[NO_VALUE] * 4, *["no common seed"] * 2])
        elif row["seeds"] < SEEDS_FOR_A_VERDICT:
            rows.append([*pair, *found, NO_VALUE, NO_VALUE, *["one seed"] * 2])
        else:
            answers = [ANSWERS[row[question]] for question in ("significant", "equivalent")]
            rows.append([*pair, *found, _shown_p(row["p"]), _shown_p(row["p_holm"]), *answers])
    return pd.DataFrame(rows, columns=columns)


def signed(points: float) -> str:
    """A difference in points, with its sign."""
    return f"{points:+.2f}".replace("-", MINUS)


def _shown_p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def counted(count: int, noun: str) -> str:
    """A count in words, as in "1 pair" and "2 pairs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _true_false_none(verdicts: pd.Series) -> pd.Series:
    """True and False as they are, and None for missing values; pandas would make numbers of them."""
    return pd.Series([None if pd.isna(verdict) else bool(verdict) for verdict in verdicts], dtype=object)
