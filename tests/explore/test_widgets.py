"""The views without a browser: a widget's value is set, and what is shown is read."""

import base64
import io
import re

import numpy as np
import pytest
from explored_runs import of
from PIL import Image

from petl_core.explore import state
from petl_core.explore.state import Answer, Question, Session, key_of
from petl_core.explore.widgets import ALL, HINT, LARGE, Chooser, Comparison, Map, Pages, Search, card, with_focus


@pytest.fixture
def asked(session) -> Session:
    session.ask(Question(text="a road"))
    return session


def ranks(pages: Pages) -> list[int]:
    return [int(rank) for rank in re.findall(r"<b>(\d+)", pages.cards.html)]


def test_pages_show_every_answer_once_and_a_click_asks_with_its_image(asked):
    pages = Pages(asked, 4)
    pages.show(asked.opened, asked.answers.images)
    seen = []
    for page in range(1, 1 + pages.page.max):
        pages.page.value = page
        seen += ranks(pages)
    assert seen == list(range(1, 11)) and pages.place.value == "of 3: 10 images"
    hit = pages.shown[1].hit
    for _ in range(2):  # the same one again counts again
        asked.answers = None
        pages.cards.clicked = 1
        assert asked.answers.question.hit == hit and pages.cards.clicked == -1
    pages.show(asked.opened, [])
    assert pages.place.value == "of 1: 0 images" and pages.cards.html == ""


def test_a_card_shows_all_of_an_answer_and_no_markup_of_a_data_set(asked):
    answer = asked.answers.images[2]._replace(kind="same scene")
    html = card(asked.opened, answer, "▲ 3")
    assert "<b>3 ≈ ▲ 3</b>" in html and f"<i>{answer.hit.score:.2f}</i>" in html and "petl-same-scene" in html
    assert answer.hit.path.name in html and answer.hit.captions[0] in html and answer.hit.scene in html
    picture = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])))
    assert max(picture.size) == 176
    evil = answer.hit._replace(scene='<script>"', captions=('"><script>',), score=float("nan"))
    html = card(asked.opened, Answer(evil, 0))
    assert "<script>" not in html and "<b> </b>" in html and "<i></i>" in html


