"""The view that opens a model: a table of runs, and a text field for any other."""

from html import escape

import ipywidgets as widgets

from petl_core.explore.choices import COLUMNS, open_clip_choice
from petl_core.explore.session import Session, message_line
from petl_core.explore.table import Table

NUMERIC = [COLUMNS.index(name) for name in ("Learning rate", "Seed", "mR")]


class ModelChooser(widgets.VBox):
    """Choose a finished run or zero-shot CLIP in the table, or name a model of open_clip.

    Args:
        session: which opens the model.
    """

    def __init__(self, session: Session):
        self.session = session
        self.table = Table(columns=list(COLUMNS), rows=self._rows(), numeric=NUMERIC)
        self.table.observe(lambda change: self._open(change["new"]), "selected")
        self.name = widgets.Combobox(
            placeholder="or any open_clip model: its name, then its weights",
            options=_pretrained(),
            continuous_update=False,
            layout={"flex": "1 1 auto"},
        )
        self.add = widgets.Button(description="Add to the table", icon="plus", tooltip="load it, zero-shot")
        self.add.on_click(lambda _: self._add())
        self.status = widgets.HTML()
        self.status.add_class("petl-note")
        line = widgets.HBox([self.name, self.add])
        super().__init__([self.table, line, session.bars, message_line(session), self.status])
        self.table.selected = 0  # opens it

    def _rows(self) -> list[list[str]]:
        return [list(choice.row) for choice in self.session.choices]

    def _open(self, row: int) -> None:
        if row >= 0:
            choice = self.session.choices[row]
            self.status.value = f"Opening {escape(choice.title)} …"
            self.session.open(choice)
            self._show_status()

    def _add(self) -> None:
        """Add another model to the table, and open it."""
        with self.session.reporting_errors():
            known = self.session.choices
            dataset = (self.session.opened.choice if self.session.opened else known[0]).dataset
            choice = open_clip_choice(self.name.value, dataset)
            if choice not in known:
                self.session.choices = [*known, choice]
                self.table.rows = self._rows()
            self.table.selected = self.session.choices.index(choice)

    def _show_status(self) -> None:
        """Say what the open model searches; nothing if there is none."""
        opened = self.session.opened
        self.status.value = ""
        if opened is None:
            return
        gallery = opened.gallery
        images = f"{len(gallery.embeddings):,} distinct images and tiles of {self.session.settings.folder}"
        if not self.session.settings.folder:
            images = f"{len(gallery.embeddings):,} distinct test images of {opened.choice.row[1]}"
        captions = f" and {len(opened.captions.texts):,} captions" if opened.captions.texts else ""
        left_out = f"; {len(gallery.unreadable)} files cannot be read" if gallery.unreadable else ""
        self.status.value = f"<b>{escape(opened.choice.title)}</b> searches {images}{captions}{left_out}."


def _pretrained() -> list[str]:
    """What open_clip can load by name."""
    import open_clip  # takes seconds

    return [f"{name} {tag}" for name, tag in open_clip.list_pretrained()]
