"""The view of two models side by side on one question; ranks that changed are marked."""

from collections.abc import Sequence
from html import escape

import ipywidgets as widgets

from petl_core.explore.cards import Gallery
from petl_core.explore.choices import Choice
from petl_core.explore.opened import Answer, Question, rank_change
from petl_core.explore.session import Session, message_line

PER_PAGE, COLUMNS = 9, 3


class Comparison(widgets.VBox):
    """The open model on the left, another on the right, asked the same.

    Args:
        session: of the model on the left, whose questions are asked of both.
        choices: to choose the other from; those count that search the same images.
    """

    def __init__(self, session: Session, choices: Sequence[Choice]):
        self.session = session
        self.choices = choices
        self.other = Session(session.places, session.cache)
        self.choice = widgets.Dropdown(description="Beside it", layout={"width": "70%"})
        self.title = widgets.HTML()
        self.left = Gallery(PER_PAGE, COLUMNS, lambda hit: session.ask(Question(hit=hit)))
        self.right = Gallery(PER_PAGE, COLUMNS, lambda hit: session.ask(Question(hit=hit)))
        self.right.changes = self._change
        self.names = [widgets.HTML(), widgets.HTML()]
        for name in self.names:
            name.add_class("petl-heading")
        columns = [
            widgets.VBox([name, gallery], layout={"width": "50%"})
            for name, gallery in zip(self.names, (self.left, self.right), strict=True)
        ]
        self.choice.observe(lambda _: self._open(), "value")
        session.observe(lambda _: self._offer(), "opened")
        session.observe(lambda _: self._show(), "answers")
        bar = [self.choice, self.other.bars, message_line(self.other), self.title]
        super().__init__([*bar, widgets.HBox(columns)])
        self._offer()
        self._show()

    def _offer(self) -> None:
        """The models that search what the open one searches; the one chosen stays where it is among them."""
        opened = self.session.opened
        if opened is None:
            return
        fitting = [
            choice
            for choice in self.choices
            if choice != opened.choice and (self.session.places.folder or choice.dataset == opened.choice.dataset)
        ]
        kept = self.choice.value if self.choice.value in fitting else None
        self.choice.options = [("nothing", None), *((choice.label, choice) for choice in fitting)]
        self.choice.value = kept
        self._show()

    def _open(self) -> None:
        if self.choice.value is not None:
            self.other.open(self.choice.value)
        self._show()

    def _show(self) -> None:
        answers, opened = self.session.answers, self.session.opened
        if answers is None or opened is None:
            self.title.value = "Ask something above; both models answer it here."
            return
        self.title.value = f"{escape(answers.question.title)} — badges: ranks an image rose (▲) or fell (▼)"
        self.names[0].value = escape(opened.choice.label)
        self.left.show(answers.images, opened.gallery.options)
        asked = []
        if self.choice.value is not None and self.other.opened is not None:
            self.other.ask(answers.question)
            asked = self.other.answers.images if self.other.answers else []
        self.names[1].value = escape(self.choice.value.label) if self.choice.value else "choose another model"
        self.right.show(asked, opened.gallery.options)

    def _change(self, answer: Answer) -> str:
        """The badge of an image on the right, against its rank on the left."""
        change = rank_change(self.session.answers, answer)
        if change is None:
            return "new"
        return f"▲ {change}" if change > 0 else f"▼ {-change}" if change < 0 else "="
