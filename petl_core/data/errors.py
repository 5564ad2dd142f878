"""The error for broken input."""

from pathlib import Path


class DataError(ValueError):
    """Broken input: the message names the file, its line if there is one, what is wrong, and the remedy."""


def broken(where: str | Path, problem: str, remedy: str) -> DataError:
    """A :class:`DataError` to raise.

    Args:
        where: the file, and its line or entry.
        problem: what is wrong, following on ``where``.
        remedy: a sentence without its full stop.
    """
    return DataError(f"{where}: {problem}. {remedy}")
