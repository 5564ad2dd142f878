import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from petl_core.plots.negatives import plot_negatives

mpl.use("agg")


def points(shift: float) -> pd.DataFrame:
    """As :func:`petl_core.evaluation.negatives.by_source` gives them."""
    rows = [
        (source, negatives, temperature, mr + shift, mr + shift - 1, mr + shift + 1)
        for temperature in (0.07, "learned")
        for source, negatives, mr in (
            ("none", 16, 30.0), ("samples", 16, 30.0), ("samples", 64, 33.0), ("own", 64, 25.0), ("ema", 640, 34.0)
        )
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["source", "negatives", "temperature", "mr", "mr_low", "mr_high"])
    return frame.astype({"temperature": object})


def test_a_panel_shows_the_sources_of_its_temperature_and_learning_rate():
    figure = plot_negatives({"learning rate 0.001": points(0), "best learning rate": points(5)})
    first, second, third, fourth = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["temperature 0.07", "temperature learned"]
    assert [axes.get_ylabel().split("\n")[0] for axes in (first, third)] == [
        "learning rate 0.001",
        "best learning rate",
    ]
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == [
        "queue, own keys", "queue, slow keys", "larger batch, as many samples", "the smallest batch alone",
    ]  # fmt: skip
    for axes, shift in ((first, 0), (fourth, 5)):
        lines = [container[0] for container in axes.containers]
        drawn = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in lines]
        assert drawn == [([64], [25 + shift]), ([640], [34 + shift]), ([16, 64], [30 + shift, 33 + shift])]
        low, high = axes.get_xlim()
        assert low < 16 and high > 640, "points that were moved are visible"
        assert axes.get_ylim() == pytest.approx((24 - 0.05 * 16, 40 + 0.05 * 16))
    assert [tick.get_text() for tick in fourth.get_xticklabels()] == ["16", "64", "640"]
    plt.close(figure)


def test_any_metric_can_be_shown():
    columns = {f"mr{end}": f"t2i_r1{end}" for end in ("", "_low", "_high")}
    figure = plot_negatives({"best": points(0).rename(columns=columns)}, "t2i_r1")
    assert figure.axes[0].get_ylabel() == "best\ntest T→I R@1 (%)"
    plt.close(figure)
