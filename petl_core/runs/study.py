"""A section of study.yaml as data: which notebooks, with which parameters, and the runs that they read.

Importable without torch: Snakemake reads it anew in every job.
"""

import ast
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from petl_core.config import RunConfig
from petl_core.paths import ROOT, resolve
from petl_core.validation import ConfigError

PASSED = {"dataset", "backbone", "pretrained", "epochs", "batch_size"}  # to the notebooks that declare them
_COMMON = ("dataset", "backbone", "method ", "seed")
FIELDS = set(RunConfig.__dataclass_fields__)


@dataclass(frozen=True)
class Study:
    """What a section asks for."""

    notebooks: dict[str, dict]  # parameters of each notebook, by its name
    reads: dict[str, list[str]]  # names of the runs that each notebook reads
    runs: dict[str, RunConfig]  # every run by its name
    places: dict  # figures, data_root, runs_root; and gpus


def read(section: dict) -> Study:
    """Expand a section's grids.

    A section has fields of RunConfig, its places (``figures``, ``data_root``, ``runs_root``), ``gpus`` (of a run) and
    ``notebooks``. A notebook's ``runs`` is a list of mappings over the section's fields, where a list of values is a
    grid; its ``run`` is one mapping (of a list, the first value counts). Of the section's own fields it is given those
    that it declares.

    Raises:
        ConfigError: naming what is unknown or out of range.
    """
    places = {"figures": "figures", "data_root": "data", "runs_root": "runs", "gpus": 0, "runs_per_job": 0}
    places |= {key: section[key] for key in places.keys() & section.keys()}
    shared = {key: value for key, value in section.items() if key in FIELDS}
    unknown = section.keys() - FIELDS - places.keys() - {"notebooks"}
    if unknown:
        raise ConfigError(f"study.yaml: unknown {', '.join(sorted(unknown))} in a section")
    notebooks, reads, runs = {}, {}, {}
    for name, asked in section["notebooks"].items():
        own = dict(asked or {})
        read_here = {}
        if "runs" in own:
            for trained in _grid(shared, own["runs"]):
                # The untouched backbone is the baseline of every run, so it is always there, and first.
                read_here |= {run.hash: run for run in (trained.zero_shot(), trained)}
            own["runs"] = list(read_here)
        if "run" in own:
            run = next(_grid(shared, [own["run"]]))
            read_here |= {shown.hash: shown for shown in (run.zero_shot(), run)}
            own["run"] = f"{places['runs_root']}/{run.hash}"
        given = {key: shared[key] for key in PASSED & shared.keys() if not isinstance(shared[key], list)}
        given |= {**places, "progress": False}
        declared = declared_parameters(name)
        notebooks[name] = {key: value for key, value in given.items() if key in declared} | own
        reads[name] = list(read_here)
        runs |= read_here
    return Study(notebooks, reads, runs, places)


def declared_parameters(notebook: str) -> set[str]:
    """The names in a notebook's ``parameters`` cell."""
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except OSError as error:
        known = ", ".join(sorted(found.stem for found in path.parent.glob("*.ipynb")))
        raise ConfigError(f"study.yaml: no notebook {notebook}; known: {known}") from error
    first = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    return {line.target.id for line in ast.parse("".join(first["source"])).body if isinstance(line, ast.AnnAssign)}


def title(run: RunConfig) -> str:
    """What distinguishes a run, for the progress line."""
    changed = {key: value for key, value in vars(run).items() if value != getattr(RunConfig(), key)}
    shown = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in changed.items()]
    return ", ".join([run.method, f"seed {run.seed}", *(text for text in shown if not text.startswith(_COMMON))])


def finished(name: str, runs_root: str | Path) -> bool:
    """Whether a run's results are there."""
    return (resolve(runs_root) / name / "metrics.json").exists()


def _grid(shared: dict, asked: Sequence[dict]) -> Iterator[RunConfig]:
    for run in asked:
        lists = {key: value if isinstance(value, list) else [value] for key, value in {**shared, **run}.items()}
        unknown = lists.keys() - FIELDS
        if unknown:
            raise ConfigError(f"study.yaml: a run has unknown {', '.join(sorted(unknown))}")
        for values in itertools.product(*lists.values()):
            yield RunConfig(**dict(zip(lists, values, strict=True)))
