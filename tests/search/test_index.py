"""An index: made once, kept up to date, resumed after a kill, complete or absent."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imagery import count_encoded, write_folder, write_image, write_small_geotiff
from petl_core.search.store import Store
from small_clips import moved, tiny_backbone

from petl_core.adapters import attach
from petl_core.errors import ConfigError
from petl_core.files import ROOT
from petl_core.search import index as indexing
from petl_core.search import models
from petl_core.search.index import index
from petl_core.search.options import IndexOptions

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
index.ENCODE_BATCH = 4
index.index(sys.argv[1], attach(tiny_backbone(), "zero_shot"), sys.argv[2], progress=False)
"""


@pytest.fixture
def model():
    return attach(tiny_backbone(), "zero_shot")


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_folder(tmp_path / "images")


def make(folder: Path, model, **options) -> indexing.Index:
    return index(folder, model, folder.parent / "indexes", IndexOptions(**options), progress=False)


def paths(made: indexing.Index) -> list[str]:
    """Of each row, the first file that has its content."""
    of = {content.encode(): path for path, content in reversed(made.contents.items())}
    return [of[content] for content in made.tiles["content"]]


def test_rows_are_the_embeddings_of_the_images_in_the_order_of_paths(folder, model):
    made = make(folder, model)
    assert paths(made) == sorted(made.contents) == ["0.png", "2.png", "4.png", "near/1.png", "near/3.png", "near/5.png"]
    images = [indexing.reading.read_whole(folder / path, made.options) for path in paths(made)]
    expected = models.embed(model, [models.as_input(model, image) for image in images])
    assert np.allclose(made.embeddings, expected, atol=1e-6)
    assert np.allclose(np.linalg.norm(made.embeddings, axis=1), 1)
    assert made.embeddings.dtype == np.float32 and isinstance(made.embeddings.base, np.memmap)


def test_only_what_is_new_or_changed_is_encoded(folder, model, monkeypatch):
    counts = count_encoded(monkeypatch)
    first = make(folder, model)
    assert (sum(counts), first.encoded) == (6, 6)
    assert make(folder, model).encoded == 0
    before = dict(zip(paths(first), np.array(first.embeddings), strict=True))

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
    after = dict(zip(paths(second), second.embeddings, strict=True))
    assert np.array_equal(after["copy.png"], before["near/1.png"])
    assert np.array_equal(after["renamed.png"], before["4.png"])
    assert not np.allclose(after["0.png"], before["0.png"])
    assert len(second.embeddings) == 6  # copies share one

    # What was opened before is unchanged, and no trace of the past is left in the new one.
    assert np.array_equal(np.array(list(before.values())), first.embeddings)
    anew = index(folder, model, folder.parent / "anew", progress=False)
    assert anew.contents == second.contents and anew.tiles.tobytes() == second.tiles.tobytes()
    assert np.allclose(anew.embeddings, second.embeddings, atol=1e-6)


def test_a_killed_indexing_goes_on_where_it_stopped(folder, model, monkeypatch):
    write_folder(folder, count=20)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path])}
    command = [sys.executable, "-c", DIES, str(folder), str(folder.parent / "indexes")]
    assert subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == 9
    (home,) = [path for path in (folder.parent / "indexes").iterdir() if path.is_dir()]
    assert not list(home.glob("whole-*"))  # absent, not incomplete

    counts = count_encoded(monkeypatch)
    made = make(folder, model)
    assert sum(counts) == 20 - 8
    anew = index(folder, model, folder.parent / "anew", progress=False)
    assert anew.tiles.tobytes() == made.tiles.tobytes() and np.allclose(anew.embeddings, made.embeddings, atol=1e-6)


def test_a_large_image_goes_on_in_its_middle(folder, model, monkeypatch):
    write_image(folder / "large.png", 50, (200, 100))
    embed = models.embed
    monkeypatch.setattr(indexing, "ENCODE_BATCH", 3)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        calls = iter([embed] * 5 + [stop])
        patch.setattr(models, "embed", lambda *arguments: next(calls)(*arguments))
        with pytest.raises(KeyboardInterrupt):
            make(folder, model, tile=32)
    tiles = 6 + len(indexing.windows(200, 100, 32, 0.125))
    assert make(folder, model, tile=32).encoded == tiles - 15


def test_a_kill_between_the_new_index_and_its_clearing_counts_nothing_twice(folder, model, monkeypatch):
    publish = Store.publish

    def keep_batches(store, *arguments):
        shutil.copytree(store._batches, folder.parent / "kept")
        made = publish(store, *arguments)
        shutil.copytree(folder.parent / "kept", store._batches)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(Store, "publish", keep_batches)
        first = make(folder, model)
    write_image(folder / "new.png", 30)
    second = make(folder, model)
    assert (len(first.tiles), len(second.tiles), second.encoded) == (6, 7, 1)
    assert paths(second) == sorted(second.contents)


@pytest.mark.parametrize(("file", "kept"), [("rows.bin", -4), ("rows.bin", 0), ("tiles.npy", 0), ("files.json", -9)])
def test_a_broken_index_is_made_again(folder, model, caplog, file, kept):
    make(folder, model)
    (broken,) = (folder.parent / "indexes").glob(f"*/whole-*/{file}")
    broken.write_bytes(broken.read_bytes()[:kept])
    again = make(folder, model)
    assert again.encoded == 6
    assert "whole-1 is broken" in caplog.text
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


def test_what_cannot_be_read_is_listed_and_the_rest_found(folder, model):
    (folder / "empty.jpg").touch()
    whole = write_image(folder / "cut.png", 9, (64, 64)).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    (folder / "torn.tif").write_bytes(b"II*\x00\x08\x00\x00\x00")
    (folder / ".hidden.png").write_bytes(b"not looked at")
    (folder / "notes.txt").write_text("not looked at")
    for _ in range(2):
        made = make(folder, model)
        assert sorted(made.unreadable) == ["cut.png", "empty.jpg", "nowhere.png", "torn.tif"]
        assert len(made.contents) == len(made.embeddings) == 6
    assert "cannot be read as an image" in made.unreadable["cut.png"]
    assert "No such file" in made.unreadable["nowhere.png"]


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
    with pytest.raises(ConfigError, match=r"place.tif is a GeoTIFF .* pip install -e '.\[raster\]'"):
        make(folder, model)
    assert counts == []


def test_progress_is_shown_on_stderr_where_it_is_asked_for(folder, model, capsys):
    index(folder, model, folder.parent / "indexes")
    out, err = capsys.readouterr()
    assert out == "" and "tiles" in err
    make(folder, model)
    assert capsys.readouterr() == ("", "")
