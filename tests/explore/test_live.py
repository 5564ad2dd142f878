"""A live cell draws what is chosen where someone can choose, and is nothing elsewhere."""

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import papermill
import pytest
from jupyter_server.services.sessions.sessionmanager import SessionManager
from PIL import Image

from petl_core.explore.live import SESSION, SHARPNESS, live

mpl.use("agg")
CELL = """
from petl_core.explore.live import live
drawn = []
live(lambda metric: drawn.append(metric), metric=["mR", "R@1"])
"""


@pytest.fixture
def session(monkeypatch):
    monkeypatch.setenv(SESSION, "notebooks/04_benchmark.ipynb")


def test_a_choice_is_drawn_and_its_first_value_before_it(session):
    drawn = []

    def draw(metric, near_by=50):
        drawn.append((metric, near_by))
        return plt.figure(figsize=(2, len(drawn)), dpi=100)

    controls, picture = live(draw, metric={"mR": "mr", "R@1": "i2t_r1"}, near_by=(5, 100, 5)).children
    menu, slider = controls.children
    assert (menu.description, slider.description) == ("metric", "near by")
    assert dict(menu.options) == {"mR": "mr", "R@1": "i2t_r1"}
    assert not slider.continuous_update, "every step on the way would be drawn"

    sizes = []
    for choose in (lambda: None, lambda: setattr(menu, "value", "i2t_r1"), lambda: setattr(slider, "value", 10)):
        choose()
        sizes.append(Image.open(io.BytesIO(picture.value)).size)
    assert drawn == [("mr", 50), ("i2t_r1", 50), ("i2t_r1", 10)]
    assert sizes == [(SHARPNESS * 200, SHARPNESS * 100 * height) for height in (1, 2, 3)]
    assert picture.layout.width == "200px"
    assert not plt.get_fignums(), "the cell would show the plot once more"


@pytest.mark.parametrize("choices", [{"k": [1, 5]}, {}])
def test_choices_are_those_of_the_plot(session, choices):
    with pytest.raises(TypeError, match="argument"):
        live(lambda metric: plt.figure(), **choices)


def test_where_nobody_can_choose_nothing_is_drawn(monkeypatch):
    monkeypatch.delenv(SESSION, raising=False)
    assert live(lambda metric: pytest.fail("drawn"), metric=["mR"]) is None


def test_jupyter_server_lets_a_kernel_know_that_somebody_is_there():
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
