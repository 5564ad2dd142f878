"""Every method is shown, with its interval, at its own parameters."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_runs import fake_comparison

from petl_core.evaluation.comparison import summary
from petl_core.evaluation.grouping import first_runs, group_runs
from petl_core.evaluation.names import method_and_loss, short_names
from petl_core.plots.history import plot_history
from petl_core.plots.outputs import Outputs
from petl_core.plots.recalls import plot_against_parameters, plot_recalls
from petl_core.plots.style import use_style

mpl.use("agg")


@pytest.fixture
def runs(tmp_path):
    return fake_comparison(tmp_path)


@pytest.fixture
def groups(runs):
    return group_runs(runs, method_and_loss)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_plots_show_every_method_with_its_interval(runs, groups, tmp_path):
    use_style()
    frame, names = summary(groups), short_names(first_runs(groups))
    outputs = Outputs(tmp_path / "out", "04_benchmark", {}, runs)
    recalls = plot_recalls(frame, names)
    for name, figure in (
        ("recalls", recalls),
        ("parameters", plot_against_parameters(frame, names)),
        ("history", plot_history(runs[-1])),
    ):
        outputs.figure(figure, name, f"{name}.")
        assert b"/Type3" not in (tmp_path / "out" / f"{name}.pdf").read_bytes()
    shown = [label.get_text() for label in recalls.axes[0].get_yticklabels()]
    assert shown == ["Zero-shot CLIP", "Full fine-tuning", "MRS-Adapter"]


def test_a_method_without_parameters_has_its_place(groups):
    plot_against_parameters(summary(groups[:1]), short_names(first_runs(groups)))


def test_methods_of_like_size_stand_side_by_side_at_their_own_parameters(groups):
    frame = summary(groups).assign(parameters=[0, 30_000, 31_000])
    figure = plot_against_parameters(frame, short_names(first_runs(groups)))
    axes = figure.axes[0]
    points = [container.lines[0] for container in axes.containers]
    assert [float(point.get_xdata()[0]) for point in points] == [0, 30_000, 31_000]
    figure.draw_without_rendering()
    shown = [point.get_transform().transform(point.get_xydata())[0, 0] for point in points]
    true = [axes.transData.transform(point.get_xydata())[0, 0] for point in points]
    step = 2.5 / 72 * figure.dpi
    np.testing.assert_allclose(np.subtract(shown, true), [0, -step / 2, step / 2], atol=1e-6)
    heights = np.array([point.get_ydata()[0] for point in points])
    np.testing.assert_allclose(heights, frame["mr"])
    low, high = axes.get_ylim()
    assert low < frame["mr_low"].min() and high > frame["mr_high"].max()
