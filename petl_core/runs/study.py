"""A section of study.yaml as data: which notebooks, with which parameters, and the runs that they read.

A mistake in a section raises one :class:`ConfigError` that says where it is, as in
``study.yaml: mine.notebooks.04_benchmark.runs[1]: epochs = -1 must be at least 0``.

Importable without torch: Snakemake reads it anew in every job.
"""

import ast
import dataclasses
import functools
import itertools
import json
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastjsonschema  # jsonschema takes three seconds to import where Jupyter has installed its extras
import yaml

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import ROOT
from petl_core.runs import tuned as settings
from petl_core.validation import check_types

# Of a section; its figures are in figures/<its name> if it does not say where.
DEFAULT_OPTIONS = {
    "figures": "",
    "data_root": "data",
    "runs_root": "runs",
    "tuned": "",
    "gpus": 0,
    "runs_per_gpu": 1,
    "runs_per_job": 0,
}
_ALWAYS = ("dataset", "backbone", "method", "seed")  # either named by a title, or common to a section
FIELDS: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(RunConfig)}
_JSON_TYPES = {kind.__name__: kind for kind in (bool, int, float, str, list, dict)}


@dataclass(frozen=True)
class Section:
    """A section of study.yaml, its grids expanded."""

    notebooks: dict[str, dict]  # parameters of each notebook, by its name
    reads: dict[str, list[str]]  # names of the runs that each notebook reads
    runs: dict[str, RunConfig]  # every run by its name
    options: dict  # where it is made and how: see DEFAULT_OPTIONS

    def workers(self, cores: int) -> int:
        """Runs at a time: as many as share a GPU, or one in each job of a cluster, or one on each core."""
        if self.options["gpus"]:
            return self.options["runs_per_gpu"]
        return 1 if self.options["runs_per_job"] else cores


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
    """A section of study.yaml by its name.

    Raises:
        ConfigError: there is no such section, or something is wrong in it.
    """
    return read(find_section(load_sections(), name), name)


def read(fields: Any, name: str) -> Section:
    """Expand a section's grids.

    A section has fields of RunConfig, options (``figures``, ``data_root`` and ``runs_root`` are folders; ``tuned`` is a
    file of settings, see :mod:`petl_core.runs.tuned`; ``gpus`` of each run, and ``runs_per_gpu`` that share it;
    ``runs_per_job``, 0 for all) and ``notebooks``. A notebook's ``runs`` is a list of mappings over the section's
    fields, where a list of values is a grid; its ``run`` is one mapping. A notebook is given those of the section's
    fields and options that it declares; if it takes a single value, the first of a list.

    Args:
        fields: of the section, as YAML gives them, unchecked.
        name: of the section, for messages.

    Raises:
        ConfigError: something is unknown, of the wrong type or out of range; the message names section, notebook and
            key.
    """
    where = f"study.yaml: {name}"
    _check_shape(fields, where)
    own = {key: value for key, value in fields.items() if key != "notebooks"}
    _check_fields(own, FIELDS | {key: type(value) for key, value in DEFAULT_OPTIONS.items()}, where)
    defaults = DEFAULT_OPTIONS | {"figures": f"figures/{name}"}
    options = {key: own.get(key, default) for key, default in defaults.items()}
    shared = {key: value for key, value in own.items() if key in FIELDS}

    notebooks: dict[str, dict] = {}
    reads: dict[str, list[str]] = {}
    runs: dict[str, RunConfig] = {}
    for notebook, parameters in fields["notebooks"].items():
        try:
            declared = declared_parameters(notebook)
        except ConfigError as error:
            raise ConfigError(f"{where}.notebooks: {error}") from error
        here = f"{where}.notebooks.{notebook}"
        parameters, read_here = _read_notebook(parameters or {}, shared, options, here)
        check_types(parameters, declared, here)
        given = {key: value[0] if isinstance(value, list) else value for key, value in shared.items()}
        given |= {**options, "progress": False}
        notebooks[notebook] = {key: value for key, value in given.items() if key in declared} | parameters
        reads[notebook] = list(read_here)
        runs |= read_here
    return Section(notebooks, reads, runs, options)


def runs_of(section: str, notebook: str) -> list[str]:
    """Names of the runs that a notebook reads in a section of study.yaml; none for an empty section.

    Raises:
        ConfigError: there is no such section, it does not have the notebook, or something is wrong in it.
    """
    if not section:
        return []
    reads = load(section).reads
    if not reads.get(notebook):
        having = ", ".join(name for name, runs in reads.items() if runs) or "none"
        raise ConfigError(f"study.yaml: {section} has no runs of {notebook}; notebooks with runs: {having}")
    return reads[notebook]


