"""A section of study.yaml as data: which notebooks, with which parameters, and the runs that they read.

A mistake in a section raises one :class:`ConfigError` that says where it is, as in
``study.yaml: mine.notebooks.04_benchmark.runs[1]: epochs = -1: Input should be greater than or equal to 0``.
Importable without torch: Snakemake reads it anew in every job.
"""

import ast
import itertools
import json
import reprlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import ROOT
from petl_core.parameters import JSON_TYPES, check_types
from petl_core.runs import tuned


class Options(BaseModel):
    """Where a section is made, and how."""

    model_config = ConfigDict(extra="forbid", strict=True)

    figures: str = Field("", pattern=r"^\S*$")  # folder, without spaces; figures/<section> if it is not named
    data_root: str = Field("data", min_length=1)
    runs_root: str = Field("runs", pattern=r"^\S+$")
    tuned: str = ""  # file of settings for runs that name no learning rate: petl_core.runs.tuned
    gpus: int = Field(0, ge=0)  # of a run; without any the section sees no GPU
    runs_per_gpu: int = Field(1, ge=1)  # runs that share a GPU at a time
    runs_per_job: int = Field(0, ge=0)  # runs that a job of a cluster trains; 0 = all


@dataclass(frozen=True)
class Section:
    """A section of study.yaml, its grids expanded."""

    notebooks: dict[str, dict]  # parameters of each notebook, by its name
    reads: dict[str, list[str]]  # names of the runs that each notebook reads
    runs: dict[str, RunConfig]  # every run by its name
    options: Options

    def workers(self, cores: int) -> int:
        """Runs at a time: as many as share a GPU, or one in each job of a cluster, or one on each core."""
        if self.options.gpus:
            return self.options.runs_per_gpu
        return 1 if self.options.runs_per_job else cores


def load_sections(path: Path = ROOT / "study.yaml") -> Any:
    """What the file holds, unchecked except for duplicate keys, of which YAML would silently take the last.

    Raises:
        ConfigError: the file cannot be read as YAML, naming the line.
    """
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        document = loader.get_single_node()
        for repeated in _repeated_keys(document, set()):
            raise ConfigError(f"{path.name}: {repeated}")
        return loader.construct_document(document) if document else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path.name}: {error}") from error


def find_section(sections: Any, name: object) -> Any:
    """What study.yaml holds under a section's name.

    Raises:
        ConfigError: there is no such section; the message names those that exist.
    """
    if not isinstance(sections, Mapping):
        raise ConfigError("study.yaml must be a mapping of sections")
    if isinstance(name, str) and name in sections:
        return sections[name]
    known = ", ".join(key for key, section in sections.items() if isinstance(key, str) and isinstance(section, dict))
    raise ConfigError(f"study.yaml: no section {name}; known: {known}")


def load(name: str) -> Section:
    """A section of study.yaml by its name."""
    return read(find_section(load_sections(), name), name)


def runs_of(section: str, notebook: str) -> list[RunConfig]:
    """The runs that a notebook reads in a section of study.yaml.

    Raises:
        ConfigError: there is no such section, it does not have the notebook, or something is wrong in it.
    """
    found = load(section)
    if not found.reads.get(notebook):
        having = ", ".join(name for name, runs in found.reads.items() if runs) or "none"
        raise ConfigError(f"study.yaml: {section} has no runs of {notebook}; notebooks with runs: {having}")
    return [found.runs[name] for name in found.reads[notebook]]


def read(fields: Any, name: str) -> Section:
    """Expand a section's grids.

    A section has fields of RunConfig, ``Options`` and ``notebooks``. A notebook's ``runs`` is a list of mappings over
    the section's fields, where a list of values is a grid; its ``run`` is one mapping. A notebook is given those of the
    section's fields and options that it declares; if it takes a single value, the first of a list.

    Args:
        fields: of the section, as YAML gives them, unchecked.
        name: of the section, for messages.

    Raises:
        ConfigError: something is unknown, of the wrong type or out of range; the message says where.
    """
    where = f"study.yaml: {name}"
    try:
        _check_json(fields, where)
    except RecursionError as error:
        raise ConfigError(f"{where} contains itself, through an anchor and its alias") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("notebooks"), dict):
        known = ", ".join(Options.model_fields)
        raise ConfigError(f"{where} must be a mapping of fields of RunConfig, {known}, and always notebooks")
    shared = {key: value for key, value in fields.items() if key in RunConfig.model_fields}
    for key, value in shared.items():
        if value == []:
            raise ConfigError(f"{where}.{key}: a list without values")
    try:
        others = {key: value for key, value in fields.items() if key not in shared and key != "notebooks"}
        options = Options(**{"figures": f"figures/{name}", **others})
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join([*Options.model_fields, *RunConfig.model_fields])
        problem = f"unknown; known: {known}" if first["type"] == "extra_forbidden" else first["msg"]
        raise ConfigError(f"{where}.{first['loc'][0]} = {_short(first['input'])}: {problem}") from None

    notebooks: dict[str, dict] = {}
    reads: dict[str, list[str]] = {}
    runs: dict[str, RunConfig] = {}
    for notebook, given in fields["notebooks"].items():
        here = f"{where}.notebooks.{notebook}"
        try:
            declared = declared_parameters(notebook)
        except ConfigError as error:
            raise ConfigError(f"{where}.notebooks: {error}") from error
        if not isinstance(given, dict | None):
            raise ConfigError(f"{here} = {_short(given)} must be a mapping of the notebook's parameters, or nothing")
        own: dict[str, Any] = dict(given or {})
        read_here: dict[str, RunConfig] = {}
        if "runs" in own:
            if not isinstance(own["runs"], list) or not own["runs"]:
                raise ConfigError(f"{here}.runs = {_short(own['runs'])} must be a list of runs, at least one")
            for number, run in enumerate(own["runs"]):
                for trained in _grid(shared, run, options.tuned, f"{here}.runs[{number}]"):
                    # The untouched backbone is the baseline of every run, so it is always there, and first.
                    read_here |= {config.hash: config for config in (trained.zero_shot(), trained)}
            own["runs"] = list(read_here)
        if "run" in own:
            shown = next(_grid(shared, own["run"], options.tuned, f"{here}.run"))
            read_here |= {config.hash: config for config in (shown.zero_shot(), shown)}
            own["run"] = shown.hash
        check_types(own, declared, here)
        common = {key: value[0] if isinstance(value, list) else value for key, value in shared.items()}
        common |= {**dict(options), "section": name, "progress": False}
        notebooks[notebook] = {key: value for key, value in common.items() if key in declared} | own
        reads[notebook] = list(read_here)
        runs |= read_here
    return Section(notebooks, reads, runs, options)


