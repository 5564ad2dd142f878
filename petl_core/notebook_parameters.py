"""Parameters of a notebook: declared once, checked before anything runs.

papermill only warns about a parameter that a notebook does not declare, and never checks types.
"""

import types
import typing

from petl_core.errors import ConfigError
from petl_core.validation import check_types

_IPYTHON_NAMES = {"In", "Out", "exit", "quit", "open", "get_ipython"}
_JSON_TYPES = {bool, int, float, str, list, dict}


def check_parameters(namespace: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Check a notebook's parameters against the annotations of its ``parameters`` cell.

    Call it in the cell right after the parameters, so that everything public in the namespace is either declared or
    was injected by mistake.

    Args:
        namespace: of the notebook: ``globals()``.

    Returns:
        The parameters by name.

    Raises:
        ConfigError: an undeclared, ill-typed or missing parameter.
    """
    # What the cell declares.
    declared = dict(namespace["__annotations__"])
    untyped = [name for name, kind in declared.items() if not _is_json_type(kind)]
    if untyped:
        raise ConfigError(f"parameters cell: {', '.join(untyped)} must be annotated with a JSON type")

    # What was injected: only in a fresh kernel can it be distinguished from variables of later cells.
    if "_parameters_checked" not in namespace:
        names = [name for name in namespace if _is_variable(name, namespace[name])]
        check_types({name: namespace[name] for name in names}, declared, "notebook parameters")
        namespace["_parameters_checked"] = True

    return check_types({name: namespace[name] for name in declared}, declared, "notebook parameters")


def _is_json_type(kind: typing.Any) -> bool:
    return kind in _JSON_TYPES or typing.get_origin(kind) in _JSON_TYPES  # list[int] is a list


def _is_variable(name: str, value: object) -> bool:
    """Whether a name of the namespace is neither IPython's own, nor private, nor imported."""
    imported = isinstance(value, types.ModuleType | types.FunctionType | type)
    return not (name.startswith("_") or name in _IPYTHON_NAMES or imported)
