"""``Gallery``: by text and by image, of a folder, of a split, of a finished run."""

from pathlib import Path

import numpy as np
import pytest
from imagery import write_folder, write_image
from small_clips import moved, tiny_backbone
from small_worlds import small_world

from petl_core import retrieval
from petl_core.adapters import attach
from petl_core.config import RunConfig
from petl_core.data import DataError, Split, default_data
from petl_core.errors import ConfigError
from petl_core.runs import experiment
from petl_core.search.gallery import Gallery
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
    assert scores == sorted(scores, reverse=True)
    query = encoding.embed_captions(model, ["a long bridge"])[0]
    for hit in hits:
        shown = gallery.picture(hit)
        expected = (
            model.encode_image(model.backbone.preprocess(shown)[None], normalize=True)[0].detach().numpy() @ query
        )
        assert abs(hit.score - expected) < 1e-5


def test_an_image_finds_itself_and_its_copy(gallery):
    folder = gallery.search_text("x", 1)[0].path.parent
    first, second = gallery.search_image(folder / "0.png", k=2)
    assert [first.path.name, second.path.name] == ["0.png", "twin.png"]
    assert first.score == second.score == pytest.approx(1, abs=1e-5)


def test_a_window_of_an_image_finds_itself(gallery):
    tile = next(hit for hit in gallery.search_text("x", 50) if hit.path.name == "wide.png" and hit.window.x > 30)
    assert gallery.search_image(tile.path, 1, tile.window)[0][:3] == (tile.path, pytest.approx(1), tile.window)
    assert tile.window[2:] == (32, 32)
    assert np.array_equal(
        np.asarray(gallery.picture(tile)),
        np.asarray(gallery.picture(tile._replace(window=None)))[
            tile.window.y : tile.window.y + 32, tile.window.x : tile.window.x + 32
        ],
    )


@pytest.mark.parametrize(
    ("query", "k", "message"), [(" ", 3, "the query is empty"), ("a", 0, "k = 0 must be at least 1")]
)
def test_a_senseless_query_is_refused(gallery, query, k, message):
    with pytest.raises(ConfigError, match=message):
        gallery.search_text(query, k)


def test_a_missing_image_is_named(gallery, tmp_path):
    with pytest.raises(DataError, match=r"nothing.png: cannot be read as an image"):
        gallery.search_image(tmp_path / "nothing.png")


def test_a_split_knows_scenes_and_captions(tmp_path, model):
    paths = [write_image(tmp_path / f"{i}.png", i % 3) for i in range(4)]  # the last is a copy of the first
    captions, image_of = ("a", "b", "c", "d", "e"), np.array([0, 0, 1, 2, 3])
    gallery = Gallery.of_split(Split(tuple(paths), captions, image_of, ("pond", None, "river", None)), model, False)
    hits = gallery.search_image(paths[0], 4)
    assert [hit.path for hit in hits[:2]] == [paths[0], paths[3]] and hits[0].score == hits[1].score
    assert (hits[0].scene, hits[0].captions, hits[0].window, hits[0].lon) == ("pond", ("a", "b"), None, None)
    assert (hits[1].scene, hits[1].captions) == (None, ("e",))
    assert np.array_equal(np.asarray(gallery.picture(hits[0])), np.asarray(gallery.picture(hits[1])))


def test_a_finished_run_is_searched_as_it_was_tested(tmp_path, monkeypatch):
    places = small_world(tmp_path, monkeypatch)
    run = experiment.run(RunConfig(dataset="scenes-mini", backbone="mini", method="linear_probe", epochs=1), **places)
    split = default_data.load_or_draw("scenes-mini", places["data_root"]).test
    gallery = Gallery.of_split(split, experiment.load_model(run, places["data_root"]), progress=False)
    found = [{hit.path for hit in gallery.search_text(caption, 5)} for caption in split.captions]
    hits = [split.images[image] in paths for image, paths in zip(split.image_of, found, strict=True)]
    assert 100 * np.mean(hits) == pytest.approx(run.metrics["scores"]["strict"]["t2i_r5"])
    scores = retrieval.similarity(gallery.embeddings, encoding.embed_captions(gallery.model, [split.captions[0]]))
    best = gallery.search_text(split.captions[0], 1)[0]
    assert best.score == pytest.approx(scores.max()) and isinstance(best.path, Path)
