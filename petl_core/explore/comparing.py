"""The view of two models side by side on one question, with changes of rank marked."""

from html import escape

import ipywidgets as widgets

from petl_core.explore.cards import CardGallery
from petl_core.explore.opened import Answer, Question, rank_change
from petl_core.explore.session import Session, message_line

PER_PAGE, COLUMNS = 9, 3
NOTHING = "no other model"


class Comparison(widgets.VBox):
    """The open model on the left, another on the right that searches the same images, both asked the same question.

    Args:
        session: of the model on the left; its questions are put to both.
    """

    def __init__(self, session: Session):
        self.session = session
        self.other = Session(session.settings, (), session.cache)
        self.choice = widgets.Dropdown(options=[(NOTHING, NOTHING)], description="Compare", layout={"width": "70%"})
        self.title = widgets.HTML()
        self.title.add_class("petl-note")
        self.names = [widgets.HTML(), widgets.HTML()]
        self.left, self.right = (
            CardGallery(PER_PAGE, COLUMNS, lambda hit: session.ask(Question(hit=hit))) for _ in self.names
        )
        self.right.changes = self._change
        for name in self.names:
            name.add_class("petl-heading")
        columns = [
            widgets.VBox([name, gallery], layout={"width": "50%", "padding": "0 6px"})
            for name, gallery in zip(self.names, (self.left, self.right), strict=True)
        ]
        self.galleries = widgets.HBox(columns, layout={"align_items": "flex-end"})  # titles differ in height
        self.choice.observe(lambda _: self._open(), "value")
        session.observe(lambda _: self._offer(), ["opened", "choices"])
        session.observe(lambda _: self._show(), "answers")
        super().__init__([self.choice, self.other.bars, message_line(self.other), self.title, self.galleries])
        self._offer()

    def _offer(self) -> None:
        """Offer the models that search the same images as the open one; keep the current choice if it is among them."""
        opened, everywhere = self.session.opened, bool(self.session.settings.folder)
        fitting = [
            choice
            for choice in self.session.choices
            if opened and choice != opened.choice and (everywhere or choice.dataset == opened.choice.dataset)
        ]
        kept = self.choice.value if self.choice.value in fitting else NOTHING
        with self.choice.hold_trait_notifications():
            self.choice.options = [(NOTHING, NOTHING), *((choice.label, choice) for choice in fitting)]
            self.choice.value = kept
        self._show()

    def _open(self) -> None:
        if self.choice.value != NOTHING:
            self.other.open(self.choice.value)
        self._show()

    def _show(self) -> None:
        answers, others = self.session.answers, None
        # If the other model could not be opened, the previous one is still there; the message says why.
        if answers and self.other.opened and self.other.opened.choice == self.choice.value:
            self.other.ask(answers.question)
            others = self.other.answers
        self.galleries.layout.display = None if others else "none"
        self.title.value = "Choose another model here, and ask something above."
        if others:
            self.title.value = f"{escape(answers.question.title)}: ranks that an image rose (▲) or fell (▼)"
            self.left.show(answers.images, self.session.opened.gallery.options)
            self.right.show(others.images, self.other.opened.gallery.options)
            for name, opened in zip(self.names, (self.session.opened, self.other.opened), strict=True):
                name.value = escape(opened.choice.label)

    def _change(self, answer: Answer) -> str:
        """The badge of an image on the right: its change of rank from the left."""
        change = rank_change(self.session.answers, answer)
        if change is None:
            return "new"
        if change == 0:
            return "="
        return f"▲ {change}" if change > 0 else f"▼ {-change}"