def title(run: RunConfig) -> str:
    """What distinguishes a run, in words.

    >>> title(RunConfig(dataset="rsicd", method="lora", seed=3, learning_rate=5e-4))
    'lora, seed 3, learning_rate 0.0005'
    """
    changed = {key: value for key, value in run.changed().items() if key not in _ALWAYS}
    shown = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in changed.items()]
    return ", ".join([run.method, f"seed {run.seed}", *shown])


def _read_notebook(given: dict, shared: dict, options: dict, where: str) -> tuple[dict, dict[str, RunConfig]]:
    """A notebook's own parameters, with runs as names, and these runs by name.

    The untouched backbone is the baseline of every run, so it is always there, and first.
    """
    parameters = dict(given)
    runs: dict[str, RunConfig] = {}
    if "runs" in given:
        for number, run in enumerate(given["runs"]):
            for trained in _grid(shared, run, options["tuned"], f"{where}.runs[{number}]"):
                runs |= {config.hash: config for config in (trained.zero_shot(), trained)}
        parameters["runs"] = list(runs)
    if "run" in given:
        shown = next(_grid(shared, given["run"], options["tuned"], f"{where}.run"))
        runs |= {config.hash: config for config in (shown.zero_shot(), shown)}
        parameters["run"] = f"{options['runs_root']}/{shown.hash}"
    return parameters, runs


def declared_parameters(notebook: str) -> dict[str, type]:
    """The names in a notebook's ``parameters`` cell, and their types.

    Raises:
        ConfigError: there is no such notebook, or it declares none.
    """
    known = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    if notebook not in known:
        raise ConfigError(f"no notebook {notebook}; known: {', '.join(known)}")
    try:
        cells = json.loads(known[notebook].read_text(encoding="utf-8"))["cells"]
        tagged = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", []))
        lines = [line for line in ast.parse("".join(tagged["source"])).body if isinstance(line, ast.AnnAssign)]
        # The type of list[int] is list.
        return {ast.unparse(line.target): _JSON_TYPES[ast.unparse(line.annotation).split("[")[0]] for line in lines}
    except (ValueError, KeyError, StopIteration, SyntaxError) as error:
        raise ConfigError(f"{notebook}.ipynb has no readable cell tagged 'parameters': {error!r}") from error


def _check_shape(fields: Any, where: str) -> None:
    """Check a section against study.schema.yaml, and that papermill and a run's hash can take every value as JSON."""
    try:
        _check_json(fields, where)
    except RecursionError as error:
        raise ConfigError(f"{where} contains itself, through an anchor and its alias") from error
    try:
        _validator()(fields)
    except fastjsonschema.JsonSchemaValueException as error:
        place = where + str(error.name).removeprefix("data")
        raise ConfigError(f"{place} = {_short(error.value)} must be {error.definition['description']}") from error


@functools.cache
def _validator() -> Callable[[Any], Any]:
    """A function that raises unless a section has the shape of study.schema.yaml."""
    definitions = yaml.safe_load((ROOT / "study.schema.yaml").read_text(encoding="utf-8"))["definitions"]
    return fastjsonschema.compile({**definitions["section"], "definitions": definitions})


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
    elif isinstance(value, int | float):
        if not abs(value) <= sys.float_info.max:
            raise ConfigError(f"{where} = {_short(value)} must be finite")
    elif not isinstance(value, str | None):
        raise ConfigError(f"{where} = {_short(value)} must be text, a number, true, false, a list or a mapping")


def _check_fields(values: dict, declared: dict[str, Any], where: str) -> None:
    """Check names and types, one by one; a list is a grid of values, and must not be empty."""
    for key, value in values.items():
        if value == []:
            raise ConfigError(f"{where}: {key} is a list without values")
        for one in value if isinstance(value, list) else [value]:
            check_types({key: one}, declared, where)


def _grid(shared: dict, run: dict, tuned: str, where: str) -> Iterator[RunConfig]:
    """Every run of a mapping whose lists are grids, with the settings that the file ``tuned`` adds."""
    _check_fields(run, FIELDS, where)
    lists = {key: value if isinstance(value, list) else [value] for key, value in {**shared, **run}.items()}
    for values in itertools.product(*lists.values()):
        try:
            fields = dict(zip(lists, values, strict=True))
            yield RunConfig(**(settings.fill(fields, tuned) if tuned else fields))
        except (ValueError, RuntimeError) as error:  # the latter of a path: ~nobody/backbone
            raise ConfigError(f"{where}: {str(error).removeprefix('run configuration: ')}") from error


def _short(value: Any) -> str:
    """A value as a message shows it."""
    return reprlib.repr(value)
