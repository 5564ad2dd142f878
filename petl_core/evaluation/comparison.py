"""Methods compared over seeds: means, intervals over seeds and test images, paired differences, plain sentences."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from petl_core import retrieval
from petl_core.plots.figures import METRICS, describe, label, short_names
from petl_core.runs.experiment import Failure, Run

Groups = dict[str, list[Run]]  # runs of one method that differ in the seed alone, by label
MINUS, INDISTINCT, UNPAIRED = "\N{MINUS SIGN}", "no", "no common seed"
DIFFERENCES = ("Method", "Compared with", "Seeds", "mR difference", "95% interval", "Distinguishable")


def by_method(runs: Sequence[Run], name: Callable[[Run], str] = label) -> Groups:
    """Runs grouped by their name, in the order given, each group's seeds ascending.

    Raises:
        ValueError: runs on different data, or two different configurations under one label.
    """
    check_one_data_set(runs)
    groups: Groups = {}
    for run in runs:
        groups.setdefault(name(run), []).append(run)
    for group, members in groups.items():
        if len({run.config.replace(seed=0).hash for run in members}) > 1:
            raise ValueError(f"{group}: runs differ in more than their seed; compare them in separate groups")
        members.sort(key=lambda run: run.config.seed)
    return groups


def check_one_data_set(runs: Sequence[Run]) -> None:
    """Raises ValueError for runs that were tested on different data."""
    if len({(run.config.dataset, run.metrics["inputs"]["data"]) for run in runs}) > 1:
        raise ValueError("these runs were tested on different data sets; compare runs on one")


def choose_learning_rates(runs: Sequence[Run]) -> list[Run]:
    """Of runs that differ in learning rate and seed alone, those with the rate of the best mean validation mR.

    The order is kept. A rate that finished fewer seeds than another is out, since those that diverge are missing. The
    test split plays no part.
    """
    kept = []
    alike: Groups = {}
    for run in runs:
        alike.setdefault(run.config.replace(seed=0, learning_rate=1.0).hash, []).append(run)
    for members in alike.values():
        rates: dict[float, list[float]] = {}
        for run in members:
            rates.setdefault(run.config.learning_rate, []).append(validation_mr(run))
        most = max(len(found) for found in rates.values())
        best = max((rate for rate in rates if len(rates[rate]) == most), key=lambda rate: np.mean(rates[rate]))
        kept += [run for run in members if run.config.learning_rate == best]
    return kept


def validation_mr(run: Run) -> float:
    """Validation mR at the chosen epoch, in percent; 0 for a run that was not trained."""
    return run.metrics["history"][run.metrics["chosen_epoch"]].get("validation_mr", 0.0)


def names_of(groups: Groups, methods: Sequence[str]) -> list[str]:
    """The groups whose method is one of ``methods``."""
    return [name for name, runs in groups.items() if runs[0].config.method in methods]


def summary(groups: Groups) -> pd.DataFrame:
    """One row a method: parameters, seeds, and every metric's mean with its interval (``*_low``, ``*_high``)."""
    rows = []
    for name, runs in groups.items():
        hits = np.stack([run.test_hits for run in runs])  # (S, N, 7)
        means, intervals = retrieval.metrics(hits), retrieval.bootstrap(hits)
        row = {"method": name, "parameters": runs[0].metrics["parameters"]["trained"], "seeds": len(runs)}
        for metric in METRICS:
            low, high = intervals[metric]
            row |= {metric: means[metric], f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def differences(groups: Groups, references: Sequence[str]) -> pd.DataFrame:
    """Difference in mR (points) of every group to each of the groups ``references``, paired by seed and image.

    Seeds in common are paired; an untrained group, zero-shot, is paired with every seed of the other. A pair without
    a common seed has a row that says so.
    """
    rows = []
    for reference in references:
        for name in groups:
            if name == reference:
                continue
            pair = _paired(groups[name], groups[reference])
            if pair is None:
                rows.append([name, reference, 0, "–", "–", UNPAIRED])
                continue
            ours, theirs = pair
            found = retrieval.paired_bootstrap(ours, theirs)["mr"]
            distinct = found["low"] > 0 or found["high"] < 0
            difference = f"{found['difference']:+.2f}".replace("-", MINUS)
            interval = f"[{found['low']:+.2f}, {found['high']:+.2f}]".replace("-", MINUS)
            rows.append([name, reference, len(ours), difference, interval, "yes" if distinct else INDISTINCT])
    return pd.DataFrame(rows, columns=DIFFERENCES)


def sentence(differences: pd.DataFrame) -> str:
    """What a table of :func:`differences` does not support, in words, and how many comparisons that took."""
    differences = differences[differences["Distinguishable"] != UNPAIRED]
    if differences.empty:
        return "No two rows could be compared."
    names = list(dict.fromkeys([*differences["Method"], *differences["Compared with"]]))
    short = dict(zip(names, short_names(names), strict=True))
    equal: dict[str, list[str]] = {}
    for row in differences[differences["Distinguishable"] == INDISTINCT].to_dict("records"):
        method, reference = short[row["Method"]], short[row["Compared with"]]
        if reference not in equal.get(method, []):  # said already, the other way round
            equal.setdefault(reference, []).append(method)
    count = f"Intervals are not adjusted for {len(differences)} comparisons."
    if not equal:
        return f"Every pair compared is distinguishable at the 95% level. {count}"
    parts = [f"from {reference}: {', '.join(methods)}" for reference, methods in equal.items()]
    return f"Not distinguishable at the 95% level {'; '.join(parts)}. {count}"


def failures(failed: Sequence[Failure]) -> pd.DataFrame:
    """One row a run that was asked for and is not there, with the reason."""
    rows = [
        {
            "Run": failure.name,
            "Configuration": f"{describe(failure.config)}, seed {failure.config.seed}" if failure.config else "unknown",
            "Reason": " ".join(failure.reason.split()),
        }
        for failure in failed
    ]
    return pd.DataFrame(rows, columns=["Run", "Configuration", "Reason"])


def with_failures(table: pd.DataFrame, failed: Sequence[Failure]) -> pd.DataFrame:
    """A table of methods with a row "failed" for each method of which no run was finished."""
    names = {describe(failure.config) if failure.config else failure.name for failure in failed}
    rows = [dict.fromkeys(table, "failed") | {"Method": name} for name in sorted(names - set(table["Method"]))]
    return pd.concat([table, pd.DataFrame(rows)], ignore_index=True) if rows else table


def failed_sentence(failed: Sequence[Failure]) -> str:
    """What a caption must say of failed runs; empty where there are none."""
    if not failed:
        return ""
    shown = failures(failed[:5]).to_dict("records")
    reasons = [f"{row['Configuration']} ({row['Run']}): {row['Reason'][:120]}" for row in shown]
    more = [f"{len(failed) - len(shown)} more"] if len(failed) > len(shown) else []
    return f" Failed and left out: {'; '.join(reasons + more)}."


def conditions(runs: Sequence[Run]) -> str:
    """What a caption must say of how its figures came about."""
    trained = [run for run in runs if run.config.epochs]
    images, seeds = runs[0].metrics["images"]["test"], sorted({run.config.seed for run in trained})
    of_row: dict[str, set[int]] = {}
    for run in trained:
        of_row.setdefault(run.config.replace(seed=0).hash, set()).add(run.config.seed)
    fewest = min(map(len, of_row.values()), default=0)
    named = f"mean over seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {', '.join(map(str, seeds))}"
    some = f" (some rows have {fewest} of them)" if fewest < len(seeds) else ""
    over = "seeds and test images" if fewest > 1 else "test images, and seeds where a row has several"
    return (
        f"recalls (%) on {images} test images, {named}{some}, with 95% intervals from a bootstrap over {over}; epoch "
        "chosen on validation. " + ("Fewer than 5 seeds: read the intervals as too narrow." if fewest < 5 else "")
    ).strip()


def cost(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run: its name, size, chosen epoch, seconds, speed, peak memory (GPU, or process on a CPU)."""
    rows = []
    for run in runs:
        epochs = [entry["seconds"] for entry in run.metrics["history"] if "seconds" in entry]
        per_epoch = float(np.mean(epochs)) if epochs else float("nan")
        rows.append(
            {
                "Run": run.config.hash,
                "Method": label(run),
                "Seed": run.config.seed,
                "Trained parameters": run.metrics["parameters"]["trained"],
                "Learning rate": run.config.learning_rate if epochs else float("nan"),
                "Chosen epoch": f"{run.metrics['chosen_epoch']}/{run.config.epochs}",
                "Seconds per epoch": per_epoch,
                "Images per second": run.metrics["images"]["train"] / per_epoch if epochs else float("nan"),
                "Peak memory (MiB)": run.metrics.get("peak_memory_mib", np.nan) if epochs else float("nan"),
                "Validation mR": validation_mr(run) if epochs else float("nan"),
                "Test mR": run.metrics["scores"]["strict"]["mr"],
            }
        )
    return pd.DataFrame(rows)


def readable_cost(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of :func:`cost` to print."""
    formats = {
        "Trained parameters": "{:,}",
        "Learning rate": "{:g}",
        "Seconds per epoch": "{:.3g}",
        "Images per second": "{:,.0f}",
        "Peak memory (MiB)": "{:,.0f}",
        "Validation mR": "{:.2f}",
        "Test mR": "{:.2f}",
    }
    shown = {name: frame[name].map(form.format).replace("nan", "–") for name, form in formats.items()}
    return frame.assign(**shown)


def _paired(ours: list[Run], theirs: list[Run]) -> tuple[np.ndarray, np.ndarray] | None:
    """Hits (S, N, 7) of both sides, seed by seed; None where they have no seed in common."""
    seeds = [{run.config.seed: run for run in runs} for runs in (ours, theirs)]
    for i, runs in enumerate((ours, theirs)):
        if not runs[0].config.epochs:  # untrained: the same whatever the seed
            seeds[i] = dict.fromkeys(seeds[1 - i], runs[0])
    common = sorted(seeds[0].keys() & seeds[1].keys())
    if not common:
        return None
    return tuple(np.stack([side[seed].test_hits for seed in common]) for side in seeds)
