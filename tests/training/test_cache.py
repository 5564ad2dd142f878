"""Arrays on disk: made once, never used when broken."""

import json
import logging
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from petl_core.training.cache import Rows, load_or_make

from petl_core.training import cache

INPUTS = {"tapped": "squares"}
EXPECTED = np.arange(300.0, dtype=np.float16)[:, None] * np.ones(2, dtype=np.float16)


def squares(made: list | None = None):
    def make():
        if made is not None:
            made.append(1)
        return Rows(np.arange(300), np.split(EXPECTED, [128, 256]))

    return make


def truncate(folder):
    os.truncate(folder / "rows.bin", 100)


def flip(folder):
    content = bytearray((folder / "rows.bin").read_bytes())
    content[77] ^= 1
    (folder / "rows.bin").write_bytes(content)


def change_checksum(folder):
    about = json.loads((folder / "about.json").read_text())
    about["sha256"]["rows.bin"] = "0" * 64
    (folder / "about.json").write_text(json.dumps(about))


def change_rows(folder):
    np.save(folder / "row_of.npy", np.zeros(300, dtype=np.int64))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip,
        change_checksum,
        change_rows,
        lambda folder: (folder / "about.json").unlink(),
        lambda folder: (folder / "about.json").write_text("{"),
        lambda folder: (folder / "about.json").write_text("[1]"),
        lambda folder: (folder / "rows.bin").unlink(),
    ],
)
def test_a_broken_cache_is_made_again_with_a_warning(damage, tmp_path, caplog):
    load_or_make(tmp_path, INPUTS, squares())
    (folder,) = tmp_path.glob("[!.]*")
    damage(folder)
    made = []
    taps, rows = load_or_make(tmp_path, INPUTS, squares(made))
    assert made and np.array_equal(taps, EXPECTED) and np.array_equal(rows, np.arange(300))
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert str(folder) in warning and "made again" in warning
    load_or_make(tmp_path, INPUTS, lambda: pytest.fail("made a third time"))


SCRIPT = """
import json, multiprocessing, os, signal, sys
import numpy as np
from petl_core.training.cache import Rows, load_or_make

root, fork = sys.argv[1], multiprocessing.get_context("fork")

def ask(dies):
    def chunks():
        for part in np.split(np.arange(300, dtype=np.float16), [128, 256]):
            if dies and part[0] > 0:
                os.kill(os.getpid(), signal.SIGKILL)
            yield part[:, None] * np.ones(2, dtype=np.float16)

    def make():
        print("made", file=sys.stderr, flush=True)
        return Rows(np.arange(300), chunks())

    load_or_make(root, {"tapped": "squares"}, make)

def run(*deaths):
    processes = [fork.Process(target=ask, args=(dies,)) for dies in deaths]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes], sorted(os.listdir(root))

print(json.dumps([run(True), run(False, False)]))
"""


def test_killed_in_the_middle_it_leaves_nothing_usable_and_two_processes_then_make_it_once(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    (killed, left), (finished, made) = json.loads(done.stdout)
    assert killed == [-signal.SIGKILL] and sorted(name.count("-") for name in left) == [0, 1]  # the lock and a draft
    assert finished == [0, 0] and len(made) == 2  # the lock and the folder
    assert done.stderr.split() == ["made"] * 2
    taps, _ = load_or_make(tmp_path, INPUTS, lambda: pytest.fail("made a third time"))
    assert np.array_equal(taps, EXPECTED)


def test_an_exception_in_the_middle_leaves_nothing(tmp_path):
    def chunks():
        yield np.ones((1, 2))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_or_make(tmp_path, INPUTS, lambda: Rows(np.arange(300), chunks()))
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_the_size_is_announced_and_a_disk_too_small_is_refused(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="petl_core")
    wide = Rows(np.arange(3 * 2**19), iter([np.zeros((128, 1024), dtype=np.float16)]))
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(OSError, match=r"cannot write cache .*: 3\.000 GiB are needed, but 1\.000 GiB are free") as e:
        load_or_make(tmp_path, INPUTS, lambda: wide)
    assert str(tmp_path) in str(e.value)
    assert "writing 3.000 GiB to" in caplog.text
    assert not list(tmp_path.glob("[!.]*"))
