"""What a question finds."""

import io

import numpy as np
import pytest
from imagery import write_folder, write_image
from petl_core.explore.opened import ExploreSettings, Question, hit_key, open_choice, rank_change, read_upload, scene_in
from PIL import Image

from petl_core import retrieval
from petl_core.data import DataError, default_data
from petl_core.errors import ConfigError
from petl_core.training import encoding


@pytest.fixture
def split(runs):
    return default_data.load_or_draw("scenes-mini", runs["data_root"]).test


def test_a_sentence_finds_all_images_by_their_cosines(opened, split):
    found = opened.opened.ask(Question(text="a red boat in a harbor"))
    assert [answer.rank for answer in found.images] == list(range(1, len(split.images) + 1))
    embedded = encoding.embed_captions(opened.opened.gallery.model, ["a red boat in a harbor"])
    scores = retrieval.similarity(opened.opened.gallery.embeddings, embedded)[:, 0]
    assert np.allclose([answer.hit.score for answer in found.images], np.sort(scores)[::-1], atol=1e-6)
    assert found.captions == [] and found.rank_of[hit_key(found.images[3].hit)] == 4


def test_a_test_caption_knows_its_image_and_scene(opened, split):
    found = opened.opened.ask(Question(text=split.captions[0].upper()))
    own = {answer.hit.path for answer in found.images if answer.kind == "own"}
    assert split.images[split.image_of[0]] in own
    assert found.scene == split.scenes[split.image_of[0]]
    for answer in found.images:
        alike = "same scene" if answer.hit.scene == found.scene else "other"
        assert answer.kind == ("own" if answer.hit.path in own else alike)


def test_a_sentence_that_names_a_scene_has_it(opened, split):
    scene = split.scenes[0]
    assert opened.opened.ask(Question(text=f"an image of a {scene} from above")).scene == scene
    found = opened.opened.ask(Question(text="what the eye can see"))
    assert found.scene is None and {answer.kind for answer in found.images} == {"other"}


def test_the_scene_in_a_text_is_a_whole_word():
    assert scene_in("two ponds", ["pond", "port"]) == "pond"
    assert scene_in("a pondering person", ["pond"]) is None


def test_an_image_finds_itself_and_its_captions(opened, split):
    hit = opened.opened.hit(3)
    found = opened.opened.ask(Question(hit=hit))
    assert hit_key(found.images[0].hit) == hit_key(hit) and found.images[0].kind == "own"
    assert found.scene == hit.scene and len(found.captions) == 10
    scores = [caption.score for caption in found.captions]
    assert scores == sorted(scores, reverse=True)
    assert {caption.text for caption in found.captions} <= set(split.captions)
    for caption in found.captions:
        assert caption.own == (caption.text in hit.captions)


def test_an_upload_is_asked_like_its_file(opened):
    hit = opened.opened.hit(2)
    question = read_upload(hit.path.name, hit.path.read_bytes())
    assert question.title == f"images like {hit.path.name}"
    found = opened.opened.ask(question)
    assert found.images[0].hit.path == hit.path and found.images[0].hit.score == pytest.approx(1, abs=1e-5)
    assert found.scene is None and not any(caption.own for caption in found.captions)
    with pytest.raises(DataError, match=r"^notes.txt cannot be read as an image; choose a JPEG, PNG or TIFF$"):
        read_upload("notes.txt", b"no image")


def test_an_empty_sentence_is_refused(opened):
    with pytest.raises(ConfigError, match="the query is empty"):
        opened.opened.ask(Question())


def test_only_a_focus_adapter_tells_where_it_looks(opened, session, choice_named):
    picture = Image.new("RGB", (40, 30))
    assert not opened.opened.has_focus
    with pytest.raises(ConfigError, match="focus maps need"):
        opened.opened.focus(picture)
    session.open(choice_named("focus"))
    assert session.opened.has_focus
    maps = session.opened.focus(picture)
    assert maps.ndim == 3 and len(maps) == 2 and maps.min() >= 0 and maps.max() <= 1


def test_the_map_has_a_point_for_every_image_and_is_laid_out_once(opened, monkeypatch):
    asked = []

    def project(points, neighbours):
        asked.append(neighbours)
        return points

    monkeypatch.setattr("petl_core.explore.opened.project_umap", project)
    other = type(opened.opened)(opened.opened.choice, opened.opened.gallery, opened.opened.captions)
    assert other.map is other.map and asked == [15]
    assert np.array_equal(other.map.points, other.gallery.embeddings) and other.map.hits[7].path == other.hit(7).path


def test_two_images_are_too_few_for_umap_and_have_a_map(runs, session, tmp_path):
    folder = write_folder(tmp_path / "mine", 2)
    own = open_choice(
        session.choices[0], ExploreSettings(str(folder), runs["data_root"], str(tmp_path), progress=False)
    )
    assert own.map.points.tolist() == [[0, 0], [1, 0]] and len(own.map.hits) == 2


def test_a_large_map_is_of_some_images_at_random(opened, monkeypatch):
    monkeypatch.setattr("petl_core.explore.opened.ON_MAP", 6)
    monkeypatch.setattr("petl_core.explore.opened.project_umap", lambda points, neighbours: points[:, :2])
    other = type(opened.opened)(opened.opened.choice, opened.opened.gallery, opened.opened.captions)
    assert len(other.map.hits) == len(other.map.points) == 6
    paths = [other.hit(row).path for row in range(len(other.gallery.embeddings))]
    row = paths.index(other.map.hits[4].path)
    assert np.array_equal(other.map.points[4], other.gallery.embeddings[row, :2])


def test_an_own_folder_is_searched(runs, session, tmp_path):
    folder = write_folder(tmp_path / "mine", 4)
    write_image(folder / "large.png", 9, (1100, 600))
    own = open_choice(
        session.choices[0], ExploreSettings(str(folder), runs["data_root"], str(tmp_path), progress=False)
    )
    found = own.ask(Question(text="a river"))
    assert len(found.images) == len(own.gallery.embeddings) > 5 and own.scenes == ()
    tile = next(hit for hit in map(own.hit, range(len(own.gallery.embeddings))) if hit.window.x)
    liked = own.ask(Question(hit=tile))
    assert hit_key(liked.images[0].hit) == hit_key(tile) and liked.captions == []
    buffer = io.BytesIO()
    own.picture(Question(hit=tile)).save(buffer, "PNG")
    assert own.ask(read_upload("tile.png", buffer.getvalue())).images[0].hit.score == pytest.approx(1, abs=1e-4)


def test_ranks_are_compared_by_image_and_window(opened, choice_named, session):
    before = opened.opened.ask(Question(text="a road"))
    session.open(choice_named("zero_shot"))
    after = session.opened.ask(Question(text="a road"))
    for answer in after.images:
        was = next(other.rank for other in before.images if other.hit.path == answer.hit.path)
        assert rank_change(before, answer) == was - answer.rank
    elsewhere = after.images[0]._replace(hit=after.images[0].hit._replace(path=after.images[0].hit.path / "x"))
    assert rank_change(before, elsewhere) is None
