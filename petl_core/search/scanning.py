"""Which image files a folder holds, and how a changed file is told from an unchanged one."""

import os
from pathlib import Path
from typing import NamedTuple

from petl_core.errors import ConfigError
from petl_core.search.reading import SUFFIXES


class Stamp(NamedTuple):
    """What changes when a file is written to."""

    size: int
    mtime_ns: int


def scan(folder: Path) -> dict[str, Stamp]:
    """The image files below a folder, by their relative path, sorted; hidden files and folders are left out.

    Raises:
        ConfigError: it is not a folder, or holds no image.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name one that holds images")
    found = {}
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = Path(place, name)
                found[path.relative_to(folder).as_posix()] = _stamp(path)
    if not found:
        raise ConfigError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
    return dict(sorted(found.items()))


def _stamp(path: Path) -> Stamp:
    """Zeros for a broken link, and for a file that has just been removed: reading it will report the error."""
    try:
        status = path.stat()
    except OSError:
        return Stamp(0, 0)
    return Stamp(status.st_size, status.st_mtime_ns)


def _raise(error: OSError) -> None:
    raise ConfigError(f"{error.filename}: {error.strerror}; make it readable, or name another folder") from error
