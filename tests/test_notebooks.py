"""What every notebook keeps to; nbval runs them."""

import ast
import dataclasses
import re

import nbformat
import papermill
import pytest

from petl_core.config import RunConfig
from petl_core.files import ROOT
from petl_core.runs import study

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURE = re.compile(r"!\[(?P<alt>[^]]*)\]\(\.\./figures/(?P<folder>\w+/)?(?P<name>\w+)\.png\)")
ANALYSES = sorted({name for section in study.load_sections().values() for name in section["notebooks"]})


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_to_the_conventions(path):
    opening = nbformat.read(path, 4).cells[0]
    number = int(path.stem.split("_")[0])
    assert opening.cell_type == "markdown" and opening.source.startswith(f"# {number} · "), "open with a numbered title"

    cells = code_cells(path)
    first, second = cells[:2]
    assert first.metadata.get("tags") == ["parameters"]
    for line in first.source.splitlines():
        assert declares_a_parameter(line), f"{line}: one parameter per line, with a type, a literal and a comment"
    assert "check_parameters(globals())" in second.source

    assert any("assert " in cell.source for cell in cells)
    for cell in cells:
        assert cell.source.count("\n") < 50
        assert not any(line.startswith(("def ", "class ")) for line in cell.source.splitlines())
        assert not cell.outputs or "nbval-check-output" in cell.metadata.get("tags", [])


def declares_a_parameter(line: str) -> bool:
    """Whether a line alone says all that papermill's help and the check of parameters need."""
    try:
        statement = ast.parse(line).body[0]
        return isinstance(statement, ast.AnnAssign) and "#" in line and ast.literal_eval(statement.value) is not None
    except (SyntaxError, IndexError, ValueError):
        return False


def test_only_a_whole_line_declares_a_parameter():
    assert declares_a_parameter('run: str = ""  # folder of a run')
    for line in ("", 'run: str = ""', 'run = ""  # folder', "run: str = (", "run: str = default()  # folder"):
        assert not declares_a_parameter(line)


def test_every_notebook_of_the_study_is_there():
    asked = {name for section in study.load_sections().values() for name in section["notebooks"]}
    assert asked <= {path.stem for path in NOTEBOOKS}


@pytest.mark.filterwarnings("ignore")  # of the kernel's own
@pytest.mark.parametrize("parameters", [{"epoch": 3}, {"epochs": "many"}])
def test_a_bad_parameter_stops_a_notebook_before_anything_runs(tmp_path, parameters):
    with pytest.raises(papermill.PapermillExecutionError, match=next(iter(parameters))) as caught:
        papermill.execute_notebook(
            ROOT / "notebooks" / "03_train.ipynb", tmp_path / "out.ipynb", parameters, progress_bar=False
        )
    assert caught.value.exec_count <= 3


def test_the_training_notebook_offers_every_field_at_its_default():
    declared = {}
    for line in code_cells(ROOT / "notebooks" / "03_train.ipynb")[0].source.splitlines():
        statement = ast.parse(line).body[0]
        declared[statement.target.id] = ast.literal_eval(statement.value)
    fields = dataclasses.asdict(RunConfig())
    assert {name: declared.get(name) for name in fields} == fields


def pictures(path):
    """What a notebook shows of the committed results in its text: matches of ``PICTURE``."""
    texts = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    shown = [match for text in texts for match in PICTURE.finditer(text)]
    assert len(shown) == sum(text.count("![") for text in texts), "a picture from elsewhere"
    return shown


def plots_written(path):
    """Names of the plots that a notebook writes."""
    # IPython's own lines, such as %matplotlib, are no Python.
    sources = ["\n".join(line for line in cell.source.splitlines() if line[:1] != "%") for cell in code_cells(path)]
    calls = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {ast.literal_eval(call.args[1]) for call in calls if ast.unparse(call.func) == "outputs.figure"}


@pytest.mark.parametrize("name", ANALYSES)
def test_an_analysis_shows_its_main_plot_near_the_top_and_says_what_it_shows(name):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    written, shown = plots_written(path), pictures(path)
    assert {match["name"] for match in shown} <= written, "a picture that this notebook does not write"
    if written:
        assert PICTURE.search(nbformat.read(path, 4).cells[0].source)
    for match in shown:
        assert (ROOT / "figures" / (match["folder"] or "") / f"{match['name']}.png").exists()
        assert len(match["alt"].split()) >= 6, "the text instead of a picture says what it shows"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_live_cell_ends_with_what_it_shows(path):
    for cell in code_cells(path):
        if "\nlive(" in cell.source:
            assert "live(" in ast.unparse(ast.parse(cell.source).body[-1])
