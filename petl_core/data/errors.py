"""The error for broken input."""

from pathlib import Path

from petl_core.errors import DataError


def broken(where: str | Path, problem: str, remedy: str) -> DataError:
    """A :class:`DataError` to raise.

    Args:
        where: the file, and its line or entry.
        problem: what is wrong, following on ``where``.
        remedy: a sentence without its full stop.
    """
    return DataError(f"{where}: {problem}. {remedy}")
