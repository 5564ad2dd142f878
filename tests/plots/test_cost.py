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
    return pd.DataFrame(
        {
            "subject": ["zero_shot", "full", "mrs"],
            "title": ["Zero-shot CLIP", "Full fine-tuning", "MRS-Adapter"],
            "training_mib": [20.0, 140.0, 60.0],
            "images_per_second": [300.0, 90.0, 110.0],
        }
    )


def test_the_plot_names_every_method_and_what_is_only_claimed(costs):
    figure = plot_throughput(costs)
    axes = figure.axes[0]
    shown = {text.get_text() for text in axes.get_legend().get_texts()}
    bound, claim = "Zero-shot CLIP: forward only, weights only", "CMER's claim over MRS-Adapter"
    assert shown == {bound, "Full fine-tuning", "MRS-Adapter", claim}
    (star,) = (line for line in axes.lines if line.get_marker() == "*")
    np.testing.assert_allclose(star.get_xdata(), 0.51 * 60.0)
    np.testing.assert_allclose(star.get_ydata(), 1.4 * 110.0)
    plt.close(figure)


def test_more_methods_than_markers_are_all_drawn(costs):
    many = pd.concat([costs[1:2].assign(title=f"method {i}") for i in range(20)])
    figure = plot_throughput(many)
    assert len(figure.axes[0].lines) == 20
    plt.close(figure)


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
    assert [text.get_text() for text in memory.get_legend().get_texts()] == ["stored", "kept for the backward pass"]
    plt.close(figure)
