"""Parameters of a notebook: declared once, checked before anything runs.

papermill only warns of a parameter that a notebook does not declare, and never looks at types.
"""

import types
import typing

from petl_core.validation import ConfigError, check_types

_IPYTHON_NAMES = {"In", "Out", "exit", "quit", "open", "get_ipython"}
_JSON_TYPES = {bool, int, float, str, list, dict}


def check_parameters(namespace: dict) -> dict:
    """The notebook's parameters by name, checked against the annotations of its ``parameters`` cell.

    Call it as ``check_parameters(globals())`` in the cell right after the parameters, so that everything public in the
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
