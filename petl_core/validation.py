"""The one error of a wrong setting, and the check of settings against their declared types."""

import typing


class ConfigError(ValueError):
    """A parameter or option that is unknown, of the wrong type, or out of range."""


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
