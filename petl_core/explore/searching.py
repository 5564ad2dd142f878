"""The view that asks: with a sentence, or with an image that is clicked or uploaded."""

from collections.abc import Sequence
from html import escape

import ipywidgets as widgets
import numpy as np

from petl_core.explore.cards import CardGallery
from petl_core.explore.opened import Answers, Question, RankedCaption, read_upload
from petl_core.explore.session import Session, message_line
from petl_core.explore.thumbnails import LARGE, data_uri, with_focus

ALL = "all scenes"
PER_PAGE, COLUMNS = 12, 6
NO_FOCUS = 0
NO_CAPTIONS = "<span class='petl-note'>These images have no captions.</span>"


class Search(widgets.VBox):
    """A text field, an upload, a filter by scene; the image asked with, and the gallery of answers.

    Args:
        session: which is asked.
        per_page: images on a page.
        query: the first sentence.
    """

    def __init__(self, session: Session, query: str = "", per_page: int = PER_PAGE):
        self.session = session
        self.query = widgets.Text(
            placeholder="a sentence, such as: two white planes next to a terminal",
            continuous_update=False,
            layout={"flex": "1 1 auto"},
        )
        self.search = widgets.Button(description="Search", button_style="primary", icon="search")
        self.draw = widgets.Button(description="A test caption", icon="random", tooltip="ask with one drawn at random")
        self.upload = widgets.FileUpload(accept="image/*,.tif,.tiff", description="Image", tooltip="ask with an image")
        self.scene = widgets.Dropdown(options=[ALL], description="Show", layout={"width": "230px"})
        self.heading = widgets.HTML()
        self.heading.add_class("petl-heading")
        self.picture = PictureAsked(session)
        self.gallery = CardGallery(per_page, COLUMNS, lambda hit: session.ask(Question(hit=hit)))
        self._rng = np.random.default_rng(0)

        self.query.observe(lambda change: self.ask_text(), "value")
        self.search.on_click(lambda _: self.ask_text())
        self.draw.on_click(lambda _: self._draw_caption())
        self.upload.observe(lambda change: self._ask_upload(change["new"]), "value")
        self.scene.observe(lambda _: self._show_images(), "value")
        session.observe(lambda _: self._offer_scenes(), "opened")
        session.observe(lambda _: self._show(), "answers")
        line = widgets.HBox([self.query, self.search, self.draw, self.upload])
        above = widgets.HBox([self.scene, self.heading])
        super().__init__([line, message_line(session), above, self.picture, self.gallery])
        self._offer_scenes()
        self._show()
        if query:
            self.query.value = query

    def ask_text(self) -> None:
        """Ask with the sentence in the text field."""
        self.session.ask(Question(text=self.query.value))

    def _draw_caption(self) -> None:
        with self.session.reporting_errors():
            texts = self.session.opened.captions.texts if self.session.opened else ()
            if texts:
                self.query.value = str(self._rng.choice(texts))
            else:
                self.session.message = "these images have no captions; type a sentence"

    def _ask_upload(self, files: Sequence[dict]) -> None:
        if files:
            with self.session.reporting_errors():
                question = read_upload(files[0]["name"], bytes(files[0]["content"]))
                self.upload.value = ()  # so that the same file can be uploaded again
                self.session.ask(question)

    def _offer_scenes(self) -> None:
        opened = self.session.opened
        scenes = opened.scenes if opened else ()
        kept = self.scene.value if self.scene.value in scenes else ALL
        self.scene.options = [ALL, *scenes]
        self.scene.value = kept

    def _show(self) -> None:
        self._show_images()
        answers = self.session.answers
        self.heading.value = escape(_heading(answers)) if answers else "Type a sentence, or upload an image."
        self.picture.show(answers)

    def _show_images(self) -> None:
        with self.session.reporting_errors():
            answers, opened = self.session.answers, self.session.opened
            images = answers.images if answers else []
            kept = [answer for answer in images if self.scene.value in (ALL, answer.hit.scene)]
            if opened:
                self.gallery.show(kept, opened.gallery.options)


class PictureAsked(widgets.HBox):
    """The image of a question, under a focus map if the model has one, and its best captions."""

    def __init__(self, session: Session):
        self.session = session
        self.image = widgets.HTML()
        self.focus = widgets.Dropdown(description="Focus", layout={"width": "220px"})
        self.captions = widgets.HTML(layout={"flex": "1 1 auto"})
        self.focus.observe(lambda _: self._draw(), "value")
        super().__init__([widgets.VBox([self.image, self.focus]), self.captions], layout={"display": "none"})

    def show(self, answers: Answers | None) -> None:
        """Show the image of a question; nothing for a sentence."""
        if answers is None or answers.question.text:
            self.layout.display = "none"
            return
        opened = self.session.opened
        self.picture = opened.picture(answers.question)
        self.maps = opened.focus(self.picture) if opened.has_focus else np.empty((0, 0, 0))
        layers = range(1, 1 + len(self.maps))
        kept = min(self.focus.value or NO_FOCUS, len(self.maps))
        self.focus.options = [("off", NO_FOCUS), *((f"layer {i} of {len(self.maps)}", i) for i in layers)]
        self.focus.value = kept
        self.focus.layout.display = None if layers else "none"
        self.captions.value = _listed(answers.captions)
        self._draw()
        self.layout.display = None

    def _draw(self) -> None:
        layer = self.focus.value
        shown = with_focus(self.picture, self.maps[layer - 1]) if layer else self.picture
        self.image.value = f'<img src="{data_uri(shown, LARGE)}" alt="the image asked with" width="220">'


def _heading(answers: Answers) -> str:
    """The question; its scene and, for a sentence, the rank of its own image, if these are known."""
    own = [answer.rank for answer in answers.images if answer.kind == "own"]
    facts = [f"scene: {answers.scene}"] if answers.scene else []
    if own and answers.question.text:
        facts.append(f"its own image: rank {own[0]:,}")
    return " · ".join([answers.question.title, *facts])


def _listed(captions: Sequence[RankedCaption]) -> str:
    """Captions as a list in HTML."""
    lines = [
        f"<li{' class=petl-own' if caption.own else ''}><span class=petl-score>{caption.score:.2f}</span>"
        f"{escape(caption.text)}{' ✓' if caption.own else ''}</li>"
        for caption in captions
    ]
    return f"<b>Best captions</b><ol class=petl-captions>{''.join(lines)}</ol>" if lines else NO_CAPTIONS
