"""Files are whole or not there; digests are of their content, and paths start at the project."""

import errno
import hashlib
import os

import pytest

from petl_core import files
from petl_core.errors import ConfigError
from petl_core.files import ROOT, read_json, resolve, sha256, sha256_cached, sha256_of_all, write_atomically, write_json


def test_what_is_written_is_read(tmp_path):
    path = write_json(tmp_path / "new" / "a.json", {"b": [1, 2.5, None]})
    assert read_json(path) == {"b": [1, 2.5, None]}
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write_json(tmp_path / "a.json", 1)

    def fail(temporary):
        temporary.write_text("half")
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomically(path, fail)
    if isinstance(error, OSError):
        assert str(path) in str(caught.value) and "No space left" in str(caught.value)
    assert read_json(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_broken_json_is_named_with_its_line(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{\n "a": }\n')
    with pytest.raises(ConfigError, match=r"metrics.json, line 2: .*remove it"):
        read_json(path)


def test_an_error_that_is_not_the_disks_is_not_blamed_on_it(tmp_path):
    def fail(_):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match=r"^shape mismatch$"):
        write_atomically(tmp_path / "a.json", fail)
    assert list(tmp_path.iterdir()) == []


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))


def test_a_digest_is_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    assert sha256(tmp_path / "a") == sha256_cached(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_digest_is_remembered_until_size_or_time_change(tmp_path, monkeypatch, change):
    path, reads = tmp_path / "a", []
    path.write_bytes(b"one")
    os.utime(path, ns=(0, 0))
    monkeypatch.setattr(files, "sha256", lambda path: reads.append(path) or str(len(reads)))
    assert [sha256_cached(path), sha256_cached(str(path))] == ["1", "1"]
    path.write_bytes(b"two" if change == "time" else b"three")
    os.utime(path, ns=(0, 1 if change == "time" else 0))
    assert sha256_cached(path) == "2"


def test_one_digest_of_several_files_knows_their_order_not_their_place(tmp_path):
    for folder, names in (("x", "ab"), ("y", "cd")):
        (tmp_path / folder).mkdir()
        for name, content in zip(names, ("one", "two"), strict=True):
            (tmp_path / folder / name).write_text(content)
    one = sha256_of_all([tmp_path / "x" / "a", tmp_path / "x" / "b"])
    assert one == sha256_of_all([tmp_path / "y" / "c", tmp_path / "y" / "d"])
    assert one != sha256_of_all([tmp_path / "x" / "b", tmp_path / "x" / "a"])


def test_relative_paths_start_at_the_project(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert resolve("data") == ROOT / "data"
    assert resolve("/elsewhere").as_posix() == "/elsewhere"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/data") == tmp_path / "data"
