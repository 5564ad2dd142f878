"""Settings that were chosen on validation, handed from the section that compares them to those that use them.

``notebooks/16_tuning.ipynb`` writes them to a file, which a section names (``tuned: figures/tuning/tuned.json``): each
of its runs that names no learning rate takes the settings of its method and loss. Importable without torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.files import read_json, resolve, write_json

TERMS = tuple(f"w_{term}" for term in RunConfig().terms)
LOSS = ("contrast", *TERMS)  # fields by which a method's settings are found, together with its name
DATA = ("dataset", "backbone", "pretrained")  # on which settings were chosen


@dataclass(frozen=True)
class Choice:
    """Settings of one method with one loss."""

    of: RunConfig  # a run with these settings
    settings: dict[str, Any]  # fields of RunConfig, of which method_options holds only what was chosen


def write(choices: list[Choice], path: Path) -> Path:
    """Write choices, all made on one data set and backbone, as a file that :func:`fill` reads."""
    rows = [
        {**_identity(choice.of), "options": _options(choice.of, choice.settings), "settings": choice.settings}
        for choice in choices
    ]
    return write_json(path, {"chosen_on": {name: getattr(choices[0].of, name) for name in DATA}, "choices": rows})


def fill(fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The fields of a run, completed by the tuned settings of its method and loss; its own fields take precedence.

    Args:
        fields: of RunConfig, each a single value.
        path: of a file of :func:`write`; a relative one starts at the project's root.

    Raises:
        ConfigError: there is no such file, or it was made on other data, or the method is not in it.
    """
    if "learning_rate" in fields or fields.get("method") == "zero_shot":
        return dict(fields)
    run = RunConfig(**fields)
    document = _read(path)
    for name, value in document["chosen_on"].items():
        if getattr(run, name) != value:
            raise ConfigError(f"tuned: {path} was made on {name} {value}, not {getattr(run, name)}; tune on this one")
    rows = [{**dict.fromkeys(TERMS, 0.0), **row} for row in document["choices"]]  # a file may be older than a term
    match = _best_match(rows, run)
    if match is None:
        raise ConfigError(
            f"tuned: {path} has no settings of {run.method} ({run.contrast}); add it to the section that tunes, "
            "or name a learning_rate"
        )
    filled = {**match["settings"], **fields}
    options = {**match["settings"].get("method_options", {}), **fields.get("method_options", {})}
    if options:
        filled["method_options"] = options
    return filled


def _best_match(rows: list[dict[str, Any]], run: RunConfig) -> dict[str, Any] | None:
    """The row whose settings suit a run best; None if its method was not tuned with its contrast.

    Rows with the same loss come first; among equals, those with the same options, then the first in the file.
    """
    same_contrast = [row for row in rows if (row["method"], row["contrast"]) == (run.method, run.contrast)]
    same_loss = [row for row in same_contrast if all(row[name] == getattr(run, name) for name in TERMS)]
    for row in same_loss:
        if _has_options_of(run, row):
            return row
    if same_loss:
        return same_loss[0]
    for row in same_contrast:
        if _has_options_of(run, row):
            return row
    return same_contrast[0] if same_contrast else None


def _has_options_of(run: RunConfig, row: dict[str, Any]) -> bool:
    return row.get("options", {}) == _options(run, row["settings"])


def _identity(run: RunConfig) -> dict[str, Any]:
    return {"method": run.method, **{name: getattr(run, name) for name in LOSS}}


def _options(run: RunConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run's method that were not chosen with these settings."""
    chosen = settings.get("method_options", {})
    return {name: value for name, value in run.method_options.items() if name not in chosen}


def _read(path: str) -> dict[str, Any]:
    try:
        document = read_json(resolve(path))
        return {"chosen_on": dict(document["chosen_on"]), "choices": [dict(row) for row in document["choices"]]}
    except FileNotFoundError as error:
        raise ConfigError(f"tuned: there is no {path}; run the section that tunes first") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"tuned: {path} cannot be read ({error!r}); run the section that tunes again") from error
