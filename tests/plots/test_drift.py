import matplotlib as mpl
import matplotlib.pyplot as plt
from fake_runs import add_drift, fake_run

from petl_core.evaluation.queue_drift import queue_drift
from petl_core.plots.drift import plot_drift

mpl.use("agg")


def test_drift_is_the_median_and_the_range_of_the_runs_by_epoch_and_age(tmp_path):
    runs = [fake_run(tmp_path, 0.5, queue_size=size, seed=seed) for size in (16, 64) for seed in (2, 3, 4)]
    for shift, run in zip((0.0, 0.1, 0.5) * 2, runs, strict=True):
        add_drift(run)
        for entry in run.metrics["history"][1:]:
            for row in entry["drift"]:
                row["cosine"] -= shift
    figure = plot_drift(queue_drift(runs, ["queue_size"]), "queue_size")
    assert [axes.get_title() for axes in figure.axes] == ["queue size 16", "queue size 64", "", ""]
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == ["1", "2–3", "4–7"]
    for axes in figure.axes:
        assert [line.get_xdata().tolist() for line in axes.lines] == [[1, 2]] * 3
        for age, line, band in zip((1, 2, 4), axes.lines, axes.collections, strict=True):
            assert abs(line.get_ydata() - (0.01 * age + 0.1)).max() < 1e-9
            heights = band.get_paths()[0].vertices[:, 1]
            assert abs(heights.min() - 0.01 * age) < 1e-9 and abs(heights.max() - (0.01 * age + 0.5)) < 1e-9
    figure.draw_without_rendering()
    plt.close(figure)


def test_an_epoch_is_drawn_where_half_of_the_runs_still_train(tmp_path):
    runs = [fake_run(tmp_path, 0.5, queue_size=16, seed=seed, epochs=seed) for seed in (2, 3, 4, 5)]
    for run in runs:
        add_drift(run)
    figure = plot_drift(queue_drift(runs, ["queue_size"]), "queue_size")
    for axes in figure.axes:
        assert {line.get_xdata()[-1] for line in axes.lines} == {4}, "the fifth epoch is one run's"
        assert axes.get_title() == "", "one value needs no heading"
    plt.close(figure)


def test_features_that_did_not_move_are_drawn_at_the_bottom_of_the_log_axis(tmp_path):
    run = fake_run(tmp_path, 0.5, queue_size=16)
    add_drift(run)
    for row in run.metrics["history"][-1]["drift"]:
        row["cosine"] = 1.0 + 1e-9
    figure = plot_drift(queue_drift([run], ["queue_size"]), "queue_size")
    for axes in figure.axes:
        assert [line.get_ydata()[-1] for line in axes.lines] == [axes.get_ylim()[0]] * 3
    plt.close(figure)
