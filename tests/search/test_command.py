"""``python -m petl_core search`` as people and programs call it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imagery import write_folder, write_image
from safetensors.torch import save_file
from small_clips import tiny_clip

from petl_core.__main__ import main
from petl_core.files import ROOT

SHAPE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {"width": 80, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Images, and a model as an open_clip folder."""
    place = tmp_path_factory.mktemp("place")
    write_folder(place / "images")
    (place / "images" / "torn.jpg").touch()
    (place / "clip").mkdir()
    (place / "clip" / "open_clip_config.json").write_text(json.dumps({"model_cfg": SHAPE, "preprocess_cfg": {}}))
    save_file(tiny_clip().state_dict(), place / "clip" / "open_clip_model.safetensors")
    return place


def arguments(place: Path, *more: str) -> list[str]:
    where = ["--model", str(place / "clip"), "--index-root", str(place / "indexes"), "--device", "cpu"]
    return ["search", str(place / "images"), *more, *where]


def shell(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "petl_core", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_json_is_all_of_stdout(place):
    done = shell(*arguments(place, "a harbor with many boats", "--top", "4", "--json"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [found["embeddings"], list(found["unreadable"])] == [6, ["torn.jpg"]]
    scores = [hit["score"] for hit in found["hits"]]
    assert len(scores) == 4 and scores == sorted(scores, reverse=True)
    hit = found["hits"][0]
    assert Path(hit["path"]).is_file()
    assert hit["window"] == {"x": 0, "y": 0, "width": 32, "height": 32}
    assert (hit["lon"], hit["lat"], hit["scene"], hit["captions"]) == (None, None, None, [])


def test_people_get_one_line_per_hit(place, capsys):
    assert main(arguments(place, str(place / "images" / "near" / "3.png"), "--image", "--top", "2")) == 0
    out, err = capsys.readouterr()
    first, _ = out.splitlines()
    assert first.split("\t") == ["1.000", str(place / "images" / "near" / "3.png"), "x 0 y 0 32x32"]
    assert "left out torn.jpg: cannot be read" in err and "6 images and tiles" in err


def test_a_geotiff_has_coordinates_in_its_line(place, tmp_path, capsys):
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed: no GeoTIFF to test on")
    from affine import Affine

    (tmp_path / "images").mkdir()
    settings = {"width": 40, "height": 20, "count": 4, "dtype": "uint16", "crs": "EPSG:4326"}
    with rasterio.open(
        tmp_path / "images" / "a.tif", "w", driver="GTiff", transform=Affine(0.5, 0, 10, 0, -0.5, 50), **settings
    ) as file:
        file.write(np.arange(3200, dtype="uint16").reshape(4, 20, 40))
    asked = arguments(place, "a field", "--tile", "20", "--overlap", "0", "--bands", "4", "3", "2")
    asked[1] = str(tmp_path / "images")
    assert main(asked) == 0
    lines = sorted(line.split("\t")[2:] for line in capsys.readouterr().out.splitlines())
    assert lines == [["x 0 y 0 20x20", "lon 15.00000 lat 45.00000"], ["x 20 y 0 20x20", "lon 25.00000 lat 45.00000"]]


def test_a_wrong_call_is_one_line_and_exit_code_2():
    done = shell("search", "/nowhere", "a pond")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: /nowhere is not a folder; name one that holds images\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([" "], "the query is empty"),
        (["a pond", "--top", "0"], "--top 0 must be at least 1"),
        (["a pond", "--tile", "2"], "options of the index: tile = 2 must be at least 16 pixels"),
        (["a pond", "--run", "no-such-run"], "leave --model and --pretrained out"),
        (["/nowhere.png", "--image"], "/nowhere.png: cannot be read as an image"),
        (["a pond", "--model", "ViT-B-32"], "its weights would be random"),
        (["a pond", "--model", "ViT-B-32", "--pretrained", "none"], "'none' is neither a tag of ViT-B-32"),
        (["a pond", "--run", "no-such-run", "--model", ""], "no-such-run holds no metrics.json"),
    ],
)
def test_a_mistake_is_named(place, more, message, capsys):
    asked = arguments(place)
    assert main([*asked, *more]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("error: ") and message in err


def test_help_needs_no_torch_and_shows_examples():
    script = """
import sys
from petl_core.__main__ import main
try:
    main(["search", "--help"])
finally:
    assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "a harbor with many boats" in done.stdout


def test_an_image_that_is_added_is_found_by_the_next_call(place, capsys):
    write_image(place / "images" / "added.png", 77)
    try:
        assert main(arguments(place, str(place / "images" / "added.png"), "--image", "--top", "1", "--json")) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["encoded"] == 1 and found["hits"][0]["path"].endswith("added.png")
    finally:
        (place / "images" / "added.png").unlink()
