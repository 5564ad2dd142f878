"""What all views share: the open model, the question, its answers; and errors as one sentence."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

import ipywidgets as widgets
import traitlets

from petl_core.data import DataError
from petl_core.errors import ConfigError
from petl_core.explore.choices import ModelChoice
from petl_core.explore.opened import ExploreSettings, Opened, Question, open_choice


class Session(traitlets.HasTraits):
    """A model and the last question to it; views observe its traits.

    Args:
        settings: what is searched, and where things are.
        choices: models to choose from.
        cache: of opened models, to be shared by sessions; each model is opened once.
    """

    choices: traitlets.List = traitlets.List(help="of ModelChoice")
    opened = traitlets.Any(allow_none=True, help="an Opened, or None before the first")
    answers = traitlets.Any(allow_none=True, help="Answers of the opened model, or None before the first question")
    message = traitlets.Unicode(help="what went wrong last, in one sentence; empty if nothing did")

    def __init__(self, settings: ExploreSettings, choices: Sequence[ModelChoice] = (), cache: dict | None = None):
        super().__init__(choices=list(choices))
        self.settings = settings
        self.cache: dict[Path | ModelChoice, Opened] = {} if cache is None else cache
        self.bars = widgets.Output()  # for progress bars while a model is opened

    def open(self, choice: ModelChoice) -> None:
        """Open a model, and ask it the last question again."""
        key: Path | ModelChoice = choice.run.folder if choice.run else choice
        if key not in self.cache:
            with self.bars, self.reporting_errors():  # in this order: an Output keeps errors to itself
                self.cache[key] = open_choice(choice, self.settings)
            self.bars.clear_output()
            if key not in self.cache:
                return
        with self.reporting_errors():
            question = self.answers.question if self.answers else None
            with self.hold_trait_notifications():  # no view sees one model with the answers of another
                self.opened = self.cache[key]
                self.answers = self.opened.ask(question) if question else None

    def ask(self, question: Question) -> None:
        """Ask the opened model."""
        with self.reporting_errors():
            if self.opened is None:
                raise ConfigError("no model is open; choose one in the table")
            self.answers = self.opened.ask(question)

    @contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Any error within becomes the message: widgets show no traceback."""
        self.message = ""
        try:
            yield
        except (ConfigError, DataError) as error:
            self.message = str(error)
        except Exception as error:  # of open_clip, the hub, a disk, a GPU
            self.message = f"{type(error).__name__}: {error}".splitlines()[0]


def message_line(session: Session) -> widgets.HTML:
    """A line that shows the message of a session if there is one."""
    line = widgets.HTML()
    line.add_class("petl-message")

    def show(_: object = None) -> None:
        line.value = escape(session.message)
        line.layout.display = None if session.message else "none"

    session.observe(show, "message")
    show()
    return line
