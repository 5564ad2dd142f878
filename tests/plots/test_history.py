"""Loss terms and validation mR by epoch."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_runs import fake_comparison, fake_run

from petl_core.evaluation.grouping import first_runs, group_runs
from petl_core.evaluation.learning_curves import learning_curves
from petl_core.evaluation.names import method_and_loss, short_names
from petl_core.plots.history import plot_history, plot_learning_curves
from petl_core.plots.style import looks

mpl.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_a_run_shows_its_terms_and_the_chosen_epoch(tmp_path):
    run = fake_run(tmp_path, 0.5, epochs=3)
    for entry in run.metrics["history"][1:]:
        entry["loss"] = {"cross": 1.0, "image": 0.5, "total": 1.5}
    left, right = plot_history(run).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["image–text", "image–image′", "total"]
    assert right.get_legend().get_texts()[0].get_text() == "chosen: epoch 1"


def test_one_term_is_drawn_once_and_an_untrained_run_has_none(tmp_path):
    run = fake_run(tmp_path, 0.5)
    for entry in run.metrics["history"][1:]:
        entry["loss"] = {"cross": 1.0, "total": 1.0}
    assert len(plot_history(run).axes[0].lines) == 1
    assert not plot_history(fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)).axes[0].lines


def test_each_method_has_a_panel_with_its_seeds_and_their_mean(tmp_path):
    runs = fake_comparison(tmp_path)
    longest = runs[-1].metrics["history"]
    longest.append({**longest[-1], "epoch": 3, "validation_mr": 20.0})
    groups = group_runs(runs, method_and_loss)
    curves = learning_curves(groups)
    assert set(curves["key"]) == {group.key for group in groups[1:]}, "zero-shot has no curve"
    first = first_runs(groups)
    figure = plot_learning_curves(curves, short_names(first), looks(first))
    assert [axes.get_title() for axes in figure.axes] == ["Full fine-tuning", "MRS-Adapter"]
    seeds, (mean, marks) = figure.axes[1].lines[2:5], figure.axes[1].lines[5:]
    assert [np.isfinite(line.get_ydata()).sum() for line in seeds] == [2, 2, 3]
    assert mean.get_xdata().tolist() == [1, 2] and mean.get_ydata().tolist() == [10.0, 11.0]
    assert marks.get_markersize() < 3, "markers hide no curve"
    assert marks.get_marker() == "o" and marks.get_xydata().tolist() == [[1, 10.0]] * 3


def test_many_methods_fill_rows_of_panels_with_equal_gaps(tmp_path):
    runs = [fake_run(tmp_path, 0.5, learning_rate=10.0**-i) for i in range(8)]
    groups = group_runs(runs, lambda run: (run.config.learning_rate,))
    names = {group.key: str(group.key) for group in groups}
    figure = plot_learning_curves(learning_curves(groups), names, looks(first_runs(groups)))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 8 and len(figure.axes) == 12
    figure.draw_without_rendering()
    assert all(any(label.get_visible() for label in axes.get_xticklabels()) for axes in shown)
