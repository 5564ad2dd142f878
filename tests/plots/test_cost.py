import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from petl_core.plots.cost import plot_queue_costs, plot_throughput

mpl.use("agg")


@pytest.fixture
def costs() -> pd.DataFrame:
    """As :func:`petl_core.evaluation.efficiency.measure_training_steps` gives them."""
    speed = np.array([300.0, 90.0, 110.0, 900.0])
    return pd.DataFrame(
        {
            "subject": ["zero_shot", "full", "mrs", "focus_cached"],
            "method": ["zero_shot", "full", "mrs", "focus"],
            "cached": [False, False, False, True],
            "title": ["Zero-shot CLIP", "Full fine-tuning", "MRS-Adapter", "Focus-Adapter, cached"],
            "total_mib": [20.0, 140.0, 60.0, 30.0],
            "images_per_second": speed,
            "images_per_second_low": speed - 10,
            "images_per_second_high": speed + 20,
        }
    )


def rows_of(figure):
    """The labels from the top down."""
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_every_method_and_every_claim_is_a_row_the_fastest_on_top(costs):
    figure = plot_throughput(costs)
    throughput, memory = figure.axes
    claim = "CMER, claimed over MRS-Adapter"
    rows = ["Focus-Adapter, cached", "Zero-shot CLIP", claim, "MRS-Adapter", "Full fine-tuning"]
    assert rows_of(figure) == rows and throughput.yaxis_inverted()
    points = [container.lines[0].get_xydata()[0].tolist() for container in throughput.containers]
    assert points == [[900, 0], [300, 1], [pytest.approx(1.4 * 110), 2], [110, 3], [90, 4]]
    points = [line.get_xydata()[0].tolist() for line in memory.lines]
    assert points == [[30, 0], [20, 1], [pytest.approx(0.51 * 60), 2], [60, 3], [140, 4]]
    assert [line.get_marker() == "*" for line in memory.lines] == [row == claim for row in rows]
    plt.close(figure)


def test_each_recent_method_has_a_claim_of_its_own(costs):
    two = pd.concat([costs, costs[2:3].assign(subject="uniadapter", method="uniadapter", title="UniAdapter")])
    figure = plot_throughput(two)
    claims = [row for row in rows_of(figure) if row.startswith("CMER")]
    assert claims == ["CMER, claimed over MRS-Adapter", "CMER, claimed over UniAdapter"]
    plt.close(figure)


def test_throughput_has_its_quartiles_and_cached_features_an_open_marker(costs):
    figure = plot_throughput(costs.assign(activation_mib=1.0), "activation_mib")
    axes, ordered = figure.axes[0], costs.sort_values("images_per_second", ascending=False)
    bars = [container.lines[2][0].get_segments()[0][:, 0] for container in axes.containers]
    np.testing.assert_allclose(bars, ordered[["images_per_second_low", "images_per_second_high"]])
    assert axes.get_xlim()[0] < np.min(bars) and np.max(bars) < axes.get_xlim()[1]
    faces = [container.lines[0].get_markerfacecolor() for container in axes.containers]
    assert [face == "white" for face in faces] == ordered["cached"].tolist()
    plt.close(figure)


def test_more_methods_than_markers_are_all_drawn(costs):
    many = pd.concat([costs[1:2].assign(subject=f"m{i}", method=f"m{i}") for i in range(20)], ignore_index=True)
    figure = plot_throughput(many)
    assert len(figure.axes[0].containers) == len(figure.axes[1].lines) == 20
    plt.close(figure)


def test_a_queues_time_has_its_quartiles_and_its_memory_both_kinds():
    frame = pd.DataFrame(
        {
            "size": [64, 1024],
            "seconds": [2e-3, 5e-3],
            "seconds_low": [1e-3, 4e-3],
            "seconds_high": [3e-3, 7e-3],
            "stored_mib": [0.3, 4.0],
            "activation_mib": [0.5, 6.0],
        }
    )
    figure = plot_queue_costs(frame)
    time, memory = figure.axes
    ((_, _, (bars,)),) = time.containers
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [[1, 3], [4, 7]])
    assert [label.get_text() for label in time.get_xticklabels()] == ["64", "1,024"]
    assert [text.get_text() for text in memory.get_legend().get_texts()] == ["activations", "stored"]
    plt.close(figure)


def test_other_prices_have_their_axis_and_no_claim(costs):
    figure = plot_throughput(costs.assign(activation_mib=[0.0, 100.0, 40.0, 3.0]), "activation_mib")
    axes = figure.axes[1]
    assert axes.get_xlabel() == "activation memory (MiB)"
    assert rows_of(figure) == ["Focus-Adapter, cached", "Zero-shot CLIP", "MRS-Adapter", "Full fine-tuning"]
    points = [line for line in axes.lines if line.get_marker() not in ("None", None)]  # without the dotted line
    focus, zero_shot, mrs, full = [float(point.get_xdata()[0]) for point in points]
    assert [focus, mrs, full] == [3.0, 40.0, 100.0] and 0 < zero_shot < 3, "a price of 0 is left of the rest"
    plt.close(figure)
