"""``Gallery``: by text and by image, of a folder, of a split, of a finished run; and the command."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imagery import write_folder, write_image
from PIL import Image
from safetensors.torch import save_file
from small_clips import moved, tiny_backbone, tiny_clip
from small_worlds import small_world

from petl_core import retrieval
from petl_core.__main__ import main
from petl_core.adapters import attach
from petl_core.config import RunConfig
from petl_core.data import DataError, Split, default_data
from petl_core.errors import ConfigError
from petl_core.files import ROOT
from petl_core.runs import experiment
from petl_core.search import models
from petl_core.search.gallery import Captions, Gallery
from petl_core.search.options import IndexOptions
from petl_core.training import encoding


@pytest.fixture(scope="module")
def model():
    return moved(attach(tiny_backbone(), "mrs"))


@pytest.fixture
def gallery(tmp_path, model) -> Gallery:
    folder = write_folder(tmp_path / "images")
    write_image(folder / "wide.png", 20, (90, 40))
    write_image(folder / "twin.png", 0)  # as 0.png
    return Gallery.of_folder(folder, model, tmp_path / "indexes", IndexOptions(tile=32), progress=False)


def test_a_text_finds_what_its_embedding_is_nearest_to(gallery, model):
    hits = gallery.search_text("a long bridge", k=50)
    assert len(hits) == len(gallery.embeddings) + 1  # of two copies, both
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True) and len(gallery.search_text("a long bridge", k=3)) == 3
    query = encoding.embed_captions(model, ["a long bridge"])[0]
    for hit in hits:
        assert abs(hit.score - models.embed_picture(model, gallery.picture(hit)) @ query) < 1e-5


def test_an_image_or_a_window_of_it_finds_itself_and_its_copy(gallery):
    folder = gallery.search_text("x", 1)[0].path.parent
    first, second = gallery.search_image(folder / "0.png", k=2)
    assert {first.path.name, second.path.name} == {"0.png", "twin.png"}
    assert first.score == second.score == pytest.approx(1, abs=1e-5)
    tile = next(hit for hit in gallery.search_text("x", 50) if hit.path.name == "wide.png" and hit.window.x > 30)
    assert gallery.search_image(tile.path, 1, tile.window)[0][:3] == (tile.path, pytest.approx(1), tile.window)
    x, y, *size = tile.window
    whole = np.asarray(gallery.picture(tile._replace(window=None)))
    assert size == [32, 32] and np.array_equal(np.asarray(gallery.picture(tile)), whole[y : y + 32, x : x + 32])


def test_a_senseless_query_is_refused(gallery, tmp_path):
    for query, k, message in ((" ", 3, "the query is empty"), ("a", 0, "k = 0 must be at least 1")):
        with pytest.raises(ConfigError, match=message):
            gallery.search_text(query, k)
    with pytest.raises(DataError, match=r"nothing.png: image is missing"):
        gallery.search_image(tmp_path / "nothing.png")


def test_a_split_knows_scenes_and_captions(tmp_path, model):
    paths = [write_image(tmp_path / f"{i}.png", i % 3) for i in range(4)]  # the last is a copy of the first
    captions, image_of = ("a", "b", "c", "d", "e"), np.array([0, 0, 1, 2, 3])
    gallery = Gallery.of_split(Split(tuple(paths), captions, image_of, ("pond", None, "river", None)), model, False)
    hits = gallery.search_image(paths[0], 4)
    assert [hit.path for hit in hits[:2]] == [paths[0], paths[3]] and hits[0].score == hits[1].score
    assert (hits[0].scene, hits[0].captions, hits[0].window, hits[0].lon) == ("pond", ("a", "b"), None, None)
    assert (hits[1].scene, hits[1].captions) == (None, ("e",))


def test_an_image_finds_distinct_captions_by_their_cosines(tmp_path, model):
    captions = Captions.of(["a pond", "a river", "A  pond", "two planes"], model, progress=False)
    assert captions.texts == ("a pond", "a river", "two planes")
    query = models.embed_picture(model, Image.open(write_image(tmp_path / "1.png", 1)))
    scores = encoding.embed_captions(model, captions.texts) @ query
    order = np.argsort(-scores)[:2]
    found = captions.nearest_to(query, 2)
    assert [text for text, _ in found] == [captions.texts[i] for i in order]
    assert [score for _, score in found] == pytest.approx(scores[order].tolist(), abs=1e-6)


def test_a_finished_run_is_searched_as_it_was_tested(tmp_path, monkeypatch):
    places = small_world(tmp_path, monkeypatch)
    run = experiment.run(RunConfig(dataset="scenes-mini", backbone="mini", method="linear_probe", epochs=1), **places)
    split = default_data.load_or_draw("scenes-mini", places["data_root"]).test
    gallery = Gallery.of_split(split, experiment.load_model(run, places["data_root"]), progress=False)
    found = [{hit.path for hit in gallery.search_text(caption, 5)} for caption in split.captions]
    hits = [split.images[image] in paths for image, paths in zip(split.image_of, found, strict=True)]
    assert 100 * np.mean(hits) == pytest.approx(run.metrics["scores"]["strict"]["t2i_r5"])
    scores = retrieval.similarity(gallery.embeddings, encoding.embed_captions(gallery.model, [split.captions[0]]))
    assert gallery.search_text(split.captions[0], 1)[0].score == pytest.approx(scores.max())


# The command.

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
    (place / "images" / "scene.jp2").touch()
    (place / "clip").mkdir()
    (place / "clip" / "open_clip_config.json").write_text(json.dumps({"model_cfg": SHAPE, "preprocess_cfg": {}}))
    save_file(tiny_clip().state_dict(), place / "clip" / "open_clip_model.safetensors")
    return place


def arguments(place: Path, *more: str, folder: Path | None = None) -> list[str]:
    where = ["--model", str(place / "clip"), "--index-root", str(place / "indexes"), "--device", "cpu"]
    return ["search", str(folder or place / "images"), *more, *where]


def shell(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "petl_core", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_json_is_all_of_stdout(place):
    done = shell(*arguments(place, "a harbor with many boats", "--top", "4", "--json"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [found["embeddings"], list(found["unreadable"]), found["skipped"]] == [6, ["torn.jpg"], {".jp2": 1}]
    scores = [hit["score"] for hit in found["hits"]]
    assert len(scores) == 4 and scores == sorted(scores, reverse=True)
    hit = found["hits"][0]
    assert Path(hit["path"]).is_file()
    assert hit["window"] == {"x": 0, "y": 0, "width": 32, "height": 32}
    assert (hit["lon"], hit["lat"], hit["scene"], hit["captions"]) == (None, None, None, [])


def test_people_get_one_line_per_hit_and_what_was_left_out(place, capsys):
    assert main(arguments(place, str(place / "images" / "near" / "3.png"), "--image", "--top", "2")) == 0
    out, err = capsys.readouterr()
    first, _ = out.splitlines()
    assert first.split("\t") == ["1.000", str(place / "images" / "near" / "3.png"), "x 0 y 0 32x32"]
    assert "left out torn.jpg: cannot be read" in err
    assert "6 images and tiles" in err and "; left out: 1 unreadable, 1 .jp2" in err


def test_a_geotiff_has_coordinates_in_its_line(place, tmp_path, capsys):
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed: no GeoTIFF to test on")
    from affine import Affine

    settings = {"width": 40, "height": 20, "count": 4, "dtype": "uint16", "crs": "EPSG:4326"}
    corner = Affine(0.5, 0, 10, 0, -0.5, 50)
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", transform=corner, **settings) as file:
        file.write(np.arange(3200, dtype="uint16").reshape(4, 20, 40))
    options = ("--tile", "20", "--overlap", "0", "--bands", "4", "3", "2")
    assert main(arguments(place, "a field", *options, folder=tmp_path)) == 0
    lines = sorted(line.split("\t")[2:] for line in capsys.readouterr().out.splitlines())
    assert lines == [["x 0 y 0 20x20", "lon 15.00000 lat 45.00000"], ["x 20 y 0 20x20", "lon 25.00000 lat 45.00000"]]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([" "], "the query is empty"),
        (["a pond", "--top", "0"], "--top 0 must be at least 1"),
        (["a pond", "--tile", "2"], "how images are read: tile = 2 must be at least 16 pixels"),
        (["a pond", "--run", "no-such-run"], "leave --model and --pretrained out"),
        (["/nowhere.png", "--image"], "/nowhere.png: image is missing"),
        (["a pond", "--model", "ViT-B-32"], "its weights would be random"),
        (["a pond", "--model", "ViT-B-32", "--pretrained", "none"], "'none' is neither a tag of ViT-B-32"),
        (["a pond", "--run", "no-such-run", "--model", ""], "no-such-run holds no metrics.json"),
    ],
)
def test_a_mistake_is_named(place, more, message, capsys):
    assert main([*arguments(place), *more]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("error: ") and message in err


def test_help_and_mistakes_in_a_folder_need_no_torch():
    script = """
import sys
from petl_core.__main__ import main
assert main(["search", "/nowhere", "a pond"]) == 2
try:
    main(["search", "--help"])
finally:
    assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "a harbor with many boats" in done.stdout
    assert done.stderr == "error: /nowhere is not a folder; name one that holds images\n"
