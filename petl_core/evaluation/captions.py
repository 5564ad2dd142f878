"""What a caption must say: how its results came about, on what data and backbone, and which runs are missing."""

from collections.abc import Sequence

import pandas as pd

from petl_core.evaluation.names import describe, setting
from petl_core.evaluation.training_data import training_data_warning
from petl_core.runs.folder import Failure, Run

FOREST = (
    "95% intervals; faint where not significant (5% level, adjusted by Holm; the intervals are not adjusted); the band "
    "is ±1 point. Comparisons with zero-shot are in the table only."
)


def on(run: Run) -> str:
    """The sentence that ends a caption: data and backbone in words."""
    return f"On {setting(run)}."


def conditions(runs: Sequence[Run]) -> str:
    """Test images, seeds, what the intervals are over, data, backbone, and whether it may have seen test data before.

    The sentences follow the subject of a table and a colon.
    """
    # Seeds of all rows, and how many the row with the fewest has.
    trained = [run for run in runs if run.config.epochs]
    seeds = sorted({run.config.seed for run in trained})
    seeds_of_row: dict[str, set[int]] = {}
    for run in trained:
        seeds_of_row.setdefault(run.config.replace(seed=0).hash, set()).add(run.config.seed)
    fewest = min(map(len, seeds_of_row.values()), default=0)

    # The sentences.
    shown = f"mean over seeds {_listed(seeds)}" if len(seeds) > 1 else f"seed {_listed(seeds)}"
    if fewest < len(seeds):
        shown += f" (some rows have {fewest} of them)"
    over = "seeds and test images" if fewest > 1 else "test images, and seeds where a row has several"
    text = f"recalls (%) on {runs[0].metrics['images']['test']} test images, {shown}; 95% intervals over {over}"
    warnings = {training_data_warning(run.config.pretrained or run.config.backbone) for run in runs} - {""}
    return " ".join([f"{text}; epoch chosen on validation.", on(runs[0]), *sorted(warnings)])


def _listed(seeds: Sequence[int]) -> str:
    """Seeds in ascending order, as in "2 to 6" or "2, 3, 7"."""
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def failed_runs(failed: Sequence[Failure]) -> pd.DataFrame:
    """One row per run that was asked for and is missing, with the reason."""
    rows = [
        {
            "Run": failure.name,
            "Configuration": f"{describe(failure)}, seed {failure.config.seed}" if failure.config else "unknown",
            "Reason": " ".join(failure.reason.split()),
        }
        for failure in failed
    ]
    return pd.DataFrame(rows, columns=["Run", "Configuration", "Reason"])


def failed_sentence(failed: Sequence[Failure]) -> str:
    """The failed runs as a sentence that follows another; empty if there are none."""
    if not failed:
        return ""
    shown = failed_runs(failed[:5]).to_dict("records")
    reasons = [f"{row['Configuration']} ({row['Run']}): {row['Reason'][:120]}" for row in shown]
    if len(failed) > len(shown):
        reasons.append(f"{len(failed) - len(shown)} more")
    return f" Failed and left out: {'; '.join(reasons)}."
