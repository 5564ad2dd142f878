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
            "training_mib": [20.0, 140.0, 60.0, 30.0],
            "images_per_second": speed,
            "images_per_second_low": speed - 10,
            "images_per_second_high": speed + 20,
        }
    )


def test_the_plot_names_every_method_and_what_is_only_claimed(costs):
    axes, column = plot_throughput(costs).axes
    claim = "CMER, claimed over MRS-Adapter"
    assert {text.get_text() for text in column.texts} == {*costs["title"], claim}
    (star,) = (line for line in axes.lines if line.get_marker() == "*")
    np.testing.assert_allclose(star.get_xdata(), 0.51 * 60.0)
    np.testing.assert_allclose(star.get_ydata(), 1.4 * 110.0)
    plt.close("all")


def test_each_claim_has_a_star_of_its_own(costs):
    two = pd.concat([costs, costs[2:3].assign(subject="uniadapter", method="uniadapter", title="UniAdapter")])
    figure = plot_throughput(two)
    stars = [line.get_marker() for line in figure.axes[0].lines if line.get_markersize() == 8]
    assert len(stars) == len(set(stars)) == 2
    plt.close(figure)


def test_throughput_has_its_quartiles_and_cached_features_an_open_marker(costs):
    axes = plot_throughput(costs).axes[0]
    bars = [container.lines[2][0].get_segments()[0][:, 1] for container in axes.containers]
    np.testing.assert_allclose(bars, costs[["images_per_second_low", "images_per_second_high"]])
    faces = [container.lines[0].get_markerfacecolor() for container in axes.containers]
    assert [face == "white" for face in faces] == costs["cached"].tolist()
    plt.close("all")


def test_more_methods_than_markers_are_all_drawn(costs):
    many = pd.concat([costs[1:2].assign(subject=f"m{i}", method=f"m{i}") for i in range(20)], ignore_index=True)
    assert len(plot_throughput(many).axes[0].containers) == 20
    plt.close("all")


def test_a_queues_time_has_its_quartiles_and_its_memory_both_kinds():
    frame = pd.DataFrame(
        {
            "size": [64, 1024],
            "seconds": [2e-3, 5e-3],
            "seconds_low": [1e-3, 4e-3],
            "seconds_high": [3e-3, 7e-3],
            "stored_mib": [0.3, 4.0],
            "backward_mib": [0.5, 6.0],
        }
    )
    figure = plot_queue_costs(frame)
    time, memory = figure.axes
    ((_, _, (bars,)),) = time.containers
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [[1, 3], [4, 7]])
    assert [label.get_text() for label in time.get_xticklabels()] == ["64", "1,024"]
    assert [text.get_text() for text in memory.get_legend().get_texts()] == ["kept for backward", "stored"]
    plt.close(figure)


def test_other_prices_have_their_axis_and_no_claim(costs):
    figure = plot_throughput(costs.assign(backward_mib=[0.0, 100.0, 40.0, 3.0]), "backward_mib")
    axes, column = figure.axes
    assert axes.get_xlabel() == "kept for backward (MiB)"
    assert {text.get_text() for text in column.texts} == set(costs["title"])
    places = [float(container.lines[0].get_xdata()[0]) for container in axes.containers]
    assert places[1:] == [100.0, 40.0, 3.0] and 0 < places[0] < 3, "nothing stands left of the rest"
    plt.close(figure)
