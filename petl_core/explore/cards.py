"""A gallery of clickable images, in pages."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anywidget
import ipywidgets as widgets
import traitlets

from petl_core.explore.opened import Answer
from petl_core.explore.thumbnails import thumbnail
from petl_core.search.gallery import Hit
from petl_core.search.options import IndexOptions

HERE = Path(__file__).parent
MARKS = {"own": "✓", "same scene": "≈", "other": ""}
MARKED = {"own": "the question's own", "same scene": "of its scene", "other": ""}


class Card(NamedTuple):
    """What is shown of an image; the fields as the browser reads them."""

    image: str  # a data URI
    name: str
    score: str = ""
    rank: int = 0  # 0: without
    kind: str = "other"  # how it relates to the question: see MARKS
    mark: str = ""
    scene: str = ""
    caption: str = ""
    change: str = ""  # of the rank: "▲ 3", "▼ 2", "=", "new"
    kind_in_words: str = ""


class Cards(anywidget.AnyWidget):
    """Images in rows; a click sets ``clicked``, which goes back to -1 once it has been handled."""

    _esm = HERE / "cards.js"
    _css = HERE / "explore.css"
    cards: traitlets.List = traitlets.List(help="dicts of Card").tag(sync=True)
    columns = traitlets.Int(6).tag(sync=True)
    clicked = traitlets.Int(-1).tag(sync=True)


class CardGallery(widgets.VBox):
    """Answers, a page at a time.

    Args:
        per_page: images on a page.
        columns: images in a row.
        on_click: is called with the hit that was clicked.
    """

    def __init__(self, per_page: int, columns: int, on_click: Callable[[Hit], None]):
        self.per_page = per_page
        self.answers: Sequence[Answer] = ()
        self.options = IndexOptions()
        self.changes: Callable[[Answer], str] = no_change
        self.page = 0
        self._on_click = on_click
        self.cards = Cards(columns=columns)
        self.cards.observe(self._click, "clicked")
        self.before = widgets.Button(icon="chevron-left", tooltip="the page before", layout={"width": "36px"})
        self.after = widgets.Button(icon="chevron-right", tooltip="the next page", layout={"width": "36px"})
        self.place = widgets.Label()
        self.before.on_click(lambda _: self.turn(-1))
        self.after.on_click(lambda _: self.turn(1))
        self.bar = widgets.HBox([self.before, self.after, self.place])
        super().__init__([self.bar, self.cards])
        self._draw()

    def show(self, answers: Sequence[Answer], options: IndexOptions) -> None:
        """Show other answers, starting with the first page."""
        self.answers, self.options, self.page = answers, options, 0
        self._draw()

    def turn(self, pages: int) -> None:
        """Go forward (above 0) or back by some pages, as far as there are any."""
        self.page = min(max(0, self.page + pages), max(0, len(self.answers) - 1) // self.per_page)
        self._draw()

    @property
    def shown(self) -> Sequence[Answer]:
        """The answers on this page."""
        return self.answers[self.page * self.per_page :][: self.per_page]

    def _draw(self) -> None:
        cards = [card_of(answer, self.options, self.changes(answer)) for answer in self.shown]
        self.cards.cards = [card._asdict() for card in cards]
        first, count = self.page * self.per_page, len(self.answers)
        self.before.disabled = first == 0
        self.after.disabled = first + self.per_page >= count
        self.place.value = f"{first + 1}–{first + len(cards)} of {count:,}" if count else "no images"

    def _click(self, change: dict) -> None:
        if change["new"] >= 0:
            answer = self.shown[change["new"]]
            self.cards.clicked = -1
            self._on_click(answer.hit)


def no_change(_: Answer) -> str:
    """For galleries that compare nothing."""
    return ""


def card_of(answer: Answer, options: IndexOptions, change: str = "") -> Card:
    """What is shown of an answer; a score of NaN is not."""
    hit = answer.hit
    return Card(
        image=thumbnail(hit, options),
        name=hit.path.name + (" · x {} y {}".format(*hit.window[:2]) if hit.window and any(hit.window[:2]) else ""),
        score="" if math.isnan(hit.score) else f"{hit.score:.2f}",
        rank=answer.rank,
        kind=answer.kind,
        mark=MARKS[answer.kind],
        scene=hit.scene or "",
        caption=hit.captions[0] if hit.captions else "",
        change=change,
        kind_in_words=MARKED[answer.kind],
    )
