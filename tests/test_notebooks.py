"""What every notebook keeps to; nbval runs them."""

import ast
import dataclasses

import nbformat
import papermill
import pytest

from petl_core.config import RunConfig
from petl_core.paths import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_to_the_conventions(path):
    cells = code_cells(path)
    first, second = cells[:2]
    assert first.metadata.get("tags") == ["parameters"]
    for line in first.source.splitlines():
        statement = ast.parse(line).body[0]
        assert isinstance(statement, ast.AnnAssign) and "#" in line, f"{line}: annotate and explain it"
        ast.literal_eval(statement.value)
    assert "check_parameters(globals())" in second.source
    assert any("assert " in cell.source for cell in cells)
    for cell in cells:
        assert cell.source.count("\n") < 40
        assert not any(line.startswith(("def ", "class ")) for line in cell.source.splitlines())
        assert not cell.outputs or "nbval-check-output" in cell.metadata.get("tags", [])


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
