"""One row per run: its scores and its cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from petl_core.evaluation.grouping import validation_mr
from petl_core.evaluation.names import METRICS, NO_VALUE
from petl_core.runs.folder import Run


def scores(runs: Sequence[Run], rule: str = "strict") -> pd.DataFrame:
    """Key (the run's hash), seed, parameters, and every metric with its interval (``*_low``, ``*_high``).

    Args:
        runs: finished ones.
        rule: which captions count as an image's own, "strict" or "equivalent".
    """
    rows = []
    for run in runs:
        row: dict[str, Any] = {
            "key": run.config.hash,
            "seed": run.config.seed,
            "parameters": run.metrics["parameters"]["trained"],
        }
        for metric in METRICS:
            low, high = run.metrics["intervals"][rule][metric]
            row |= {metric: run.metrics["scores"][rule][metric], f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def epoch_seconds(run: Run) -> float:
    """The median of a run's epochs, which a machine that slept or was busy for a while hardly moves; 0 if untrained."""
    seconds = [epoch["seconds"] for epoch in run.metrics["history"] if "seconds" in epoch]
    return float(np.median(seconds)) if seconds else 0.0


def training_seconds(run: Run) -> float:
    """As many times :func:`epoch_seconds` as epochs were trained."""
    return epoch_seconds(run) * (len(run.metrics["history"]) - 1)


def encoded_per_epoch(run: Run) -> float:
    """Images encoded in an epoch: each once, or once for each of its captions; NaN if an older run does not say."""
    if run.config.pairs == "images":
        return run.metrics["images"]["train"]
    return run.metrics.get("captions", {}).get("train", np.nan)


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Key, size, chosen epoch, seconds, speed, peak memory (GPU, or process on a CPU) and mR; NaN if untrained."""
    rows = []
    for run in runs:
        seconds = epoch_seconds(run)
        row: dict[str, Any] = {
            "key": run.config.hash,
            "seed": run.config.seed,
            "parameters": run.metrics["parameters"]["trained"],
            "learning_rate": np.nan,
            "chosen_epoch": run.metrics["chosen_epoch"],
            "epochs": run.config.epochs,
            "seconds_per_epoch": np.nan,
            "images_per_second": np.nan,
            "peak_memory_mib": np.nan,
            "validation_mr": np.nan,
            "test_mr": run.metrics["scores"]["strict"]["mr"],
        }
        if seconds:  # it was trained
            row |= {
                "learning_rate": run.config.learning_rate,
                "seconds_per_epoch": seconds,
                "images_per_second": encoded_per_epoch(run) / seconds,
                "peak_memory_mib": run.metrics.get("peak_memory_mib", np.nan),
                "validation_mr": validation_mr(run),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def readable_costs(frame: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """A frame of :func:`costs` to print, with the names of its keys."""

    def shown(column: str, form: str) -> list[str]:
        return [NO_VALUE if np.isnan(value) else form.format(value) for value in frame[column]]

    return pd.DataFrame(
        {
            "Run": frame["key"],
            "Method": [names[key] for key in frame["key"]],
            "Seed": frame["seed"],
            "Trained parameters": shown("parameters", "{:,}"),
            "Learning rate": shown("learning_rate", "{:g}"),
            "Chosen epoch": [f"{row.chosen_epoch}/{row.epochs}" for row in frame.itertuples()],
            "Seconds per epoch": shown("seconds_per_epoch", "{:.3g}"),
            "Images per second": shown("images_per_second", "{:,.0f}"),
            "Peak memory (MiB)": shown("peak_memory_mib", "{:,.0f}"),
            "Validation mR": shown("validation_mr", "{:.2f}"),
            "Test mR": shown("test_mr", "{:.2f}"),
        }
    )
