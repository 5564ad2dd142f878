"""Parameters of a notebook: declared once, checked before anything runs.

papermill only warns of a parameter that a notebook does not declare, and never looks at types.
"""

import types
import typing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_IPYTHON_NAMES = {"In", "Out", "exit", "quit", "open", "get_ipython"}
_JSON_TYPES = {bool, int, float, str, list, dict}


class ConfigError(ValueError):
    """A parameter or option that is unknown, of the wrong type, or out of range."""


def resolve(path: str | Path) -> Path:
    """Absolute path; a relative one starts at the project's root, wherever the kernel was started."""
    return ROOT / Path(path).expanduser()


def check_types(values: dict, declared: dict[str, type], where: str) -> dict:
    """``values`` with integers widened to declared floats.

    Raises:
        ConfigError: an unknown name or a value whose type is not the declared one, naming all that is allowed.
    """
    unknown = sorted(set(values) - set(declared))
    if unknown:
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(sorted(declared)) or 'none'}")
    checked = {}
    for name, value in values.items():
        wanted = typing.get_origin(declared[name]) or declared[name]
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise ConfigError(f"{where}: {name} = {value!r} is {type(value).__name__}, but must be {wanted.__name__}")
        checked[name] = value
    return checked


def checked(namespace: dict) -> dict:
    """The notebook's parameters by name, checked against the annotations of its ``parameters`` cell.

    Call it as ``checked(globals())`` in the cell right after the parameters, so that everything public in the
    namespace is either declared or was injected by mistake.

    Raises:
        ConfigError: an undeclared, ill-typed or missing parameter.
    """
    declared = dict(namespace["__annotations__"])
    untyped = [name for name, kind in declared.items() if (typing.get_origin(kind) or kind) not in _JSON_TYPES]
    if untyped:
        raise ConfigError(f"parameters cell: {', '.join(untyped)} must be annotated with a JSON type")
    # Only a fresh kernel can tell an injected name from a variable of the notebook's own later cells.
    if "_parameters_checked" not in namespace:
        names = [name for name in namespace if _is_variable(name, namespace)]
        check_types({name: namespace[name] for name in names}, declared, "notebook parameters")
        namespace["_parameters_checked"] = True
    return check_types({name: namespace[name] for name in declared}, declared, "notebook parameters")


def _is_variable(name: str, namespace: dict) -> bool:
    imported = isinstance(namespace[name], types.ModuleType | types.FunctionType | type)
    return not (name.startswith("_") or name in _IPYTHON_NAMES or imported)