def title(run: RunConfig) -> str:
    """What distinguishes a run, for a line of progress.

    >>> title(RunConfig(dataset="rsicd", method="lora", seed=3, learning_rate=5e-4))
    'lora, seed 3, learning_rate 0.0005'
    """
    named = ("dataset", "backbone", "method", "seed")
    shown = [f"{key} {value}" for key, value in run.changed().items() if key not in named]
    return ", ".join([run.method, f"seed {run.seed}", *shown])


def declared_parameters(notebook: str) -> dict[str, type]:
    """The names in a notebook's ``parameters`` cell, and their types.

    Raises:
        ConfigError: there is no such notebook, or it declares none.
    """
    known = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    if notebook not in known:
        raise ConfigError(f"no notebook {notebook}; known: {', '.join(known)}")
    types = {kind.__name__: kind for kind in JSON_TYPES}
    try:
        cells = json.loads(known[notebook].read_text(encoding="utf-8"))["cells"]
        tagged = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", []))
        lines = [line for line in ast.parse("".join(tagged["source"])).body if isinstance(line, ast.AnnAssign)]
        # The type of list[int] is list.
        return {ast.unparse(line.target): types[ast.unparse(line.annotation).split("[")[0]] for line in lines}
    except (ValueError, KeyError, StopIteration, SyntaxError) as error:
        raise ConfigError(f"{notebook}.ipynb has no readable cell tagged 'parameters': {error!r}") from error


def _grid(shared: dict, run: Any, tuned_file: str, where: str) -> Iterator[RunConfig]:
    """Every run of a mapping whose lists are grids, with the settings that the file of tuned settings adds."""
    if not isinstance(run, dict):
        raise ConfigError(f"{where} = {_short(run)} must be a run, which is a mapping of fields of RunConfig")
    lists = {key: value if isinstance(value, list) else [value] for key, value in {**shared, **run}.items()}
    if [] in lists.values():
        raise ConfigError(f"{where}: a list without values")
    for values in itertools.product(*lists.values()):
        fields = dict(zip(lists, values, strict=True))
        try:
            yield RunConfig(**(tuned.fill(fields, tuned_file) if tuned_file else fields))
        except (ValueError, RuntimeError) as error:  # the latter of a path: ~nobody/backbone
            raise ConfigError(f"{where}: {str(error).removeprefix('run configuration: ')}") from error


def _check_json(value: Any, where: str) -> None:
    """YAML allows more than JSON: dates, sets, NaN and infinity, keys that are not text."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where}: the key {_short(key)} is {type(key).__name__}, but must be text: quote it")
            _check_json(part, f"{where}.{key}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            _check_json(part, f"{where}[{number}]")
    elif isinstance(value, int | float) and not abs(value) <= sys.float_info.max:  # an integer may be larger
        raise ConfigError(f"{where} = {_short(value)} must be finite")
    elif not isinstance(value, str | int | float | None):
        raise ConfigError(f"{where} = {_short(value)} must be text, a number, true, false, a list or a mapping")


def _repeated_keys(node: yaml.Node | None, met: set[yaml.Node]) -> Iterator[str]:
    """Duplicate keys of a mapping, and their lines. A key that is merged in (``<<``) may be overridden."""
    if node in met:  # by an alias
        return
    met.add(node)
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _repeated_keys(part, met)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines and name != "<<":
                yield f"{name} occurs twice in one mapping, on lines {lines[name]} and {line}"
            lines[name] = line
            yield from _repeated_keys(value, met)


_short = reprlib.repr  # a value as a message shows it
