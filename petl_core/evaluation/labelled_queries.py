"""A run's tests with scene labels in the queries, each a test of its own beside the plain one."""

from dataclasses import dataclass

import numpy as np

from petl_core.runs.folder import Run


@dataclass(frozen=True)
class LabelledTest(Run):
    """A finished run by its test with labelled queries, "predicted" or "oracle", the latter a LEAK."""

    mode: str

    @property
    def test_hits(self) -> np.ndarray:
        return np.load(self.folder / f"test_hits_{self.mode}.npy")


def labelled_tests(run: Run) -> list[LabelledTest]:
    """A run's tests with predicted and with the oracle's labels; none for a run that was trained without labels."""
    modes = [mode for mode in ("predicted", "oracle") if mode in run.metrics["scene_scores"]]
    return [LabelledTest(run.folder, run.config, run.metrics, mode) for mode in modes]


def query_mode(run: Run) -> str:
    """How the queries of a test took scene labels: a key of :data:`names.QUERY_MODES`."""
    return run.mode if isinstance(run, LabelledTest) else "none"
