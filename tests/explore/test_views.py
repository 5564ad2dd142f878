"""The views without a browser: a widget's value is set, and what is shown is read."""

import base64
import io

import numpy as np
import pytest
from petl_core.explore.cards import CardGallery, card_of
from petl_core.explore.choosing import ModelChooser
from petl_core.explore.comparing import NOTHING, Comparison
from petl_core.explore.mapping import HINT, NEIGHBOURS, EmbeddingMapView
from petl_core.explore.opened import Answer, Question, hit_key
from petl_core.explore.searching import ALL, Search
from petl_core.explore.static import static_gallery
from petl_core.explore.thumbnails import LARGE, data_uri, with_focus
from PIL import Image

from petl_core.search.options import IndexOptions


def picture_in(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.fixture
def answers(opened):
    opened.ask(Question(text="a road"))
    return opened.answers


# The gallery.


def test_pages_show_every_answer_once(opened, answers):
    gallery = CardGallery(4, 2, lambda hit: None)
    assert gallery.place.value == "no images" and gallery.before.disabled and gallery.after.disabled
    gallery.show(answers.images, IndexOptions())
    assert gallery.place.value == "1–4 of 10" and gallery.before.disabled and not gallery.after.disabled
    seen = [card["rank"] for card in gallery.cards.cards]
    for _ in range(5):  # more often than there are pages
        gallery.after.click()
        if seen[-1] < 10:
            seen += [card["rank"] for card in gallery.cards.cards]
    assert seen == list(range(1, 11)) and gallery.place.value == "9–10 of 10" and gallery.after.disabled
    gallery.before.click()
    assert gallery.place.value == "5–8 of 10"


def test_a_click_reports_the_hit_on_this_page(answers):
    clicked = []
    gallery = CardGallery(4, 2, clicked.append)
    gallery.show(answers.images, IndexOptions())
    gallery.turn(1)
    for _ in range(2):  # the same one again counts again
        gallery.cards.clicked = 1
    assert clicked == [answers.images[5].hit] * 2 and gallery.cards.clicked == -1


def test_a_card_shows_all_of_an_answer(answers):
    answer = answers.images[2]._replace(kind="same scene")
    card = card_of(answer, IndexOptions(), "▲ 3")
    assert (card.rank, card.mark, card.change, card.score) == (3, "≈", "▲ 3", f"{answer.hit.score:.2f}")
    assert (card.name, card.scene, card.caption) == (answer.hit.path.name, answer.hit.scene, answer.hit.captions[0])
    shown = np.asarray(picture_in(card.image).resize((32, 32)), dtype=float)
    assert np.abs(shown - np.asarray(Image.open(answer.hit.path).convert("RGB"))).mean() < 12
    assert card_of(answer._replace(hit=answer.hit._replace(score=float("nan"))), IndexOptions()).score == ""


def test_thumbnails_are_neither_large_nor_lost():
    assert picture_in(data_uri(Image.new("RGB", (1000, 500)), 100)).size == (100, 50)
    assert picture_in(data_uri(Image.new("L", (80, 60)), 100)).size == (80, 60)
    assert picture_in(data_uri(Image.new("RGB", (10, 5)), 100)).size == (100, 50)


def test_a_focus_map_lies_over_the_central_square():
    weights = np.array([[0.0, 1.0], [1.0, 1.0]])
    shown = np.asarray(with_focus(Image.new("RGB", (60, 30)), weights))
    assert shown.shape == (LARGE, 2 * LARGE, 3)
    assert not shown[:, : LARGE // 2].any() and not shown[:, -LARGE // 2 :].any()
    dark, bright = shown[5, LARGE // 2 + 5], shown[5, LARGE + 5]
    assert bright[0] > 3 * bright[2] and dark[2] > dark[1]  # viridis: yellow, and violet


# Choosing.


def test_the_first_row_is_opened_and_named(session):
    chooser = ModelChooser(session)
    assert session.opened.choice == session.choices[0]
    assert [row[0] for row in chooser.table.rows] == [choice.title for choice in session.choices]
    assert "searches 10 distinct test images of scenes-mini and" in chooser.status.value
    assert session.choices[0].title in chooser.status.value
    chooser.table.selected = 2
    assert session.opened.choice == session.choices[2] and session.choices[2].title in chooser.status.value


def test_another_model_joins_the_table_and_is_opened(session):
    chooser = ModelChooser(session)
    backbone = session.choices[0].backbone
    for _ in range(2):
        chooser.name.value = backbone
        chooser.add.click()
        assert len(chooser.table.rows) == 4 and chooser.table.selected == 3
    assert session.opened.choice.run is None and session.opened.choice.dataset == "scenes-mini"
    chooser.name.value = ""
    chooser.add.click()
    assert session.message.startswith("name a model and its weights")
    assert "ViT-B-32-quickgelu openai" in chooser.name.options


# Searching.


def test_a_sentence_fills_the_gallery(opened):
    search = Search(opened, "a road", per_page=4)
    assert opened.answers.question.text == "a road"
    assert [card["rank"] for card in search.gallery.cards.cards] == [1, 2, 3, 4]
    search.query.value = opened.opened.captions.texts[0]
    assert "its own image: rank" in search.heading.value and "scene: " in search.heading.value
    assert search.picture.layout.display == "none"
    search.query.value = ""
    assert opened.message.startswith("the query is empty") and len(search.gallery.cards.cards) == 4


def test_a_caption_can_be_drawn(opened):
    search = Search(opened)
    assert search.heading.value == "Type a sentence, or upload an image." and not search.gallery.cards.cards
    search.draw.click()
    assert search.query.value in opened.opened.captions.texts
    assert opened.answers.question.text == search.query.value


def test_a_click_asks_with_the_image(opened):
    search = Search(opened, "a road")
    hit = search.gallery.shown[3].hit
    search.gallery.cards.clicked = 3
    assert hit_key(opened.answers.question.hit) == hit_key(hit)
    assert search.gallery.cards.cards[0]["name"] == hit.path.name and search.gallery.cards.cards[0]["mark"] == "✓"
    assert search.picture.layout.display is None and search.picture.captions.value.count("<li") == 10
    assert search.picture.focus.layout.display == "none"


def test_focus_is_laid_over_the_image(opened, choice_named):
    opened.open(choice_named("focus"))
    search = Search(opened, "a road")
    search.gallery.cards.clicked = 0
    focus = search.picture.focus
    assert focus.layout.display is None
    assert [label for label, _ in focus.options] == ["off", "layer 1 of 2", "layer 2 of 2"]
    plain = search.picture.image.value
    focus.value = 2
    covered = search.picture.image.value
    assert covered != plain
    search.gallery.cards.clicked = 1  # the layer stays chosen
    assert focus.value == 2 and search.picture.image.value not in (plain, covered)
    opened.open(choice_named("linear_probe"))
    assert focus.value == 0 and focus.layout.display == "none"


def test_a_filter_shows_one_scene(opened):
    search = Search(opened, "a road")
    assert search.scene.options == (ALL, *opened.opened.scenes)
    scene = opened.opened.scenes[0]
    search.scene.value = scene
    shown = search.gallery.answers
    assert shown and {answer.hit.scene for answer in shown} == {scene}
    ranks = [answer.rank for answer in opened.answers.images if answer.hit.scene == scene]
    assert [answer.rank for answer in shown] == ranks  # among all images
    search.query.value = "a river"
    assert search.scene.value == scene and {answer.hit.scene for answer in search.gallery.answers} == {scene}


def test_an_upload_asks_and_a_broken_one_is_reported(opened):
    search = Search(opened, "a road")
    hit = opened.opened.hit(4)
    file = {"type": "image/png", "size": 1, "last_modified": 0}
    search._ask_upload([{**file, "name": "mine.png", "content": memoryview(hit.path.read_bytes())}])
    assert search.heading.value.startswith("images like mine.png")
    assert search.gallery.cards.cards[0]["name"] == hit.path.name
    search._ask_upload([{**file, "name": "broken.png", "content": memoryview(b"x")}])
    assert opened.message == "broken.png cannot be read as an image; choose a JPEG, PNG or TIFF"
    assert search.heading.value.startswith("images like mine.png")


def test_an_image_that_is_gone_is_reported(opened, answers, tmp_path):
    search = Search(opened)
    gone = Answer(answers.images[0].hit._replace(path=tmp_path / "gone.png"), 1, "other")
    opened.answers = type(answers)(answers.question, [gone], [], None)
    assert "gone.png" in opened.message
    assert search.gallery.cards.cards is not None


# Comparing.


def test_another_model_answers_the_same_side_by_side(opened, choice_named):
    opened.ask(Question(text="a road"))
    view = Comparison(opened)
    assert view.galleries.layout.display == "none" and view.choice.value == NOTHING
    other = choice_named("focus")
    labels = [one.label for one in opened.choices if one != opened.opened.choice]
    assert [label for label, _ in view.choice.options[1:]] == labels
    view.choice.value = other
    assert view.galleries.layout.display is None
    for card, answer in zip(view.right.cards.cards, view.other.answers.images, strict=False):
        rise = opened.answers.rank_of[hit_key(answer.hit)] - answer.rank
        assert card["change"] == (f"▲ {rise}" if rise > 0 else f"▼ {-rise}" if rise < 0 else "=")
    assert {card["change"] for card in view.left.cards.cards} == {""}
    assert len({card["change"] for card in view.right.cards.cards}) > 1
    opened.ask(Question(text="a pond"))
    assert view.other.answers.question.text == "a pond" and "a pond" in view.title.value
    opened.open(other)  # no model is compared with itself
    assert view.choice.value == NOTHING and view.galleries.layout.display == "none"


def test_another_model_that_cannot_be_opened_shows_no_answers_of_the_last(opened, choice_named, monkeypatch):
    opened.ask(Question(text="a road"))
    view = Comparison(opened)
    view.choice.value = choice_named("focus")
    assert view.galleries.layout.display is None
    monkeypatch.setattr("petl_core.explore.session.open_choice", lambda *_: 1 / 0)
    view.other.cache.clear()
    view.choice.value = next(choice for _, choice in view.choice.options[1:] if choice != view.choice.value)
    assert view.other.message.startswith("ZeroDivisionError")
    assert view.galleries.layout.display == "none"


# The map.


@pytest.fixture
def view(opened, answers, monkeypatch) -> EmbeddingMapView:
    monkeypatch.setattr("petl_core.explore.opened.project_umap", lambda points, neighbours: points[:, :2])
    return EmbeddingMapView(opened)


def test_the_best_answers_are_ringed(opened, view):
    best = opened.answers.images[:NEIGHBOURS]
    row_of = {hit_key(hit): row for row, hit in enumerate(view.map.hits)}
    assert np.array_equal(view.lit.x, view.map.points[[row_of[hit_key(answer.hit)] for answer in best], 0])
    opened.ask(Question(hit=view.map.hits[7]))
    assert view.lit.x[0] == view.map.points[7, 0] and view.lit.y[0] == view.map.points[7, 1]
    assert [card["rank"] for card in view.gallery.cards.cards] == list(range(1, 10))


def test_a_lasso_gathers_images_best_first(opened, view):
    view.gather([1, 8, 5])
    assert view.gathered.value == "3 images inside the lasso"
    assert {answer.hit.path for answer in view.gallery.answers} == {view.map.hits[row].path for row in (1, 8, 5)}
    ranks = [answer.rank for answer in view.gallery.answers]
    assert ranks == sorted(ranks) and ranks[0] > 0
    view.gallery.cards.clicked = 0
    assert hit_key(opened.answers.question.hit) == hit_key(opened.answers.images[0].hit)
    assert view.gathered.value.startswith("Ringed: the best for images like")


def test_hovering_shows_an_image_and_its_caption(view):
    assert view.hovered.value == HINT
    view.hover([6])
    hit = view.map.hits[6]
    assert hit.captions[0] in view.hovered.value and hit.scene in view.hovered.value
    assert "data:image/jpeg;base64," in view.hovered.value
    view.hover([])
    assert hit.captions[0] in view.hovered.value


def test_another_model_draws_another_map(opened, view, choice_named):
    first = view.figure
    assert tuple(view.points.text) == tuple(hit.scene for hit in view.map.hits)
    opened.open(choice_named("focus"))
    assert view.figure is not first and view.plane.children == (view.figure,)
    assert np.array_equal(view.points.x, opened.opened.gallery.embeddings[:, 0])


# What stays.


def test_a_static_gallery_needs_no_kernel(answers):
    page = static_gallery(answers, IndexOptions(), 3)
    assert page.count("<figure") == 3 and page.count("data:image/jpeg;base64,") == 3 and "“a road”" in page
    assert f"1. {answers.images[0].hit.score:.2f}" in page
