"""Paths from the project's root, atomic writing of files, and digests of their content."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from petl_core.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


def resolve(path: str | Path) -> Path:
    """Absolute path; a relative one starts at the project's root, wherever the kernel was started.

    >>> resolve("data") == ROOT / "data"
    True
    """
    return ROOT / Path(path).expanduser()


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary sibling, then move it to ``path``; a crash leaves no half-written file.

    Args:
        path: where the file will be; its folder is created if needed.
        write: is called with the path of the temporary file, which exists and is empty.

    Returns:
        ``path``.

    Raises:
        OSError: with the path and the remedy, when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}; free space there or choose another folder") from error
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise OSError(f"cannot write {path}: {error}; free space there or choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_json(path: Path, content: object) -> Path:
    """Write ``content`` as readable JSON, atomically; NaN is refused."""
    return write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> Path:
    """Write text as UTF-8, atomically."""
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ConfigError: naming file, line and remedy, when it does not parse.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError(f"{path}{line}: not valid JSON ({error}); remove it to have it made again") from error


def sha256(path: str | Path) -> str:
    """Hexadecimal digest of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_remembered: dict[tuple[str, int, int], str] = {}


def sha256_cached(path: str | Path) -> str:
    """:func:`sha256`, remembered in this process by path, size and time of change."""
    status = Path(path).stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _remembered:
        _remembered[key] = sha256(path)
    return _remembered[key]


def sha256_of_all(paths: Iterable[str | Path]) -> str:
    """One digest of the content of several files in this order, wherever they are; cheap to compute again.

    Files are read by several threads, since hashing and reading release the interpreter lock.
    """
    with ThreadPoolExecutor() as pool:
        digests = "".join(pool.map(sha256_cached, paths))
    return hashlib.sha256(digests.encode()).hexdigest()
