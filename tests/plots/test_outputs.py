"""Files of a notebook can be traced to its runs, and are shown on one page."""

import hashlib

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from petl_core.runs.folder import Run
from PIL import Image

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.plots import report
from petl_core.plots.outputs import Outputs, read_manifest
from petl_core.plots.style import ONE_COLUMN, use_style

mpl.use("agg")
RUN = Run(None, RunConfig(seed=7), {})


@pytest.fixture
def plot():
    use_style()
    figure, axes = plt.subplots(figsize=(ONE_COLUMN, 2))
    axes.plot(np.arange(3), label="mR (%)")
    axes.legend()
    yield figure
    plt.close(figure)


@pytest.fixture
def folder(tmp_path, plot):
    """A figure and a table of the same name."""
    outputs = Outputs(tmp_path / "out", "04_benchmark", {"runs": ["a"]}, [RUN])
    outputs.figure(plot, "benchmark", "A figure.")
    outputs.table(
        pd.DataFrame({"Method": ["MRS → x"], "mR": ["−1 %"], "±1": ["<0.001"]}), "benchmark", "Recalls (%) & intervals."
    )
    return tmp_path / "out"


def test_every_format_is_written(folder):
    assert {path.name for path in folder.glob("[!.]*")} == {
        *(f"benchmark{suffix}" for suffix in (".pdf", ".png", ".csv", ".md", ".tex")),
        "manifest.json",
    }
    latex = (folder / "benchmark.tex").read_text()
    assert all(command in latex for command in (r"\toprule", r"\&", r"\%", r"$\rightarrow$", r"$\pm$1", "$<$0.001"))
    assert (folder / "benchmark.md").read_text().startswith("Recalls (%) & intervals.\n\n|")


def test_bold_values_are_bold_wherever_the_table_is_shown(tmp_path):
    table = pd.DataFrame({"Method": ["a", "b"], "mR": ["1.00 [0.50, 1.50]", "2.00 [1.50, 2.50]"]})
    shown = Outputs(tmp_path, "04_benchmark", {}).table(table, "t", "T.", pd.DataFrame({"mR": [False, True]}))
    assert shown.to_html().count("font-weight: bold") == 1
    assert "| b        | **2.00** [1.50, 2.50] |" in (tmp_path / "t.md").read_text()
    assert r"1.00 [0.50, 1.50] \\" in (tmp_path / "t.tex").read_text()
    assert r"b & \textbf{2.00} [1.50, 2.50] \\" in (tmp_path / "t.tex").read_text()
    assert "*" not in (tmp_path / "t.csv").read_text()


def test_the_report_shows_what_is_bold(tmp_path):
    table = pd.DataFrame({"Method": ["a <b", "c"], "mR": ["1.00 [0.50, 1.50]", ""]})
    Outputs(tmp_path, "04_benchmark", {}).table(table, "t", "T.", pd.DataFrame({"mR": [True, False]}))
    page = report.section_html(tmp_path, "04_benchmark", report.outputs_by_notebook(tmp_path)["04_benchmark"])
    assert "<td>a &lt;b</td>" in page and "<td><b>1.00</b> [0.50, 1.50]</td>" in page and "<td></td>" in page


def test_an_answer_is_the_first_paragraph_on_the_page(folder):
    outputs = Outputs(folder, "04_benchmark", {}, [RUN])
    assert outputs.answer("It holds by 2.0 points.", "benchmark_answer").data == "It holds by 2.0 points."
    assert (folder / "benchmark_answer.md").read_text() == "It holds by 2.0 points.\n"
    page = report.page_markdown(folder)
    assert page.index("It holds by 2.0 points.") < page.index("![A figure.](benchmark.png)\n\nA figure.")
    runs = f"<details><summary>1 run</summary><sub>{RUN.config.hash}</sub></details>"
    assert "| MRS → x" in page and page.count("; 1 run; revision") == 2
    assert page.count(runs) == page.count(RUN.config.hash) == 1, "folded away, once"
    html = report.section_html(folder, "04_benchmark", report.outputs_by_notebook(folder)["04_benchmark"])
    assert html.index("<p>It holds") < html.index("<figure")


def test_figures_have_the_width_of_a_column_and_embedded_fonts(folder):
    with Image.open(folder / "benchmark.png") as picture:
        assert picture.width == round(300 * ONE_COLUMN)
    assert b"/Type3" not in (folder / "benchmark.pdf").read_bytes()
    assert b"/FontFile2" in (folder / "benchmark.pdf").read_bytes()


def test_the_manifest_names_notebook_runs_revision_and_files(folder):
    manifest = read_manifest(folder)
    assert list(manifest["outputs"]) == ["benchmark.png", "benchmark.csv"]
    for entry in manifest["outputs"].values():
        assert entry["notebook"] == "04_benchmark" and entry["runs"] == [RUN.config.hash] and entry["revision"]
        for file, digest in entry["files"].items():
            assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    assert RunConfig(**manifest["configs"][RUN.config.hash]) == RUN.config


def test_writing_again_replaces_an_output_and_removes_those_that_are_gone(folder, plot):
    (folder / "benchmark.tex").unlink()
    Outputs(folder, "05_efficiency", {}).figure(plot, "benchmark", "Another.")
    manifest = read_manifest(folder)
    assert list(manifest["outputs"]) == ["benchmark.png"] and manifest["configs"] == {}
    assert manifest["outputs"]["benchmark.png"]["notebook"] == "05_efficiency"


def test_the_same_figure_is_the_same_file(folder, plot, tmp_path):
    Outputs(tmp_path / "again", "04_benchmark", {}).figure(plot, "benchmark", "A figure.")
    for suffix in (".png", ".pdf"):
        assert (tmp_path / "again" / f"benchmark{suffix}").read_bytes() == (folder / f"benchmark{suffix}").read_bytes()


def test_an_empty_folder_writes_nothing(plot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = Outputs("", "04_benchmark", {})
    outputs.figure(plot, "nothing", "Nothing.")
    shown = outputs.table(pd.DataFrame({"a": [1]}), "nothing", "Nothing.")
    assert "Nothing." in shown.to_html()
    assert not list(tmp_path.iterdir())


def test_the_report_shows_every_output_and_lists_changed_files(folder):
    notebooks = report.outputs_by_notebook(folder)
    page = report.section_html(folder, "04_benchmark", notebooks["04_benchmark"], executed=folder / "done")
    assert "data:image/png;base64," in page and "<td>MRS → x</td>" in page and "&amp; intervals" in page
    assert 'href="benchmark.pdf"' in page and 'href="done/04_benchmark.ipynb"' in page
    assert "4 · Methods side by side" in page and "4 · Methods side by side" in report.contents_html(notebooks)
    assert report.sources_table(folder)["File"].tolist() == ["benchmark.png", "benchmark.csv"]
    assert report.changed_files(folder) == []
    (folder / "benchmark.csv").write_text("Method,mR\nours,100\n")
    (folder / "benchmark.pdf").unlink()
    assert sorted(report.changed_files(folder)) == ["benchmark.csv", "benchmark.pdf"]


def test_a_folder_without_a_manifest_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no manifest\.json: run `make study`"):
        report.outputs_by_notebook(tmp_path)
    (tmp_path / "manifest.json").write_text('{"outputs": ')
    with pytest.raises(ValueError, match=r"manifest\.json, line 1: not valid JSON"):
        report.outputs_by_notebook(tmp_path)
