"""Tables in LaTeX fit the page, and their best values are bold."""

import re

import pandas as pd
import pytest

from petl_core.files import ROOT
from petl_core.plots.latex import LAYOUTS, Layout, latex_table, width
from petl_core.plots.style import ONE_COLUMN, TWO_COLUMNS

RECALLS = ["I→T R@1", "I→T R@5", "I→T R@10", "T→I R@1", "T→I R@5", "T→I R@10", "mR"]
NAMES = ["Zero-shot CLIP", "MRS-Adapter + HMMC (InfoNCE)", "Cross-Modal Adapter + HMMC (InfoNCE)"]
COMMITTED = sorted((ROOT / "figures").rglob("*.csv"))


def compact():
    cells = {"Method": NAMES[:2], "Trained parameters": ["0", "7,788,544"], "mR": ["16.50 [13.74, 19.33]"] * 2}
    return pd.DataFrame(cells)


def recalls():
    columns = {"Method": NAMES, "Trained parameters": ["7,788,544"] * 3, "Seeds": ["5"] * 3}
    return pd.DataFrame(columns | {metric: ["52.11 [46.61, 57.78]"] * 3 for metric in RECALLS})


def no(cells):
    return pd.DataFrame(False, index=cells.index, columns=cells.columns)


def environment(latex):
    found = re.search(r"\\begin\{(table\*?)\}", latex).group(1)
    for name in (found, "tabular"):
        assert latex.count(rf"\begin{{{name}}}") == latex.count(rf"\end{{{name}}}") > 0
    return found


def test_a_compact_table_of_mr_fits_one_column():
    cells = compact()
    assert width(cells, LAYOUTS[0]) <= ONE_COLUMN
    latex = latex_table(cells, "mR (%) & more.", "benchmark_mr", no(cells))
    assert environment(latex) == "table"
    assert r"\begin{tabular}{@{}lrr@{}}" in latex and r"\caption{mR (\%) \& more.}" in latex
    assert r"Method & \celllines[r]{Trained \\ parameters} & mR \\" in latex
    assert r"Zero-shot CLIP & 0 & 16.50 [13.74, 19.33] \\" in latex


def test_a_table_of_all_recalls_takes_both_columns_with_intervals_below_their_values():
    cells = recalls()
    latex = latex_table(cells, "Recalls.", "benchmark", no(cells))
    assert environment(latex) == "table*"
    assert latex.count(r"\celllines[c]{52.11 \\ {}[46.61, 57.78]}") == 3 * 7
    assert r"\celllines{Cross-Modal Adapter \\ + HMMC (InfoNCE)}" in latex
    rows = [line for line in latex.splitlines() if " & " in line]
    assert len(rows) == 4 and all(len(row.split(" & ")) == 10 for row in rows)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.relative_to(ROOT / "figures").as_posix())
def test_every_table_of_the_study_fits(path):
    cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert any(width(cells, layout) <= layout.inches for layout in LAYOUTS)
    latex = latex_table(cells, "", path.stem, no(cells))
    assert environment(latex) in ("table", "table*")
    assert not re.search(r"\\\\\s*[\[*]", latex), "LaTeX would read an option of the line break"


def test_bold_is_the_value_and_not_its_interval():
    cells = compact()
    bold = no(cells)
    bold.loc[1, "mR"] = True
    assert r"7,788,544 & \textbf{16.50} [13.74, 19.33] \\" in latex_table(cells, "", "t", bold)
    cells = recalls()
    bold = no(cells)
    bold.loc[0, "mR"] = True
    latex = latex_table(cells, "", "t", bold)
    assert latex.count(r"\celllines[c]{\textbf{52.11} \\ {}[46.61, 57.78]}") == latex.count(r"\textbf") == 1


def test_special_characters_are_escaped():
    cells = pd.DataFrame({"a_b": [r"{caption} \ ~ ^ #1 $"], "±": ["<0.001"], "p": ["−1 §"]})
    latex = latex_table(cells, "50% & more", "t", no(cells))
    assert r"a\_b & $\pm$ & p" in latex and r"$<$0.001 & $-$1 \S{} \\" in latex
    assert r"\{caption\} \textbackslash{} \textasciitilde{} \textasciicircum{} \#1 \$" in latex


def test_a_table_that_fits_nowhere_is_set_in_the_last_layout():
    cells = pd.DataFrame({f"column{i}": ["unbreakable" * 3] for i in range(20)})
    assert width(cells, LAYOUTS[-1]) > TWO_COLUMNS
    assert r"\tiny" in latex_table(cells, "", "t", no(cells))


def test_text_is_wrapped_only_between_words():
    layout = Layout("table*", "", 7, TWO_COLUMNS, chars_per_line=8)
    assert layout.lines("CLIP(ViT-B-32) and more") == ["CLIP(ViT-B-32)", "and more"] and layout.lines("") == [""]
