"""Every method is shown with its interval: side by side, by scene, and by how the epoch is chosen."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_runs import IMAGES, fake_comparison, fake_run

from petl_core.evaluation import per_run
from petl_core.evaluation.by_scene import recalls_by_scene
from petl_core.evaluation.comparison import summary
from petl_core.evaluation.grouping import first_runs, group_runs
from petl_core.evaluation.names import full_names, method_and_loss, short_names
from petl_core.evaluation.selection import selection_audit
from petl_core.plots.outputs import Outputs
from petl_core.plots.recalls import plot_by_scene, plot_recalls, plot_selection
from petl_core.plots.style import looks, use_style

mpl.use("agg")


@pytest.fixture
def runs(tmp_path):
    return [*fake_comparison(tmp_path), fake_run(tmp_path, 0.3, method="focus")]


@pytest.fixture
def groups(runs):
    return group_runs(runs, method_and_loss)


@pytest.fixture
def names_and_looks(groups):
    """Names and looks."""
    first = first_runs(groups)
    return short_names(first), looks(first)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def rows_of(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_the_recalls_next_to_mr_are_those_at_k(groups, names_and_looks):
    frame = summary(groups)
    figure = plot_recalls(frame, *names_and_looks, sort=False, k=10)
    assert [axes.get_xlabel() for axes in figure.axes] == ["mR (%)", "I→T R@10 (%)", "T→I R@10 (%)"]
    points = [container.lines[0].get_xdata()[0] for container in figure.axes[2].containers]
    np.testing.assert_allclose(points, frame["t2i_r10"])


def test_rows_are_sorted_by_mr_with_their_intervals_and_zero_shot_is_a_line(groups, names_and_looks, tmp_path):
    use_style()
    frame = summary(groups)
    figure = plot_recalls(frame, *names_and_looks)
    ordered = frame.sort_values("mr", ascending=False, kind="stable")
    assert rows_of(figure.axes[0]) == [names_and_looks[0][key] for key in ordered["key"]]
    assert rows_of(figure.axes[0])[-1] == "Zero-shot CLIP"
    for axes, metric in zip(figure.axes, ("mr", "i2t_r1", "t2i_r1"), strict=True):
        points = [container.lines[0].get_xydata()[0] for container in axes.containers]
        np.testing.assert_allclose(points, list(zip(ordered[metric], range(len(frame)), strict=True)))
        bars = [container.lines[2][0].get_segments()[0][:, 0] for container in axes.containers]
        np.testing.assert_allclose(bars, ordered[[f"{metric}_low", f"{metric}_high"]])
        assert axes.lines[-1].get_linestyle() == "--" and axes.lines[-1].get_xdata()[0] == frame[metric][0]
    Outputs(tmp_path / "out", "04_benchmark", {}).figure(figure, "recalls", "Recalls.")
    assert b"/Type3" not in (tmp_path / "out" / "recalls.pdf").read_bytes()


def test_rows_may_keep_the_order_of_the_frame_and_be_single_runs(runs):
    of_runs = {run.config.hash: run for run in runs}
    figure = plot_recalls(per_run.scores(runs), full_names(of_runs), looks(of_runs), sort=False)
    assert rows_of(figure.axes[0]) == list(full_names(of_runs).values())


def test_a_metric_that_is_zero_throughout_has_an_axis_with_room_for_it(groups, names_and_looks):
    frame = summary(groups).assign(i2t_r1=0.0, i2t_r1_low=0.0, i2t_r1_high=0.0)
    low, high = plot_recalls(frame, *names_and_looks).axes[1].get_xlim()
    assert low < 0 and high == 1


def test_zero_shot_is_drawn_at_the_edge_where_it_would_squeeze_the_rest(groups, names_and_looks):
    frame = summary(groups)
    far = frame["parameters"] == 0
    for column in ("mr", "mr_low", "mr_high"):
        frame[column] = np.where(far, 5.0, frame[column] * 0.01 + 50.0)
    axes = plot_recalls(frame, *names_and_looks).axes[0]
    assert axes.get_xlim()[0] > 40
    assert [text.get_text() for text in axes.texts] == ["5.0, off the scale"]
    assert len(axes.containers) == len(frame) - 1  # all others have their intervals


def test_without_zero_shot_there_is_no_line(groups, names_and_looks):
    axes = plot_recalls(summary(groups[1:]), *names_and_looks).axes[0]
    assert "--" not in [line.get_linestyle() for line in axes.lines]


def test_each_method_has_a_panel_of_scenes_with_zero_shot(groups, names_and_looks):
    scenes = ["port"] * 50 + ["pond"] * 60 + [None] * (IMAGES - 110)
    frame = recalls_by_scene(groups, scenes)
    figure = plot_by_scene(frame, *names_and_looks)
    assert [axes.get_title() for axes in figure.axes] == ["Full fine-tuning", "MRS-Adapter", "Focus-Adapter"]
    assert sorted(rows_of(figure.axes[0])) == ["pond (60)", "port (50)"]
    in_order = [label.split(" (")[0] for label in rows_of(figure.axes[0])]
    for axes, key in zip(figure.axes, [group.key for group in groups[1:]], strict=True):
        for container, shown in zip(axes.containers, (groups[0].key, key), strict=True):
            table = frame[[cell == shown for cell in frame["key"]]].set_index("scene").loc[in_order]
            np.testing.assert_allclose(container.lines[0].get_xdata(orig=False), table["mr"])
        assert axes.get_xlim()[0] < 0 and axes.get_xlim()[1] > frame["mr_high"].max()


def test_scenes_of_zero_shot_alone_have_one_panel(groups, names_and_looks):
    figure = plot_by_scene(recalls_by_scene(groups[:1], ["port"] * IMAGES), *names_and_looks)
    assert [axes.get_title() for axes in figure.axes] == ["Zero-shot CLIP"]


def test_the_audit_shows_what_another_choice_changes(groups, names_and_looks):
    audits = {30.0: [10.0, 30.0, 29.0], 20.0: [10.0, 20.0, 22.5], 11.0: [10.0, 11.0, 12.0]}
    for group, (chosen, audit) in zip(groups[1:], audits.items(), strict=True):
        for run in group.runs:
            run.metrics["scores"]["strict"]["mr"], run.metrics["selection_audit"] = chosen, audit
    audit = selection_audit(groups)
    axes = plot_selection(audit, *names_and_looks).axes[0]
    assert rows_of(axes)[:2] == ["Full fine-tuning  30.0", "MRS-Adapter  20.0"]
    marks = {
        marker: [line.get_xdata()[0] for line in axes.lines if line.get_marker() == marker][:2] for marker in ("s", ">")
    }
    assert marks == {"s": [-1.0, 2.5], ">": [0.0, 2.5]}
