"""Recall against three costs."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_comparison

from petl_core.evaluation.comparison import summary
from petl_core.evaluation.grouping import first_runs, group_runs
from petl_core.evaluation.names import method_and_loss, short_names
from petl_core.plots.outputs import Outputs
from petl_core.plots.style import TWO_COLUMNS, looks, use_style
from petl_core.plots.trade_offs import PRICES, plot_trade_offs

mpl.use("agg")


@pytest.fixture
def groups(tmp_path):
    return group_runs(fake_comparison(tmp_path), method_and_loss)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def points_of(axes):
    """The markers, in the order of the frame."""
    return [line for line in axes.lines if line.get_marker() not in ("None", None)]


def draw(groups, **prices):
    first = first_runs(groups)
    frame = summary(groups).assign(**prices)
    return frame, plot_trade_offs(frame, short_names(first), looks(first))


def test_every_run_is_at_its_price_in_every_panel_and_is_named_once(groups, tmp_path):
    use_style()
    frame, figure = draw(groups, seconds=[0.0, 30.0, 20.0], activation_mib=[0.0, 80.0, 40.0])
    *panels, column = figure.axes
    assert [axes.get_xlabel() for axes in panels] == list(PRICES.values())
    for axes, price in zip(panels, PRICES, strict=True):
        points = points_of(axes)
        assert [float(point.get_ydata()[0]) for point in points] == pytest.approx(frame["mr"].tolist())
        places = np.array([float(point.get_xdata()[0]) for point in points])
        np.testing.assert_allclose(places[1:], frame[price][1:])
        assert places[0] < places[1:].min(), "what costs nothing is left of the others"
        assert [point.get_marker() for point in points] == ["x", "o", "o"]
        bars = [container.lines[2][0].get_segments()[0] for container in axes.containers]
        np.testing.assert_allclose([bar[:, 0] for bar in bars], np.transpose([places, places]))
        np.testing.assert_allclose([bar[:, 1] for bar in bars], frame[["mr_low", "mr_high"]])
        low, high = axes.get_ylim()
        assert low < frame["mr_low"].min() and frame["mr_high"].max() < high
    assert sorted(text.get_text() for text in column.texts) == ["Full fine-tuning", "MRS-Adapter", "Zero-shot CLIP"]
    Outputs(tmp_path / "out", "04_benchmark", {}).figure(figure, "cost", "Cost.")
    assert b"/Type3" not in (tmp_path / "out" / "cost.pdf").read_bytes()
    assert figure.get_figwidth() == TWO_COLUMNS


def test_what_was_not_measured_is_only_in_the_other_panels(groups):
    _, figure = draw(groups, seconds=[0.0, 30.0, 20.0], activation_mib=[0.0, 80.0, np.nan])
    places = [point.get_xdata()[0] for point in points_of(figure.axes[2])]
    assert np.isnan(places).tolist() == [False, False, True]
    assert not np.isnan([point.get_xdata()[0] for point in points_of(figure.axes[1])]).any()


def test_methods_of_similar_price_stand_at_their_prices(groups):
    _, figure = draw(groups, parameters=[0, 30_000, 30_001], seconds=[0.0, 30.0, 20.0], activation_mib=[0.0, 8.0, 4.0])
    axes = figure.axes[0]
    figure.draw_without_rendering()
    for point, price in zip(points_of(axes)[1:], (30_000, 30_001), strict=True):
        drawn = point.get_transform().transform(point.get_xydata())[0]
        assert axes.transData.inverted().transform(drawn)[0] == pytest.approx(price)


def test_outliers_are_drawn_at_the_edge_and_labelled_with_their_value(groups):
    first = first_runs(groups)
    one = summary(groups)[1:2]
    frame = pd.concat([one, one.assign(mr=5.0, mr_low=4.0, mr_high=6.0), *[one] * 7], ignore_index=True)
    frame = frame.assign(key=range(9), seconds=1.0, activation_mib=1.0)
    names, marks = {key: f"method {key}" for key in range(9)}, looks(dict.fromkeys(range(9), first[one["key"].item()]))
    *panels, column = plot_trade_offs(frame, names, marks).axes
    for axes in panels:
        low = axes.get_ylim()[0]
        assert points_of(axes)[1].get_ydata()[0] == low > 6 and len(axes.containers) == 8
    assert [text.get_text() for text in column.texts][:2] == ["method 0", "method 1: 5.0, off the scale"]


def test_zero_shot_alone_can_be_shown(groups):
    draw(groups[:1], seconds=[0.0], activation_mib=[0.0])[1].draw_without_rendering()


def test_any_metric_can_be_the_height(groups):
    frame = summary(groups).assign(seconds=[0.0, 30.0, 20.0], activation_mib=[0.0, 80.0, 40.0])
    first = first_runs(groups)
    axes = plot_trade_offs(frame, short_names(first), looks(first), "t2i_r5").axes[0]
    assert axes.get_ylabel() == "test T→I R@5 (%)"
    heights = [float(point.get_ydata()[0]) for point in points_of(axes)]
    assert heights == pytest.approx(frame["t2i_r5"].tolist())
