"""Checks of settings against their declared types: a notebook's parameters, the fields of a section.

papermill only warns about a parameter that a notebook does not declare, and never checks types.
"""

import types
import typing
from collections.abc import Mapping

from petl_core.errors import ConfigError

_IPYTHON_NAMES = {"In", "Out", "exit", "quit", "open", "get_ipython"}
JSON_TYPES: tuple[type, ...] = (bool, int, float, str, list, dict)


def check_types(values: Mapping[str, object], declared: Mapping[str, typing.Any], where: str) -> dict[str, typing.Any]:
    """Settings, with integers converted to float where a float is declared; JSON does not distinguish 1 from 1.0.

    >>> check_types({"rate": 1}, {"rate": float}, "options of mrs")
    {'rate': 1.0}
    >>> check_types({"rate": "fast"}, {"rate": float}, "options of mrs")
    Traceback (most recent call last):
        ...
    petl_core.errors.ConfigError: options of mrs: rate = 'fast' is str, but must be float

    Args:
        values: settings by name.
        declared: their types by name; not all of them need a value.
        where: what the settings belong to, for the message.

    Raises:
        ConfigError: an unknown name, or a value whose type is not the declared one.
    """
    unknown = sorted(set(values) - set(declared))
    if unknown:
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(sorted(declared)) or 'none'}")
    checked = {}
    for name, value in values.items():
        wanted = typing.get_origin(declared[name]) or declared[name]  # list of list[int]
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise ConfigError(f"{where}: {name} = {value!r} is {type(value).__name__}, but must be {wanted.__name__}")
        checked[name] = value
    return checked


def check_parameters(namespace: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Check a notebook's parameters against the annotations of its ``parameters`` cell, and return them by name.

    Call it with ``globals()`` in the cell right after the parameters, so that everything public in the namespace is
    either declared or was injected by mistake.

    Raises:
        ConfigError: an undeclared, ill-typed or missing parameter.
    """
    declared = dict(namespace["__annotations__"])
    untyped = [name for name, kind in declared.items() if (typing.get_origin(kind) or kind) not in JSON_TYPES]
    if untyped:
        raise ConfigError(f"parameters cell: {', '.join(untyped)} must be annotated with a JSON type")
    if "_parameters_checked" not in namespace:  # only in a fresh kernel can what was injected be told from other cells'
        imported = types.ModuleType | types.FunctionType | type
        given = {name: value for name, value in namespace.items() if not isinstance(value, imported)}
        given = {name: value for name, value in given.items() if name[0] != "_" and name not in _IPYTHON_NAMES}
        check_types(given, declared, "notebook parameters")
        namespace["_parameters_checked"] = True
    return check_types({name: namespace[name] for name in declared}, declared, "notebook parameters")
