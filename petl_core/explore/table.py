"""A table in which one row is selected."""

from pathlib import Path

import anywidget
import traitlets

HERE = Path(__file__).parent


class Table(anywidget.AnyWidget):
    """Rows under a filter; a click on a heading sorts, a click on a row sets ``selected``."""

    _esm = HERE / "table.js"
    _css = HERE / "explore.css"
    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows: traitlets.List = traitlets.List(help="lists of texts, one per column").tag(sync=True)
    numeric = traitlets.List(traitlets.Int(), help="columns of numbers").tag(sync=True)
    selected = traitlets.Int(-1, help="a row, in the order of rows; -1: none").tag(sync=True)
