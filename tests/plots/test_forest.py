"""A forest plot shows every difference with its interval, and what may be said of it."""

from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from fake_runs import fake_comparison, fake_run

from petl_core.evaluation.comparison import differences
from petl_core.evaluation.grouping import first_runs, group_runs
from petl_core.evaluation.names import full_names, method_and_loss, short_names
from petl_core.plots.forest import plot_differences
from petl_core.plots.outputs import Outputs
from petl_core.plots.style import ONE_COLUMN, use_style

mpl.use("agg")


@pytest.fixture
def groups(tmp_path):
    """Zero-shot and two alike methods of three seeds, another of one of their seeds, and one of another seed."""
    one_seed = fake_run(tmp_path, 0.6, method="focus", seed=2)
    other_seed = fake_run(tmp_path, 0.6, method="focus", contrast="triplet", seed=9)
    return group_runs([*fake_comparison(tmp_path), one_seed, other_seed], method_and_loss)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def drawn(figure):
    """By label of a series, its marker's filling and its points: (difference, low, high, place)."""
    found = {}
    for container in figure.axes[0].containers:
        points, _, (bars,) = container.lines
        rows = zip(points.get_xydata(), bars.get_segments(), strict=True)
        values = [(x, bar[0][0], bar[1][0], y) for (x, y), bar in rows]
        found[container.get_label()] = points.get_markerfacecolor() != "white", values
    return found


def test_every_difference_stands_at_its_place_with_its_interval_and_verdict(groups):
    frame, names = differences(groups, groups[1:2]), short_names(first_runs(groups))
    figure = plot_differences(frame, names)
    found = drawn(figure)
    assert {label: filled for label, (filled, _) in found.items()} == {
        "distinguishable": True,
        "not distinguishable": False,
        "one seed, no verdict": False,
    }
    rows = frame[["difference", "low", "high"]].to_numpy().tolist()
    shown = [values[0][:3] for _, values in found.values()]
    assert shown == [pytest.approx(row) for row in rows[:3]]  # the fourth has no common seed
    axes = figure.axes[0]
    labels = dict(zip(axes.get_yticks(), [label.get_text() for label in axes.get_yticklabels()], strict=True))
    assert [labels[values[0][3]] for _, values in found.values()] == [
        "Zero-shot CLIP", "MRS-Adapter", "Focus-Adapter (InfoNCE)",
    ]  # fmt: skip
    assert next(iter(labels.values())) == "against Full fine-tuning:" and axes.yaxis_inverted()


def test_the_band_and_zero_are_there(groups):
    axes = plot_differences(differences(groups, groups[1:2]), short_names(first_runs(groups))).axes[0]
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == (-1, 2)
    assert any(set(line.get_xdata()) == {0} for line in axes.lines)


def test_long_names_are_broken_within_a_column(groups, tmp_path):
    use_style()
    frame = differences(groups, groups[1:3])
    names = {
        key: f"{name} · with a long description of what was changed"
        for key, name in full_names(first_runs(groups)).items()
    }
    figure = plot_differences(frame, names)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert figure.get_figwidth() == ONE_COLUMN
    assert all(box.x0 >= 0 for box in boxes)
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))
    assert axes.get_window_extent().width > 0.35 * figure.bbox.width
    headings = [label.get_text() for label in axes.get_yticklabels() if label.get_fontstyle() == "italic"]
    assert [heading.split("\n")[0].split(" (")[0] for heading in headings] == [
        "against Full fine-tuning",
        "against MRS-Adapter",
    ]
    outputs = Outputs(tmp_path / "out", "04_benchmark", {})
    outputs.figure(figure, "benchmark_differences", "Differences.")
    outputs.table(frame, "benchmark_differences", "Differences.")
    assert {"benchmark_differences.png", "benchmark_differences.csv"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_where_nothing_was_compared_there_is_an_empty_plot(groups):
    plot_differences(differences(groups, []), {}).draw_without_rendering()


def test_a_reference_heads_all_its_rows_once(groups):
    frame, names = differences(groups, groups[:3]), full_names(first_runs(groups))
    mixed = frame.dropna(subset="difference").sort_values("key", kind="stable")
    labels = [label.get_text() for label in plot_differences(mixed, names).axes[0].get_yticklabels()]
    heads = [label for label in labels if label.startswith("against")]
    assert len(heads) == len(set(heads)) == mixed["reference"].nunique() > 1