def test_the_focus_covers_the_square_that_the_model_sees():
    weights = np.array([[0.0, 1.0], [0.0, 0.0]])
    shown = np.asarray(with_focus(Image.new("RGB", (200, 100)), weights)).astype(int)
    assert shown.shape == (LARGE, 2 * LARGE, 3)
    assert not shown[:, : LARGE // 2].any() and not shown[:, -LARGE // 2 :].any()
    dark, bright = shown[5, LARGE // 2 + 5], shown[5, LARGE + 5]
    assert bright[0] > 3 * bright[2] and dark[2] > dark[1]  # viridis: yellow, and violet


def test_a_row_is_opened_and_another_model_joins_the_table(session):
    chooser = Chooser(session, first=2)
    assert session.opened.choice.config == session.choices[2].config
    searched = "<b>Linear probe</b> searches 10 distinct images of the test split of scenes-mini and"
    assert chooser.status.value.startswith(searched)
    shown = [label.split()[0] for label, _ in chooser.rows.options]
    assert shown == ["Focus-Adapter,", "Linear", "Linear", "Zero-shot"]
    assert "test\N{NO-BREAK SPACE}mR,\N{NO-BREAK SPACE}one\N{NO-BREAK SPACE}seed" in chooser.head.value
    chooser.rows.value = 0
    assert session.opened.choice.config == session.choices[0].config and "Focus-Adapter" in chooser.status.value

    # A filter opens nothing.
    chooser.filter.value = "LINEAR 0.1"
    assert [place for _, place in chooser.rows.options] == [2] and chooser.rows.value is None
    assert session.opened.choice.config == session.choices[0].config
    chooser.filter.value = "focus"
    assert [place for _, place in chooser.rows.options] == [0]

    zero_shot = session.choices.pop()
    chooser.name.value = zero_shot.config.backbone
    for _ in range(2):
        chooser.add.click()
        assert len(session.choices) == len(chooser.rows.options) == 4 and chooser.rows.value == 3
    assert session.opened.choice.config == zero_shot.config
    chooser.name.value = ""
    chooser.add.click()
    assert session.message.startswith("name a model and its weights")
    assert "ViT-B-32-quickgelu openai" in chooser.name.options


def test_a_sentence_fills_the_gallery_and_a_filter_shows_one_scene(session):
    search = Search(session, per_page=4)
    assert search.heading.value.startswith("Type a sentence") and not search.pages.cards.html
    search.query.value = "a road"
    assert ranks(search.pages) == [1, 2, 3, 4] and search.asked.layout.display == "none"
    search.draw.click()
    assert session.answers.question.text == search.query.value in session.opened.texts
    assert "its own image: rank" in search.heading.value and "scene: " in search.heading.value
    assert search.scene.options == (ALL, *session.opened.scenes)
    search.scene.value = scene = session.opened.scenes[0]
    search.query.value = "a river"
    expected = [answer for answer in session.answers.images if answer.hit.scene == scene]  # ranks among all images
    assert search.scene.value == scene and search.pages.answers == expected
    search.query.value = ""
    assert session.message.startswith("the query is empty") and search.pages.answers == expected


def test_an_image_asks_and_is_shown_with_its_captions_and_focus(asked):
    search = Search(asked)
    search.pages.cards.clicked = 3
    assert search.asked.layout.display is None and search.captions.value.count("<li>") == 10
    assert search.focus.layout.display == "none" and "✓" in search.pages.cards.html
    asked.open(asked.choices[of(asked, "focus")])
    assert search.focus.layout.display is None
    assert [label for label, _ in search.focus.options] == ["off", "layer 1 of 2", "layer 2 of 2"]
    plain = search.image.value
    search.focus.value = 2
    covered = search.image.value
    assert covered != plain
    search.pages.cards.clicked = 1  # the layer stays chosen
    assert search.focus.value == 2 and search.image.value not in (plain, covered)

    # An upload; a broken one, and an image that is gone, are reported.
    hit = asked.opened.hit(4)
    search.ask_upload([{"name": "mine.png", "content": memoryview(hit.path.read_bytes())}])
    assert "images like mine.png" in search.heading.value and search.pages.shown[0].hit.path == hit.path
    search.ask_upload([{"name": "broken.png", "content": memoryview(b"x")}])
    assert asked.message.startswith("broken.png: ") and "images like mine.png" in search.heading.value
    gone = Answer(hit._replace(path=hit.path.with_name("gone.png")), 1)
    asked.answers = asked.answers._replace(images=[gone], question=Question(text="a road"))
    assert "gone.png" in asked.message


def test_another_model_answers_the_same_side_by_side(asked, monkeypatch):
    view = Comparison(asked)
    assert view.galleries.layout.display == "none" and view.choice.value is None
    assert [place for _, place in view.choice.options] == [None, 0, 2, 3]  # all but the open one
    view.choice.value = 0
    assert view.galleries.layout.display is None and "Focus-Adapter" in view.names[1].value
    rank_of = {key_of(answer.hit): answer.rank for answer in asked.answers.images}
    changes = []
    for answer in view.right.shown:
        rise = rank_of[key_of(answer.hit)] - answer.rank
        changes.append(f"▲ {rise}" if rise > 0 else f"▼ {-rise}" if rise < 0 else "=")
    assert re.findall(r"[▲▼] \d+|=(?=</b>)", view.right.cards.html) == changes and len(set(changes)) > 1
    assert "▲" not in view.left.cards.html
    asked.ask(Question(text="a pond"))
    assert "a pond" in view.title.value and view.choice.value == 0
    asked.open(asked.choices[2])  # the comparison goes on
    assert view.choice.value == 0 and view.galleries.layout.display is None
    asked.open(asked.choices[0])  # no model is compared with itself
    assert view.choice.value is None and view.galleries.layout.display == "none"

    # One that cannot be opened shows no answers of the last.
    asked.cache = {}
    monkeypatch.setattr(state, "open_choice", lambda *_, **__: 1 / 0)
    view.choice.value = 2
    assert asked.message.startswith("ZeroDivisionError") and view.galleries.layout.display == "none"


def test_the_map_rings_the_best_gathers_by_lasso_and_shows_on_hover(asked, monkeypatch):
    monkeypatch.setattr(state, "project", lambda points: points[:, :2])
    asked.cache = {}
    asked.open(asked.choices[1])
    view = Map(asked)
    row_of = {key_of(hit): row for row, hit in enumerate(view.hits)}

    def ringed() -> bool:
        best = [view.points[row_of[key_of(answer.hit)]] for answer in asked.answers.images[:9]]
        return np.array_equal(np.column_stack([view.rings.x, view.rings.y]), best)

    assert ringed() and ranks(view.pages) == list(range(1, 10))
    asked.ask(Question(hit=view.hits[7]))
    assert ringed() and view.rings.x[0] == view.points[7, 0]
    legend = {trace.name for trace in view.figure.data if trace.showlegend is not False}
    assert legend == {"best answers", *asked.opened.scenes}

    view.gather([1, 8, 5])
    assert "3 images inside the lasso" in view.gathered.value
    assert {answer.hit.path for answer in view.pages.answers} == {view.hits[row].path for row in (1, 8, 5)}
    assert ranks(view.pages) == sorted(ranks(view.pages)) and len(ranks(view.pages)) == 3

    assert view.hovered.value == HINT
    view.hover([6])
    hit = view.hits[6]
    assert hit.captions[0] in view.hovered.value and hit.scene in view.hovered.value
    view.hover([])
    assert hit.captions[0] in view.hovered.value

    first = view.figure
    asked.open(asked.choices[0])
    assert view.figure is not first and view.plane.children == (view.figure,) and ringed()
