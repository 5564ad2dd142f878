"""Tables as LaTeX (booktabs) that fits an IEEE page: one column where a table is narrow, else both (``table*``)."""

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
GAP = 3  # points on either side of a column: \tabcolsep
# Several lines in a cell, the first of them on the line of the row.
CELL = r"\providecommand{\celllines}[2][l]{\begin{tabular}[t]{@{}#1@{}}#2\end{tabular}}"


@dataclass(frozen=True)
class Layout:
    """How a table is set: where, in which size, and whether cells below the header take several lines."""

    environment: str
    size: str
    points: float
    inches: float
    letters: int = 0  # of a line of text; 0 leaves every cell on one line

    def lines(self, text: str) -> list[str]:
        """The lines of a cell, an interval below its value."""
        if not self.letters:
            return [text]
        if found := INTERVAL.fullmatch(text):
            return list(found.groups())
        return _wrap(text, self.letters)

    def header(self, title: str, column: Iterable[str]) -> list[str]:
        """The lines of a column's title, about as wide as what stands below."""
        return _wrap(title, max((len(line) for cell in column for line in self.lines(cell)), default=len(title)))


LAYOUTS = (  # the first that is wide enough is taken
    Layout("table", r"\footnotesize", 8, ONE_COLUMN),
    Layout("table*", r"\footnotesize", 8, TWO_COLUMNS),
    Layout("table*", r"\scriptsize", 7, TWO_COLUMNS, letters=20),
    Layout("table*", r"\scriptsize", 7, TWO_COLUMNS, letters=13),
    Layout("table*", r"\tiny", 5, TWO_COLUMNS, letters=13),
)


def latex_table(cells: pd.DataFrame, caption: str, name: str, bold: pd.DataFrame) -> str:
    r"""A floating table with its caption, labelled ``tab:name``; it needs the package booktabs.

    Args:
        cells: strings; of "value [low, high]" the interval may stand below the value.
        caption: plain text.
        name: of the label.
        bold: booleans of the same shape: whose values are bold.
    """
    layout = next((layout for layout in LAYOUTS if width(cells, layout) <= layout.inches), LAYOUTS[-1])
    is_number = [all(NUMBER.match(cell) or not cell.strip("–") for cell in cells[column]) for column in cells]
    number_side = "c" if layout.letters else "r"  # centred above its interval
    sides = [number_side if number else "l" for number in is_number]
    header = [_cell(layout.header(title, cells[title]), side, False) for title, side in zip(cells, sides, strict=True)]
    rows = [
        [_cell(layout.lines(cell), side, is_bold) for cell, side, is_bold in zip(*row, strict=True)]
        for row in zip(cells.to_numpy(), [sides] * len(cells), bold.to_numpy(), strict=True)
    ]
    lines = [
        CELL,
        rf"\begin{{{layout.environment}}}[t]",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{name}}}",
        rf"{layout.size}\setlength{{\tabcolsep}}{{{GAP}pt}}",
        rf"\begin{{tabular}}{{@{{}}{''.join(sides)}@{{}}}}",
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
    points = 2 * GAP * (len(cells.columns) - 1.0)
    for title in cells:
        lines = [*layout.header(title, cells[title]), *(line for cell in cells[title] for line in layout.lines(cell))]
        points += max(_points(line, layout.points) for line in lines)
    return points / POINTS_PER_INCH


def escape(text: str) -> str:
    r"""Plain text as LaTeX reads it.

    >>> escape("R@1 of 95% → {a_b}")
    'R@1 of 95\\% $\\rightarrow$ \\{a\\_b\\}'
    """
    text = text.replace("\\", "\0")
    text = "".join(f"\\{character}" if character in "%&_#${}" else character for character in text)
    text = (
        text.replace("\0", r"\textbackslash{}").replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}")
    )
    for symbol, command in SYMBOLS.items():
        text = text.replace(symbol, command)
    return text


def _cell(lines: list[str], side: str, bold: bool) -> str:
    """A cell; where it is bold, all but its interval."""
    # What follows a line's end must not begin with a bracket or a star, which LaTeX would take for an option of it.
    value, *rest = ["{}" * line.startswith(("[", "*")) + escape(line) for line in lines]
    if bold:
        value, bracket, interval = value.partition(" [")
        value = rf"\textbf{{{value}}}{bracket}{interval}"
    if not rest:
        return value
    at_side = "" if side == "l" else f"[{side}]"
    together = r" \\ ".join([value, *rest])
    return rf"\celllines{at_side}{{{together}}}"


def _wrap(text: str, letters: int) -> list[str]:
    return textwrap.wrap(text, letters, break_long_words=False, break_on_hyphens=False) or [""]


@cache
def _points(text: str, size: float) -> float:
    """Width of a line of text."""
    font = FontProperties(family="STIXGeneral", size=size, weight="bold")  # no text is wider
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0]
