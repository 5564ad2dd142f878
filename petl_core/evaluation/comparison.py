"""Groups of runs compared: means with intervals over seeds and test images, paired differences, plain sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from petl_core import retrieval
from petl_core.evaluation.grouping import Group, Key
from petl_core.evaluation.names import METRICS, MINUS, NO_VALUE, describe, method_and_loss
from petl_core.runs.folder import Failure

DIFFERENCE_COLUMNS = ["key", "reference", "seeds", "difference", "low", "high", "distinguishable"]
Names = Mapping[Any, str]  # of keys


def summary(groups: Sequence[Group]) -> pd.DataFrame:
    """One row a group: key, parameters, seeds, and every metric's mean with its interval (``*_low``, ``*_high``)."""
    rows = []
    for group in groups:
        hits = np.stack([run.test_hits for run in group.runs])  # (S, N, 7)
        means, intervals = retrieval.metrics(hits), retrieval.bootstrap(hits)
        row: dict[str, Any] = {
            "key": group.key,
            "parameters": group.first.metrics["parameters"]["trained"],
            "seeds": len(group.runs),
        }
        for metric in METRICS:
            low, high = intervals[metric]
            row |= {metric: means[metric], f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def differences(groups: Sequence[Group], references: Sequence[Group]) -> pd.DataFrame:
    """Difference in mR (points) of every group to each of ``references``, paired by seed and image.

    Seeds in common are paired; an untrained group, zero-shot, is paired with every seed of the other.

    Returns:
        One row a pair: key, reference (keys), seeds, difference with the 95 % interval low and high, and
        distinguishable: whether that interval leaves out 0; None where the two have no seed in common.
    """
    rows = []
    for reference in references:
        for group in groups:
            if group.key == reference.key:
                continue
            pair = _paired_hits(group, reference)
            if pair is None:
                rows.append([group.key, reference.key, 0, np.nan, np.nan, np.nan, None])
                continue
            found = retrieval.paired_bootstrap(*pair)["mr"]
            low, high = found["low"], found["high"]
            distinguishable = bool(low > 0 or high < 0)
            rows.append([group.key, reference.key, len(pair[0]), found["difference"], low, high, distinguishable])
    frame = pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)
    return frame.astype({"distinguishable": object})  # True, False and None stay what they are


def not_distinguishable(differences: pd.DataFrame, names: Names) -> str:
    """What a frame of :func:`differences` does not support, in words, and how many comparisons that took."""
    compared = differences[differences["distinguishable"].notna()]
    if compared.empty:
        return "No two rows could be compared."
    alike: dict[Key, list[Key]] = {}  # reference -> groups
    for row in compared[~compared["distinguishable"].astype(bool)].to_dict("records"):
        said_already = row["reference"] in alike.get(row["key"], [])  # the other way round
        if not said_already:
            alike.setdefault(row["reference"], []).append(row["key"])
    count = f"Intervals are not adjusted for {len(compared)} comparisons."
    if not alike:
        return f"Every pair compared is distinguishable at the 95% level. {count}"
    parts = [f"from {names[reference]}: {', '.join(names[key] for key in keys)}" for reference, keys in alike.items()]
    return f"Not distinguishable at the 95% level {'; '.join(parts)}. {count}"


def readable_summary(summary: pd.DataFrame, names: Names, failed: Sequence[Failure] = ()) -> pd.DataFrame:
    """A frame with metrics and intervals in the form of the published tables: "value [low, high]", in percent.

    Args:
        summary: of :func:`summary`, or of :func:`per_run.scores`.
        names: of its keys.
        failed: a method of which no run was finished has a row "failed", below the others.
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
    rows = []
    for row in differences.to_dict("records"):
        pair = [names[row["key"]], names[row["reference"]], row["seeds"]]
        if pd.isna(row["distinguishable"]):
            rows.append([*pair, NO_VALUE, NO_VALUE, "no common seed"])
            continue
        interval = f"[{signed(row['low'])}, {signed(row['high'])}]"
        rows.append([*pair, signed(row["difference"]), interval, "yes" if row["distinguishable"] else "no"])
    columns = ["Method", "Compared with", "Seeds", "mR difference", "95% interval", "Distinguishable"]
    return pd.DataFrame(rows, columns=columns)


def signed(points: float) -> str:
    """A difference in points, with its sign."""
    return f"{points:+.2f}".replace("-", MINUS)


def _paired_hits(group: Group, reference: Group) -> tuple[np.ndarray, np.ndarray] | None:
    """Hits (S, N, 7) of both, seed by seed; None where they have no seed in common."""
    ours = {run.config.seed: run for run in group.runs}
    theirs = {run.config.seed: run for run in reference.runs}
    # An untrained model is the same whatever the seed.
    if not group.is_trained:
        ours = dict.fromkeys(theirs, group.first)
    if not reference.is_trained:
        theirs = dict.fromkeys(ours, reference.first)
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        return None
    return np.stack([ours[seed].test_hits for seed in common]), np.stack([theirs[seed].test_hits for seed in common])
