"""Which image files a folder holds, and what tells a changed file from an unchanged one."""

import os
from pathlib import Path
from typing import NamedTuple

from petl_core.search.reading import SUFFIXES
from petl_core.validation import ConfigError


class Stamp(NamedTuple):
    """What changes when a file is written to."""

    size: int
    mtime_ns: int


def scan(folder: Path) -> dict[str, Stamp]:
    """The image files below a folder, by their path in it, in order; hidden files and folders are left out.

    Raises:
        ConfigError: no folder, or no image in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name one that holds images")
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
    """Zeros for a link that leads nowhere, and for a file that is just gone: reading it will tell."""
    try:
        status = path.stat()
    except OSError:
        return Stamp(0, 0)
    return Stamp(status.st_size, status.st_mtime_ns)


def _raise(error: OSError) -> None:
    raise ConfigError(f"{error.filename}: {error.strerror}; let it be read, or name another folder") from error
