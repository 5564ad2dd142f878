"""Many runs for a notebook, and the reasons of those that are missing."""

from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import resolve
from petl_core.runs.folder import Failure, Run, failure_of, open_run


def collect(
    runs: Sequence[str | RunConfig],
    data_root: str | Path = "data",
    runs_root: str | Path = "runs",
    device: str = "auto",
    progress: bool = True,
) -> tuple[list[Run], list[Failure]]:
    """Runs in the given order, and those that failed. A configuration is run; a name is only read, without torch.

    Raises:
        ConfigError: there is not a single finished run.
    """
    root = resolve(runs_root)
    finished, failed = [], []
    for wanted in tqdm(runs, "runs", disable=not progress, unit="run"):
        name = wanted.hash if isinstance(wanted, RunConfig) else wanted
        try:
            if isinstance(wanted, RunConfig):
                from petl_core.runs import experiment  # imports torch

                finished.append(experiment.run(wanted, data_root, runs_root, device, progress))
            else:
                finished.append(open_run(root / name))
        except Exception as error:
            only_named = isinstance(wanted, str) and not (root / name).exists()
            failed.append(failure_of(root / name, "" if only_named else f"{type(error).__name__}: {error}"))
    if not finished:
        reasons = "; ".join(f"{failure.name}: {failure.reason}" for failure in failed) or "none was requested"
        raise ConfigError(f"no finished run under {root}: {reasons}")
    return finished, failed
