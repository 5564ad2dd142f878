"""A live cell draws what is chosen where someone can choose, and is nothing elsewhere."""

import nbformat
import papermill
import pytest
from jupyter_server.services.sessions.sessionmanager import SessionManager

from petl_core.explore.live import SESSION, live

CELL = """
from petl_core.explore.live import live
drawn = []
live(lambda metric: drawn.append(metric), metric=["mR", "R@1"])
"""


def test_a_choice_is_drawn_and_its_first_value_before_it(monkeypatch):
    monkeypatch.setenv(SESSION, "notebooks/04_benchmark.ipynb")
    drawn = []
    controls = live(
        lambda metric, near_by=50: drawn.append((metric, near_by)),
        metric={"mR": "mr", "R@1": "i2t_r1"},
        near_by=(5, 100, 5),
    )
    menu, slider, _ = controls.children
    assert drawn == [("mr", 50)]
    menu.value, slider.value = "i2t_r1", 10
    assert drawn[1:] == [("i2t_r1", 50), ("i2t_r1", 10)]
    assert dict(menu.options) == {"mR": "mr", "R@1": "i2t_r1"}
    assert (menu.description, slider.description) == ("metric", "near by")
    assert not slider.continuous_update, "every step on the way would be drawn"


def test_a_choice_that_draw_does_not_know_is_refused(monkeypatch):
    monkeypatch.setenv(SESSION, "x")
    with pytest.raises(ValueError, match="metric"):
        live(lambda metric: metric, k=[1, 5])


def test_where_nobody_can_choose_nothing_is_drawn(monkeypatch):
    monkeypatch.delenv(SESSION, raising=False)
    assert live(lambda metric: pytest.fail("drawn"), metric=["mR"]) is None


def test_jupyter_server_tells_a_kernel_that_somebody_is_there():
    assert SessionManager.get_kernel_env(None, "04_benchmark.ipynb")[SESSION] == "04_benchmark.ipynb"


@pytest.mark.filterwarnings("ignore")  # of the kernel's own
def test_papermill_shows_nothing_of_a_live_cell(monkeypatch, tmp_path):
    monkeypatch.delenv(SESSION, raising=False)
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, (CELL, "drawn"))))
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False)
    first, second = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert first.outputs == [] and second.outputs[0]["data"]["text/plain"] == "[]"
