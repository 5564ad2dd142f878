"""The one error of broken input."""

from pathlib import Path


class DataError(ValueError):
    """Broken input: the message names the file, its line if there is one, what is wrong, and the remedy."""


def broken(where: str | Path, problem: str, remedy: str) -> DataError:
    return DataError(f"{where}: {problem}. {remedy}")
