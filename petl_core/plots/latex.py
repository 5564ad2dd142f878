"""Tables as LaTeX (booktabs) that fit an IEEE page: in one column or, where they are too wide, in both (``table*``)."""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import pandas as pd
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from petl_core.plots.style import ONE_COLUMN, POINTS_PER_INCH, TWO_COLUMNS

SYMBOLS = {
    "→": r"$\rightarrow$",
    "−": "$-$",
    "±": r"$\pm$",
    "<": "$<$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "∥": r"$\parallel$",
    "§": r"\S{}",
    "¶": r"\P{}",
}
INTERVAL = re.compile(r"(\S+) (\[.+\])")
NUMBER = re.compile(r"[−+<]?\d")
COLUMN_PADDING = 3  # points on either side of a column: \tabcolsep
# A cell of several lines, the first of them on the line of the row.
CELL_LINES_COMMAND = r"\providecommand{\celllines}[2][l]{\begin{tabular}[t]{@{}#1@{}}#2\end{tabular}}"


@dataclass(frozen=True)
class Layout:
    """How a table is set: where, in which font size, and whether cells below the header may have several lines."""

    environment: str
    size: str
    points: float
    inches: float
    chars_per_line: int = 0  # of text; 0 leaves every cell on one line

    def lines(self, text: str) -> list[str]:
        """The lines of a cell, with an interval below its value."""
        if not self.chars_per_line:
            return [text]
        if found := INTERVAL.fullmatch(text):
            return list(found.groups())
        return _wrap(text, self.chars_per_line)

    def header(self, title: str, column: Iterable[str]) -> list[str]:
        """The lines of a column's title, about as wide as the cells below it."""
        widths = [len(line) for cell in column for line in self.lines(cell)]
        return _wrap(title, max(widths, default=len(title)))


LAYOUTS = (  # the first that is wide enough is taken
    Layout("table", r"\footnotesize", 8, ONE_COLUMN),
    Layout("table*", r"\footnotesize", 8, TWO_COLUMNS),
    Layout("table*", r"\scriptsize", 7, TWO_COLUMNS, chars_per_line=20),
    Layout("table*", r"\scriptsize", 7, TWO_COLUMNS, chars_per_line=13),
    Layout("table*", r"\tiny", 5, TWO_COLUMNS, chars_per_line=13),
)


def latex_table(cells: pd.DataFrame, caption: str, name: str, bold: pd.DataFrame) -> str:
    r"""A floating table with its caption, labelled ``tab:name``; it needs the package booktabs.

    Args:
        cells: strings; of "value [low, high]", the interval may be set below the value.
        caption: plain text.
        name: of the label.
        bold: booleans of the same shape: which values are bold.
    """
    # The first layout that fits; columns of numbers are aligned on the right, or centred above their intervals.
    layout = next((layout for layout in LAYOUTS if width(cells, layout) <= layout.inches), LAYOUTS[-1])
    number_alignment = "c" if layout.chars_per_line else "r"
    alignments = [number_alignment if _is_numeric(cells[title]) else "l" for title in cells]

    # Cells as LaTeX.
    header = []
    for title, alignment in zip(cells, alignments, strict=True):
        header.append(_cell(layout.header(title, cells[title]), alignment, bold=False))
    rows = []
    for texts, marks in zip(cells.to_numpy(), bold.to_numpy(), strict=True):
        row = []
        for text, alignment, is_bold in zip(texts, alignments, marks, strict=True):
            row.append(_cell(layout.lines(text), alignment, is_bold))
        rows.append(row)

    # The table around them.
    lines = [
        CELL_LINES_COMMAND,
        rf"\begin{{{layout.environment}}}[t]",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{name}}}",
        rf"{layout.size}\setlength{{\tabcolsep}}{{{COLUMN_PADDING}pt}}",
        rf"\begin{{tabular}}{{@{{}}{''.join(alignments)}@{{}}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\end{{{layout.environment}}}",
    ]
    return "\n".join(lines) + "\n"


def width(cells: pd.DataFrame, layout: Layout) -> float:
    """Inches that a table takes in a layout, in Times."""
    points = 2 * COLUMN_PADDING * (len(cells.columns) - 1.0)
    for title in cells:
        lines = layout.header(title, cells[title])
        for cell in cells[title]:
            lines += layout.lines(cell)
        points += max(_points(line, layout.points) for line in lines)
    return points / POINTS_PER_INCH


def escape(text: str) -> str:
    r"""Plain text as LaTeX reads it.

    >>> escape("R@1 of 95% → {a_b}")
    'R@1 of 95\\% $\\rightarrow$ \\{a\\_b\\}'
    """
    text = text.replace("\\", "\0")  # its command has braces, which the next line would escape
    text = re.sub(r"[%&_#${}]", r"\\\g<0>", text)
    text = text.replace("\0", r"\textbackslash{}")
    text = text.replace("~", r"\textasciitilde{}")
    text = text.replace("^", r"\textasciicircum{}")
    for symbol, command in SYMBOLS.items():
        text = text.replace(symbol, command)
    return text


def _is_numeric(column: Iterable[str]) -> bool:
    """Whether all cells of a column are numbers or dashes."""
    return all(NUMBER.match(cell) or not cell.strip("–") for cell in column)


def _cell(lines: list[str], alignment: str, bold: bool) -> str:
    """A cell of one or several lines; if it is bold, its interval is not."""
    value, *rest = [_protect(escape(line)) for line in lines]
    if bold:
        value, bracket, interval = value.partition(" [")
        value = rf"\textbf{{{value}}}{bracket}{interval}"
    if not rest:
        return value
    option = "" if alignment == "l" else f"[{alignment}]"
    together = r" \\ ".join([value, *rest])
    return rf"\celllines{option}{{{together}}}"


def _protect(line: str) -> str:
    r"""Put an empty group before a leading bracket or star, which LaTeX would take for an option of ``\\``."""
    return "{}" + line if line.startswith(("[", "*")) else line


def _wrap(text: str, chars_per_line: int) -> list[str]:
    """Lines of a text, broken only at spaces."""
    return textwrap.wrap(text, chars_per_line, break_long_words=False, break_on_hyphens=False) or [""]


@cache
def _points(text: str, size: float) -> float:
    """Width of a line of text."""
    font = FontProperties(family="STIXGeneral", size=size, weight="bold")  # bold text is the widest
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0]
