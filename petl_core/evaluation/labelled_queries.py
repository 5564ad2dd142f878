"""A run's tests that use scene labels, each separate from the plain test."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petl_core.config import RunConfig
from petl_core.data.scene_labels import TEMPLATE
from petl_core.evaluation.names import NO_VALUE, PLAIN_TEST, QUERY_MODES, describe
from petl_core.runs.folder import Run

LABEL_IN_QUERY = ("predicted", "oracle")  # modes in which the label joins the text
LEAKS = ("oracle", "gallery_oracle")  # modes that know the label of the image that is searched for
NO_LABELS: tuple[tuple[str, Hashable], ...] = ()  # what trained_with returns for training without scene labels
TRAINED_WITH = ("scene_probability", "scene_template", "scene_weight", "scene_balance")  # fields of RunConfig


@dataclass(frozen=True)
class LabelledTest(Run):
    """A finished run in one of its tests with scene labels, a mode of :mod:`petl_core.runs.scene_tests`."""

    mode: str

    @property
    def test_hits(self) -> np.ndarray:
        return np.load(self.folder / f"test_hits_{self.mode}.npy")


def labelled_tests(run: Run) -> list[LabelledTest]:
    """A run's tests with scene labels, in the order of ``QUERY_MODES``; none on data without scene labels."""
    modes = [mode for mode in QUERY_MODES if mode in run.metrics["scene_scores"]]
    return [LabelledTest(run.folder, run.config, run.metrics, mode) for mode in modes]


def query_mode(run: Run) -> str:
    """What a test knows about scene labels: a key of :data:`names.QUERY_MODES`."""
    return run.mode if isinstance(run, LabelledTest) else PLAIN_TEST


def trained_with(config: RunConfig) -> tuple[tuple[str, Hashable], ...]:
    """How training used scene labels: the fields of ``TRAINED_WITH`` that are on, with their values."""
    used = {name: getattr(config, name) for name in TRAINED_WITH}
    if not config.scene_probability or config.scene_template == TEMPLATE:
        used["scene_template"] = ""
    return tuple((name, value) for name, value in used.items() if value)


def class_accuracy(runs: Iterable[Run]) -> pd.DataFrame:
    """How well each run predicts scene classes, to print: test accuracy, predictors, and weights of the soft prior."""
    rows = []
    for run in {run.config.hash: run for run in runs if run.metrics["scene_test"]}.values():
        found = run.metrics["scene_test"]
        weights = found["prior_weights"]["gallery_soft"]
        rows.append(
            {
                "Run": f"{describe(run)}, seed {run.config.seed}",
                "Classes": len(found["classes"]),
                **{f"{kind.capitalize()} (%)": _percent(found["accuracy"][kind]) for kind in ("text", "image")},
                **{f"{kind.capitalize()} predictor": found["predictor"][kind] for kind in ("text", "image")},
                "Prior weight, I→T": f"{weights['i2t']:g}",
                "Prior weight, T→I": f"{weights['t2i']:g}",
            }
        )
    return pd.DataFrame(rows)


def _percent(accuracy: float | None) -> str:
    return NO_VALUE if accuracy is None else f"{accuracy:.1f}"
