"""An index: windows cover images; made once, kept up to date, resumed after a kill, complete or absent."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagery import count_encoded, write_folder, write_image, write_small_geotiff
from PIL import Image
from small_clips import moved, tiny_backbone

from petl_core.adapters import attach
from petl_core.data import read_image
from petl_core.data.images import Window
from petl_core.errors import ConfigError
from petl_core.files import ROOT
from petl_core.search import index as indexing
from petl_core.search import models
from petl_core.search.index import index
from petl_core.search.options import IndexOptions, windows

DIES = """
import os, sys
from small_clips import tiny_backbone
from petl_core.adapters import attach
from petl_core.search import index, models

embed, calls = models.embed, []

def die_at_the_third(*arguments):
    calls.append(arguments)
    return embed(*arguments) if len(calls) < 3 else os._exit(9)

models.embed = die_at_the_third
index.BATCH = 4
index.index(sys.argv[1], attach(tiny_backbone(), "zero_shot"), sys.argv[2], progress=False)
"""


@pytest.fixture
def model():
    return attach(tiny_backbone(), "zero_shot")


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_folder(tmp_path / "images")


def make(folder: Path, model, place: str = "indexes", **options) -> indexing.Index:
    return index(folder, model, folder.parent / place, IndexOptions(**options), progress=False)


def paths(made: indexing.Index) -> list[str]:
    """Of each row, the first file that has its content."""
    of = {content.encode(): path for path, content in reversed(made.contents.items())}
    return [of[content] for content in made.rows["content"]]


def same(one: indexing.Index, other: indexing.Index) -> bool:
    fields = ["content", "x", "y", "width", "height"]
    return (
        one.contents == other.contents
        and all(np.array_equal(one.rows[field], other.rows[field]) for field in fields)
        and np.allclose(one.rows["embedding"], other.rows["embedding"], atol=1e-6)
    )


@given(st.integers(1, 200), st.integers(1, 200), st.integers(16, 80), st.floats(0, 0.9))
def test_windows_cover_every_pixel_and_overlap_as_asked(width, height, tile, overlap):
    covered = np.zeros((height, width), dtype=bool)
    cut = windows(width, height, tile, overlap)
    for x, y, wide, high in cut:
        assert x >= 0 and x + wide <= width and y >= 0 and y + high <= height
        covered[y : y + high, x : x + wide] = True
    assert covered.all() and len(set(cut)) == len(cut)
    assert cut == sorted(cut, key=lambda window: (window.y, window.x))
    if max(width, height) <= tile:
        assert cut == [Window(0, 0, width, height)]
        return
    (side,) = {length for window in cut for length in (window.width, window.height)}
    assert side == min(tile, width, height)
    for left, right in itertools.pairwise(sorted({window.x for window in cut})):
        assert right - left >= 1
        assert side - (right - left) >= np.floor(overlap * side) - 1  # starts are rounded to pixels


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tile": 4}, "tile = 4 must be at least 16 pixels"),
        ({"tile": "big"}, "tile = 'big' must be"),
        ({"overlap": 0.95}, "overlap = 0.95 must be a fraction from 0 to 0.9"),
        ({"bands": (1, 2)}, r"bands = \(1, 2\) must be three band numbers from 1"),
    ],
)
def test_a_wrong_option_is_named(wrong, message):
    with pytest.raises(ConfigError, match=f"^how images are read: {message}"):
        IndexOptions(**wrong)


def test_rows_are_the_embeddings_of_the_images_in_the_order_of_paths(folder, model):
    made = make(folder, model)
    assert paths(made) == sorted(made.contents) == ["0.png", "2.png", "4.png", "near/1.png", "near/3.png", "near/5.png"]
    expected = models.embed(model, [models.as_input(model, read_image(folder / path)) for path in paths(made)])
    embeddings = made.rows["embedding"]
    assert np.allclose(embeddings, expected, atol=1e-6) and np.allclose(np.linalg.norm(embeddings, axis=1), 1)
    assert embeddings.dtype == np.float32 and isinstance(made.rows, np.memmap)


def test_only_what_is_new_or_changed_is_encoded(folder, model, monkeypatch):
    counts = count_encoded(monkeypatch)
    first = make(folder, model)
    assert (sum(counts), first.encoded) == (6, 6)
    assert make(folder, model).encoded == 0
    before = dict(zip(paths(first), np.array(first.rows["embedding"]), strict=True))

    # One changed, one new, one gone, one renamed, one copied, one only touched.
    write_image(folder / "0.png", 100)
    write_image(folder / "deep" / "er" / "new.jpg", 101)
    (folder / "2.png").unlink()
    (folder / "4.png").rename(folder / "renamed.png")
    shutil.copy(folder / "near/1.png", folder / "copy.png")
    os.utime(folder / "near/3.png", (0, 0))
    counts.clear()
    second = make(folder, model)
    assert (sum(counts), second.encoded) == (2, 2)
    assert sorted(second.contents) == [
        "0.png", "copy.png", "deep/er/new.jpg", "near/1.png", "near/3.png", "near/5.png", "renamed.png",
    ]  # fmt: skip
    after = dict(zip(paths(second), second.rows["embedding"], strict=True))
    assert np.array_equal(after["copy.png"], before["near/1.png"])
    assert np.array_equal(after["renamed.png"], before["4.png"])
    assert not np.allclose(after["0.png"], before["0.png"])
    assert len(second.rows) == 6  # copies share one

    # What was opened before is unchanged, and no trace of the past is left in the new one.
    assert np.array_equal(np.array(list(before.values())), first.rows["embedding"])
    assert same(make(folder, model, "anew"), second)


def test_a_killed_indexing_goes_on_where_it_stopped(folder, model, monkeypatch):
    write_folder(folder, count=20)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path])}
    command = [sys.executable, "-c", DIES, str(folder), str(folder.parent / "indexes")]
    assert subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == 9
    (home,) = [path for path in (folder.parent / "indexes").iterdir() if path.is_dir()]
    assert not (home / "rows.npy").exists()  # absent, not incomplete
    counts = count_encoded(monkeypatch)
    made = make(folder, model)
    assert sum(counts) == 20 - 8 and not (home / "parts").exists()
    assert same(make(folder, model, "anew"), made)


def test_a_large_image_goes_on_in_its_middle(folder, model, monkeypatch):
    write_image(folder / "large.png", 50, (200, 100))
    embed = models.embed
    monkeypatch.setattr(indexing, "BATCH", 3)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        calls = iter([embed] * 5 + [stop])
        patch.setattr(models, "embed", lambda *arguments: next(calls)(*arguments))
        with pytest.raises(KeyboardInterrupt):
            make(folder, model, tile=32)
    counts = count_encoded(monkeypatch)
    made = make(folder, model, tile=32)
    assert sum(counts) == len(made.rows) - 15
    assert same(make(folder, model, "anew", tile=32), made)


def test_a_kill_between_the_merge_and_the_removal_of_its_parts_does_no_harm(folder, model, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(indexing.shutil, "rmtree", lambda *_, **__: None)
        first = make(folder, model)
    assert list((folder.parent / "indexes").glob("*/parts/1.npy"))
    write_image(folder / "new.png", 30)
    second = make(folder, model)
    assert (len(first.rows), len(second.rows), second.encoded) == (6, 7, 1)
    assert paths(second) == sorted(second.contents)


@pytest.mark.parametrize(("file", "kept", "encoded"), [("rows.npy", -4, 6), ("rows.npy", 0, 6), ("files.json", -9, 0)])
def test_a_broken_index_is_made_again(folder, model, caplog, file, kept, encoded):
    first = make(folder, model)
    (broken,) = (folder.parent / "indexes").glob(f"*/{file}")
    content = broken.read_bytes()[:kept]
    broken.unlink()  # the first index is mapped to it
    broken.write_bytes(content)
    again = make(folder, model)
    assert again.encoded == encoded and same(again, first)
    assert ("rows.npy is broken" in caplog.text) == bool(encoded)
    assert make(folder, model).encoded == 0


def test_another_model_or_option_has_its_own_index(folder, model):
    make(folder, model)
    others = [
        attach(tiny_backbone(1), "zero_shot"),
        attach(tiny_backbone(), "mrs"),
        moved(attach(tiny_backbone(), "mrs")),
    ]
    assert len({models.fingerprint(other) for other in (model, *others)}) == 4
    assert [make(folder, other).encoded for other in others] == [6, 6, 6]
    assert make(folder, model, tile=16).encoded == 6 * 9
    assert make(folder, model).encoded == 0
    assert models.fingerprint(attach(tiny_backbone(), "zero_shot")) == models.fingerprint(model)


def test_what_cannot_be_read_is_listed_or_counted_and_the_rest_found(folder, model):
    (folder / "empty.jpg").touch()
    whole = write_image(folder / "cut.png", 9, (64, 64)).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "torn.tif").write_bytes(b"II*\x00\x08\x00\x00\x00")
    Image.new("RGB", (1000, 2)).save(folder / "strip.png")
    (folder / ".hidden.png").write_bytes(b"not looked at")
    for name in ("notes.txt", "scene.jp2", "B04.JP2"):
        (folder / name).write_text("not looked at")
    for _ in range(2):
        made = make(folder, model)
        assert list(made.unreadable) == ["cut.png", "empty.jpg", "nowhere.png", "strip.png", "torn.tif"]
        assert len(made.contents) == len(made.rows) == 6
        assert made.skipped == {".jp2": 2}
    assert made.unreadable["cut.png"].startswith("cannot be read as an image")
    assert made.unreadable["nowhere.png"].startswith("cannot be read (No such file")
    assert made.unreadable["strip.png"].startswith("1000 x 2 pixels are too narrow")


def test_linked_folders_are_followed_once(folder, model):
    write_image(folder.parent / "elsewhere" / "9.png", 9)
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    (folder.parent / "elsewhere" / "back").symlink_to(folder)
    (folder / "near" / "up").symlink_to(folder)
    made = make(folder, model)
    assert "linked/9.png" in made.contents and len(made.contents) == 7


def test_a_folder_without_images_is_named(tmp_path, model):
    with pytest.raises(ConfigError, match="nowhere is not a folder"):
        make(tmp_path / "nowhere", model)
    (tmp_path / "images").mkdir()
    with pytest.raises(ConfigError, match=r"images holds no images \(.jpg, .*\)"):
        make(tmp_path / "images", model)
    (tmp_path / "images" / "a.jpg").touch()
    with pytest.raises(ConfigError, match=r"images: no image can be read; first a.jpg: cannot be read"):
        make(tmp_path / "images", model)


def test_a_raster_without_rasterio_is_one_clear_error_before_anything_is_encoded(folder, model, monkeypatch):
    write_small_geotiff(folder / "place.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    counts = count_encoded(monkeypatch)
    with pytest.raises(ConfigError, match=r"place.tif is georeferenced.* pip install -e '.\[raster\]'"):
        make(folder, model)
    assert counts == []


def test_embeddings_that_are_not_finite_are_refused(folder, model):
    next(model.clip.visual.parameters()).data.fill_(float("nan"))
    with pytest.raises(ConfigError, match="its embeddings are NaN or infinite"):
        make(folder, model)


def test_progress_is_shown_on_stderr_where_it_is_asked_for(folder, model, capsys):
    index(folder, model, folder.parent / "indexes")
    out, err = capsys.readouterr()
    assert out == "" and "tiles" in err
    make(folder, model)
    assert capsys.readouterr() == ("", "")
