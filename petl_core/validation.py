"""The check of settings against their declared types."""

import typing
from collections.abc import Mapping

from petl_core.errors import ConfigError


def require_at_least(lowest: float, **values: float) -> None:
    """Check parameters that must not be too small.

    >>> require_at_least(1, workers=4, k=0)
    Traceback (most recent call last):
        ...
    petl_core.errors.ConfigError: k = 0 must be at least 1

    Args:
        lowest: allowed value.
        values: by the parameter's name.

    Raises:
        ConfigError: a value is below ``lowest``, or NaN.
    """
    for name, value in values.items():
        if not value >= lowest:
            raise ConfigError(f"{name} = {value!r} must be at least {lowest}")


def check_types(values: Mapping[str, object], declared: Mapping[str, typing.Any], where: str) -> dict[str, typing.Any]:
    """Check settings against their declared types; JSON does not distinguish 1 from 1.0, so neither does this.

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

    Returns:
        ``values``, with integers converted to float where a float is declared.

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
