"""Crowded plots stay legible."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import ConnectionPatch

from petl_core.plots import layout

mpl.use("agg")
PLACES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@given(PLACES, st.floats(0, 0.2))
def test_spread_places_keep_their_order_and_their_distance_within_the_axes(places, gap):
    found = layout.spread(places, gap)
    assert found.min() >= -1e-9 and found.max() <= 1 + 1e-9
    order = np.argsort(places, kind="stable")
    room = min(gap, 1 / max(1, len(places) - 1))
    assert (np.diff(found[order]) >= room - 1e-9).all()


def test_places_with_room_enough_stay_where_they_are():
    np.testing.assert_allclose(layout.spread([0.9, 0.1, 0.5], 0.2), [0.9, 0.1, 0.5])
    assert len(layout.spread([], 0.1)) == 0


def test_labels_are_in_the_order_of_their_points_each_with_a_marker_and_a_line():
    _, (axes, column) = plt.subplots(1, 2, sharey=True)
    axes.set(yscale="log", ylim=(1, 1000))
    heights = {"a": 10.0, "b": 1000.0, "c": 10.0}
    looks = {"a": {"marker": "o"}, "b": {"marker": "s"}, "c": {"marker": "D"}}
    layout.label_column(column, heights, {key: f"method {key}" for key in heights}, looks)
    assert [text.get_text() for text in column.texts] == ["method a", "method b", "method c"]
    low, top, other = (text.get_position()[1] for text in column.texts)
    assert low < other < top
    leaders = [artist for artist in column.get_children() if isinstance(artist, ConnectionPatch)]
    np.testing.assert_allclose([leader.xy1 for leader in leaders], [(1, 1 / 3), (1, 1), (1, 1 / 3)])
    assert all(leader.coords1 is axes.transAxes for leader in leaders), "they start at the edge of the plot"
    assert [line.get_marker() for line in column.lines] == ["o", "s", "D"]


def scores(*values):
    return pd.DataFrame({"mr": values, "mr_low": np.subtract(values, 2.0), "mr_high": np.add(values, 2.0)})


def test_outliers_are_off_the_scale_where_they_would_squeeze_the_rest():
    near = [40.0, 41, 42, 43, 44, 45, 46]
    assert layout.on_scale(scores(16, 18, *near), "mr").tolist() == [False] * 2 + [True] * 7
    assert layout.on_scale(scores(35, *near), "mr").all(), "not so far away"
    assert layout.on_scale(scores(*near[:6], 43, 43, 43, 49), "mr").all(), "an outlier that squeezes nothing"


@pytest.mark.parametrize("values", [[], [40.0], [0.0, 40.0, 41.0, 42.0]])
def test_a_few_rows_have_no_outliers(values):
    assert layout.on_scale(scores(*values), "mr").tolist() == [True] * len(values)


@pytest.mark.parametrize("values", [[0, 2048, 7e6], [0, 0.149, 166], [3.0, 4.0], [0, 0], [0, 5.0, np.nan]])
def test_a_log_axis_has_a_place_for_zero_left_of_the_rest(values):
    _, axes = plt.subplots()
    values = pd.Series(values, dtype=float)
    places = layout.log_places(axes, values)
    np.testing.assert_array_equal(places[values > 0], values[values > 0])
    low, high = axes.get_xlim()
    drawn = places[~np.isnan(places)]
    assert ((low < drawn) & (drawn < high)).all()
    zeros = places[values == 0]
    assert len(set(zeros)) <= 1 and (zeros < values[values > 0].to_numpy().min(initial=np.inf)).all()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert (labels[0] == "0") == bool(len(zeros)) and len(labels) >= 1
    assert ((low <= axes.get_xticks()) & (axes.get_xticks() <= high)).all()


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([2e3, 7.8e6], ["$10^{4}$", "$10^{5}$", "$10^{6}$"]),
        ([1.1e4, 7.8e6], ["$10^{5}$", "$10^{6}$"]),
        ([2e4, 7e5], [r"$3\cdot10^{4}$", "$10^{5}$", r"$3\cdot10^{5}$"]),
        ([0, 0.149, 166], ["0", "1", "10", "100"]),
        ([43, 103], ["50", "70", "100"]),
        ([577, 3029], ["700", "1,000", "1,500", "2,000", "3,000"]),
        ([20.5, 20.6], ["20.5", "20.6"]),
    ],
)
def test_ticks_are_round_numbers(values, labels):
    _, axes = plt.subplots()
    layout.log_places(axes, pd.Series(values, dtype=float))
    assert [label.get_text() for label in axes.get_xticklabels()] == labels
