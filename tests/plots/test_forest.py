"""A forest plot shows every difference with its interval and its verdict."""

from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
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
    """Zero-shot, two methods with three seeds, one with one of these seeds, and one with another seed."""
    one_seed = fake_run(tmp_path, 0.6, method="focus", seed=2)
    other_seed = fake_run(tmp_path, 0.6, method="focus", contrast="triplet", seed=9)
    return group_runs([*fake_comparison(tmp_path), one_seed, other_seed], method_and_loss)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def spread_groups(tmp_path):
    """Zero-shot and eight methods of three seeds, of which only the last one is far from the others."""
    rates = dict.fromkeys(range(1, 8), 0.6) | {8: 0.1}
    seeds = [(share, seed) for share in rates for seed in (2, 3, 4)]
    runs = [fake_run(tmp_path, rates[share], seed=seed, method_options={"share": share}) for share, seed in seeds]
    zero_shot = fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)
    return group_runs([zero_shot, *runs], lambda run: (run.config.method, run.config.method_options.get("share")))


def draw(groups, references, names=None):
    first = first_runs(groups)
    frame = differences(groups, references)
    return frame, plot_differences(frame, names or short_names(first), first)


def rows_of(axes):
    """The labels from the top down, except those of references."""
    return [label.get_text() for label in axes.get_yticklabels() if label.get_fontstyle() != "italic"]


def drawn(figure):
    """By label of the row: shape of the marker, whether it is filled and not faint, and (difference, low, high)."""
    axes, found = figure.axes[0], {}
    labels = dict(zip(axes.get_yticks(), [label.get_text() for label in axes.get_yticklabels()], strict=True))
    for container in axes.containers:
        points, _, (bars,) = container.lines
        ((value, place),), (((low, _), (high, _)),) = points.get_xydata(), bars.get_segments()
        full = points.get_markerfacecolor() == points.get_color() and points.get_alpha() is None
        found[labels[place]] = points.get_marker(), full, (value, low, high)
    return found


def test_every_difference_is_drawn_with_its_interval_method_and_verdict(groups):
    frame, figure = draw(groups, groups[1:2])
    found = drawn(figure)
    assert {label: look for label, (*look, _) in found.items()} == {
        "MRS-Adapter": ["o", False],
        "Focus-Adapter (InfoNCE)": ["D", False],
    }, "without zero-shot, and without the method that has no common seed"
    rows = frame[["difference", "low", "high"]].to_numpy().tolist()
    assert [values for *_, values in found.values()] == [pytest.approx(row) for row in rows[1:3]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "within ±1 point", "not significant", "one seed, no verdict",
    ]  # fmt: skip
    axes = figure.axes[0]
    assert axes.get_yticklabels()[0].get_text() == "against Full fine-tuning:" and axes.yaxis_inverted()


def test_what_is_not_significant_is_faint(spread_groups):
    names = {group.key: str(group.key) for group in spread_groups}
    frame, figure = draw(spread_groups[:3] + spread_groups[-1:], spread_groups[1:2], names)
    assert frame["significant"].tolist() == [True, False, True]
    assert [full for _, full, _ in drawn(figure).values()] == [False, True]


def test_untrained_models_are_shown_where_there_are_no_others(groups):
    figure = draw(groups[:2], groups[1:2])[1]
    assert list(drawn(figure)) == ["Zero-shot CLIP"]


def test_outliers_are_drawn_at_the_edge_with_their_value(spread_groups):
    names = {group.key: str(group.key) for group in spread_groups}
    frame, figure = draw(spread_groups, spread_groups[1:3], names)
    axes = figure.axes[0]
    outliers = frame[[key == ("mrs", 8) for key in frame["key"]]]
    assert [text.get_text() for text in axes.texts] == [
        f"{value:.2f}, off the scale".replace("-", "\N{MINUS SIGN}") for value in outliers["difference"]
    ]
    at_edge = [line for line in axes.lines if list(line.get_xdata()) == [axes.get_xlim()[0]]]
    assert len(at_edge) == len(outliers) == 2 and axes.get_xlim()[0] > outliers["difference"].max()
    assert len(rows_of(axes)) == len(axes.containers) + 2


def test_four_dozen_rows_fit_a_page_with_room_for_a_caption(groups):
    frame = pd.concat([differences(groups, groups[1:2])[1:2]] * 48, ignore_index=True)
    figure = plot_differences(frame, short_names(first_runs(groups)), first_runs(groups))
    assert len(rows_of(figure.axes[0])) == 48 and figure.get_figheight() < 8


def test_the_band_and_a_line_at_zero_are_drawn(groups):
    axes = draw(groups, groups[1:2])[1].axes[0]
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == (-1, 2)
    assert any(set(line.get_xdata()) == {0} for line in axes.lines)


def test_long_names_are_broken_within_a_column(groups, tmp_path):
    use_style()
    names = {
        key: f"{name} · with a long description of what was changed"
        for key, name in full_names(first_runs(groups)).items()
    }
    frame, figure = draw(groups, groups[1:3], names)
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


def test_without_differences_the_plot_is_empty(groups):
    draw(groups, [])[1].draw_without_rendering()


def test_a_reference_heads_all_its_rows_once(groups):
    frame, names = differences(groups, groups[:3]), full_names(first_runs(groups))
    mixed = frame.dropna(subset="difference").sort_values("key", kind="stable")
    axes = plot_differences(mixed, names, first_runs(groups)).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    heads = [label for label in labels if label.startswith("against")]
    assert len(heads) == len(set(heads)) == 2, "no difference to zero-shot is shown"


def test_labels_are_broken_into_even_lines(groups):
    names = short_names(first_runs(groups))
    names[groups[2].key] = "queue size 640 · slow keys, weight 0.1"
    label = next(text for text in rows_of(draw(groups, groups[1:2], names)[1].axes[0]) if text.startswith("queue"))
    assert label == "queue size 640 · slow\nkeys, weight 0.1"
