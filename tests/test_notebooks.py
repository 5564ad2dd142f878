"""What every notebook keeps to; nbval runs them."""

import ast
import re

import nbformat
import papermill
import pytest

from petl_core.config import RunConfig
from petl_core.files import ROOT
from petl_core.runs import study

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURE = re.compile(r"!\[(?P<alt>[^]]*)\]\(\.\./(?P<file>figures/[\w/]+\.png)\)")


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def declares_a_parameter(line: str) -> bool:
    """Whether a line alone says all that papermill's help and the check of parameters need."""
    try:
        statement = ast.parse(line).body[0]
        return isinstance(statement, ast.AnnAssign) and "#" in line and ast.literal_eval(statement.value) is not None
    except (SyntaxError, IndexError, ValueError):
        return False


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_opens_with_its_question_and_its_parameters(path):
    opening = nbformat.read(path, 4).cells[0]
    number = int(path.stem.split("_")[0])
    assert opening.cell_type == "markdown" and opening.source.startswith(f"# {number} · "), "open with a numbered title"
    cells = code_cells(path)
    assert cells[0].metadata.get("tags") == ["parameters"]
    for line in cells[0].source.splitlines():
        assert declares_a_parameter(line), f"{line}: one parameter per line, with a type, a literal and a comment"
    assert "check_parameters(globals())" in cells[1].source
    assert any("assert" in cell.source for cell in cells)
    for cell in cells:
        assert not cell.outputs or "nbval-check-output" in cell.metadata.get("tags", []), "strip the outputs"


def test_only_a_whole_line_declares_a_parameter():
    assert declares_a_parameter('run: str = ""  # folder of a run')
    for line in ("", 'run: str = ""', 'run = ""  # folder', "run: str = (", "run: str = default()  # folder"):
        assert not declares_a_parameter(line)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_pictures_a_notebook_shows_are_there_and_have_a_text(path):
    texts = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]
    shown = [match for text in texts for match in PICTURE.finditer(text)]
    assert len(shown) == sum(text.count("![") for text in texts), "a picture from elsewhere"
    for match in shown:
        assert (ROOT / match["file"]).exists()
        assert len(match["alt"].split()) >= 6, "the text instead of a picture says what it shows"


def test_every_notebook_of_the_study_is_there():
    asked = {name for section in study.load_sections().values() for name in section["notebooks"]}
    assert asked <= {path.stem for path in NOTEBOOKS}


def test_the_training_notebook_offers_every_field_at_its_default():
    declared = {}
    for line in code_cells(ROOT / "notebooks" / "03_train.ipynb")[0].source.splitlines():
        statement = ast.parse(line).body[0]
        declared[statement.target.id] = ast.literal_eval(statement.value)
    assert {name: declared.get(name) for name in RunConfig.model_fields} == dict(RunConfig())


@pytest.mark.filterwarnings("ignore")  # of the kernel's own
@pytest.mark.parametrize("parameters", [{"epoch": 3}, {"epochs": "many"}])
def test_a_bad_parameter_stops_a_notebook_before_anything_runs(tmp_path, parameters):
    with pytest.raises(papermill.PapermillExecutionError, match=next(iter(parameters))) as caught:
        papermill.execute_notebook(
            ROOT / "notebooks" / "03_train.ipynb", tmp_path / "out.ipynb", parameters, progress_bar=False
        )
    assert caught.value.exec_count <= 3
