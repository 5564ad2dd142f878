"""The plot of tests with scene labels shows every test of every model, within one column."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_runs import add_labelled_tests, fake_run
from matplotlib.colors import to_hex

from petl_core.adapters import METHODS
from petl_core.evaluation.ablation import Ablation
from petl_core.evaluation.labelled_queries import labelled_tests
from petl_core.plots.scene_labels import plot_tests
from petl_core.plots.style import ONE_COLUMN, method_look, use_style

mpl.use("agg")


def test_every_test_is_a_row_and_every_use_a_series(tmp_path):
    runs = [
        fake_run(tmp_path, 0.2, method="zero_shot", epochs=0),
        fake_run(tmp_path, 0.3),
        fake_run(tmp_path, 0.3, scene_weight=0.3, scene_balance=True),
    ]
    for run in runs:
        add_labelled_tests(run, "gallery_oracle", "gallery_known")
    ablation = Ablation([test for run in runs for test in (run, *labelled_tests(run))], ["labels", "queries"])
    with mpl.rc_context():
        use_style()
        figure = plot_tests(ablation)
        figure.draw_without_rendering()
    (axes,) = figure.axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["no label", "all image labels known,\nsoft prior", "oracle filter (LEAK)"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "Zero-shot CLIP",
        "without labels",
        "label cross-entropy (0.3) + batches balanced by label",
    ]
    points = [line for line in axes.lines if line.get_marker() not in ("None", None)]
    assert [line.get_ydata().tolist() for line in points] == [[0, 1, 2]] * 3
    assert np.concatenate([line.get_xdata() for line in points]) == pytest.approx(ablation.table["mr"].to_numpy())
    legend = figure.legends[0].get_window_extent()
    assert figure.get_figwidth() == ONE_COLUMN and legend.x0 >= 0 and legend.x1 <= figure.bbox.width
    zero_shot, without, with_labels = [
        (to_hex(handle.lines[0].get_color()), handle.lines[0].get_marker()) for handle in axes.containers
    ]
    of_methods = {(look["color"], look["marker"]) for look in map(method_look, METHODS)}
    assert without == tuple(method_look("mrs").values()) and {zero_shot, without} < of_methods
    assert with_labels not in of_methods
    plt.close("all")


def test_any_metric_can_be_shown(tmp_path):
    run = fake_run(tmp_path, 0.3)
    add_labelled_tests(run, "gallery_known")
    ablation = Ablation([run, *labelled_tests(run)], ["labels", "queries"])
    (axes,) = plot_tests(ablation, "t2i_r1").axes
    assert axes.get_xlabel() == "test T→I R@1 (%)"
    assert axes.lines[0].get_xdata() == pytest.approx(ablation.table["t2i_r1"].to_numpy())
    plt.close("all")
