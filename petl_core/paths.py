"""Where the project's root is, and paths that start there."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def resolve(path: str | Path) -> Path:
    """Absolute path; a relative one starts at the project's root, wherever the kernel was started.

    >>> resolve("data") == ROOT / "data"
    True
    """
    return ROOT / Path(path).expanduser()
