"""Settings compared on validation: one panel per method, with one legend for all."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from fake_runs import fake_run

from petl_core.evaluation.tuning import compared_settings
from petl_core.plots.style import use_style
from petl_core.plots.tuning import plot_tuning

mpl.use("agg")
LEARNED = {"temperature": 0.07, "learn_temperature": True}


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        use_style()
        yield
    plt.close("all")


def test_every_setting_is_a_line_that_looks_the_same_in_all_panels(tmp_path):
    settings = [{"temperature": 0.01}, {"temperature": 0.07}, LEARNED]
    tried = [("mrs", 1e-3, settings), ("mrs", 3e-3, settings), ("focus", 1e-3, settings[1:])]
    runs = [
        fake_run(tmp_path, 0.5, method=method, learning_rate=rate, **fields)
        for method, rate, several in tried
        for fields in several
    ]
    figure = plot_tuning(compared_settings(runs))
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "temperature 0.01", "temperature 0.07", "learned temperature",
    ]  # fmt: skip
    looks = [
        {line.get_label(): (line.get_marker(), line.get_color()) for line in axes.lines if line.get_label()[0] != "_"}
        for axes in figure.axes
    ]
    assert looks[1] == {label: looks[0][label] for label in ("temperature 0.07", "learned temperature")}
    legend, highest = figure.legends[0].get_window_extent(), max(axes.bbox.y1 for axes in figure.axes)
    assert legend.y0 > highest


def test_rates_are_few_ticks_under_every_panel(tmp_path):
    runs = [fake_run(tmp_path, 0.5, learning_rate=rate) for rate in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)]
    runs += [fake_run(tmp_path, 0.5, method="focus", learning_rate=rate) for rate in (1e-3, 1e-2)]
    figure = plot_tuning(compared_settings(runs))
    assert not figure.legends
    for axes in figure.axes:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["0.001", "0.01"]
        assert axes.xaxis.get_tick_params()["labelbottom"]


def test_few_rates_are_all_ticks(tmp_path):
    runs = [fake_run(tmp_path, 0.5, learning_rate=rate) for rate in (3e-3, 1e-2)]
    (axes,) = plot_tuning(compared_settings(runs)).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.003", "0.01"]
