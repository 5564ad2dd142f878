"""Plots of an ablation show every group; a new ablation only needs its factors."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_runs import IMAGES, add_labelled_tests, fake_queues, fake_run

from petl_core.evaluation.ablation import Ablation
from petl_core.evaluation.labelled_queries import LabelledTest, labelled_tests
from petl_core.plots.ablation import plot_lines, plot_rows
from petl_core.plots.outputs import Outputs
from petl_core.plots.style import ONE_COLUMN, method_look, use_style

mpl.use("agg")

QUEUE = ["queue_size", "queue_warmup"]


@pytest.fixture
def queue_runs(tmp_path):
    return fake_queues(tmp_path)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def legend(figure):
    """The entries, without the value of those that are off the scale."""
    return [entry.get_text().split(":")[0] for entry in figure.legends[0].get_texts()]


def test_lines_show_every_point_and_what_has_none_as_a_reference(queue_runs):
    ablation = Ablation(queue_runs, QUEUE)
    figure = plot_lines(ablation, {"queue_size": "entries", "parameters": "parameters"}, "queue_warmup")
    assert legend(figure) == ["0", "8", "Zero-shot CLIP", "queue size 0"]
    assert figure.legends[0].get_title().get_text() == "Queue warmup (steps)"
    frame = ablation.table
    for axes in figure.axes:
        points = [line.get_ydata() for line in axes.lines if line.get_marker() not in ("None", None)]
        assert np.concatenate(points) == pytest.approx(frame["mr"][2:].to_numpy())
        low, high = axes.get_ylim()
        assert low < frame["mr_low"][1:].min() and frame["mr_high"].max() < high
    assert [axes.get_xlabel() for axes in figure.axes] == ["entries", "parameters"]


@pytest.mark.parametrize(("rate", "shown"), [(0.2, False), (0.49, True)])
def test_what_was_not_trained_does_not_squeeze_the_scale(tmp_path, rate, shown):
    runs = [fake_run(tmp_path, rate, method="zero_shot", epochs=0)]
    runs += [fake_run(tmp_path, 0.5, queue_size=size) for size in (0, 16, 64)]
    ablation = Ablation(runs, ["queue_size", "queue_weight"])
    figure = plot_lines(ablation, {"queue_size": "entries"}, "queue_weight")
    axes, frame = figure.axes[0], ablation.table
    low, high = axes.get_ylim()
    entry = f"Zero-shot CLIP: {frame['mr'][0]:.1f}, off the scale"
    assert (low < frame["mr"][0] < high) == shown
    assert (entry in [text.get_text() for text in figure.legends[0].get_texts()]) != shown
    assert high - low <= 1.25 * 1.1 * np.ptp(frame[["mr_low", "mr_high"]][1:])
    grid = np.union1d(axes.yaxis.get_majorticklocs(), axes.yaxis.get_minorticklocs())
    assert np.diff(grid).max() <= 1, "no grid of single points"


def test_series_with_the_same_values_do_not_overlap(tmp_path):
    runs = [fake_run(tmp_path, 0.5, queue_size=16, queue_weight=weight) for weight in (0.1, 0.3, 1.0)]
    figure = plot_lines(Ablation(runs, ["queue_size", "queue_weight"]), {"queue_size": "entries"}, "queue_weight")
    figure.draw_without_rendering()
    points = [line for line in figure.axes[0].lines if line.get_marker() in list("osD")]
    places = [point.get_transform().transform(point.get_xydata())[0, 0] * 72 / figure.dpi for point in points]
    assert len(places) == 3 and np.diff(places).min() > points[0].get_markersize()


def test_a_method_keeps_its_look(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method=method, train_images=n) for method in ("full", "mrs") for n in (40, 80)]
    for number, run in enumerate(runs):
        run.metrics["images"]["train"] = (40, 80)[number % 2]
    axes = plot_lines(Ablation(runs, ["method", "train_images"]), {"train_images": "images"}, "method").axes[0]
    drawn = [container.lines[0] for container in axes.containers]
    looks = [{"color": line.get_color(), "marker": line.get_marker()} for line in drawn]
    assert looks == [method_look("full"), method_look("mrs")]


def test_rows_show_every_combination(tmp_path):
    runs = [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)] + [
        fake_run(tmp_path, 0.5, w_image=weight, w_text=1.0, contrast=contrast, mask_false_negatives=mask)
        for weight in (1.0, 0.0)
        for contrast in ("infonce", "triplet")
        for mask in (False, True)
    ]
    ablation = Ablation(runs, ["terms", "contrast", "mask_false_negatives"])
    figure = plot_rows(ablation, "terms", "mask_false_negatives", "contrast")
    assert [axes.get_title() for axes in figure.axes] == ["InfoNCE", "triplet"]
    assert legend(figure) == ["no", "yes", "Zero-shot CLIP"]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["HMMC", "image–text + text–text"]
    for axes in figure.axes:
        assert sum(len(line.get_ydata()) for line in axes.lines if line.get_marker() in ("o", "s")) == 4


def test_two_rows_keep_their_height_below_a_legend_of_several_lines(tmp_path):
    runs = [fake_run(tmp_path, 0.1, method="zero_shot", epochs=0)]
    losses = [{"contrast": contrast, "w_image": w} for contrast in ("infonce", "triplet") for w in (0.0, 1.0)]
    runs += [fake_run(tmp_path, 0.9, **loss) for loss in losses]
    with mpl.rc_context():
        use_style()
        figure = plot_rows(Ablation(runs, ["terms", "contrast"]), "terms", "contrast")
        figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_window_extent().height / figure.dpi > 0.5  # inches


def test_labelled_queries_have_lines_of_their_own(tmp_path):
    run = fake_run(tmp_path, 0.3, scene_probability=0.5)
    np.save(run.folder / "test_hits_oracle.npy", np.tile([1.0] * 3 + [2.0] * 4, (IMAGES, 1)))
    oracle = LabelledTest(run.folder, run.config, run.metrics, "oracle")
    ablation = Ablation([run, oracle], ["scene_probability", "queries"])
    figure = plot_lines(ablation, {"scene_probability": "p"}, "queries")
    assert legend(figure) == ["no label", "oracle label (LEAK)"]


def test_tests_with_scene_classes_are_rows_that_fit_one_column(tmp_path):
    runs = [fake_run(tmp_path, 0.3), fake_run(tmp_path, 0.3, scene_balance=True)]
    for run in runs:
        add_labelled_tests(run, "gallery_known", "gallery_oracle")
    tests = [test for run in runs for test in (run, *labelled_tests(run))]
    figure = plot_rows(Ablation(tests, ["labels", "queries"]), rows="queries", hue="labels")
    assert figure.get_figwidth() == ONE_COLUMN
    assert legend(figure) == ["without labels", "batches balanced by label"]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["no label", "all image labels known,\nsoft prior", "oracle filter (LEAK)"]


def test_without_a_finished_queue_only_references_are_drawn(queue_runs):
    ablation = Ablation(queue_runs[:3], QUEUE)
    figure = plot_lines(ablation, {"queue_size": "entries"}, hue="queue_warmup")
    assert legend(figure) == ["Zero-shot CLIP", "queue size 0"]
    figure.draw_without_rendering()
    plot_rows(ablation, "queue_warmup", "queue_size").draw_without_rendering()


@pytest.mark.parametrize("plot", ["lines", "rows"])
def test_any_field_can_be_a_factor(tmp_path, plot):
    runs = [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)] + [
        fake_run(tmp_path, rate, view_dropout=dropout, pairs=pairs, seed=seed)
        for dropout, rate in ((0.1, 0.5), (0.4, 0.7))
        for pairs in ("images", "captions")
        for seed in (2, 3)
    ]
    ablation = Ablation(runs, ["view_dropout", "pairs"])
    outputs = Outputs(tmp_path / "out", "15_views", {}, runs)

    outputs.table(ablation.readable_table(), "views", ablation.caption("dropout of the second views"))
    assert ablation.readable_table()["View dropout"].tolist() == ["Zero-shot CLIP", "0.1", "0.1", "0.4", "0.4"]
    assert "All else is equal" in ablation.caption("dropout of the second views")

    differences = ablation.differences(["pairs"])
    caption = ablation.differences_caption("to the first", differences)
    outputs.table(ablation.readable_differences(differences), "views_differences", caption)
    assert list(differences["reference"].unique()) == [(0.1, "images"), (0.1, "captions")]

    if plot == "lines":
        figure = plot_lines(ablation, {"view_dropout": "dropout"}, hue="pairs")
        assert legend(figure) == ["images", "captions", "Zero-shot CLIP"]
    else:
        figure = plot_rows(ablation, "view_dropout", hue="pairs")
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0.1", "0.4"]
    outputs.figure(figure, "views", "Test mR by dropout.")
    assert {"views.csv", "views_differences.csv", "views.png"} <= {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("axis", ["x", "y"])
def test_any_metric_can_be_shown(queue_runs, axis):
    ablation = Ablation(queue_runs, QUEUE)
    if axis == "x":
        figure = plot_rows(ablation, "queue_size", "queue_warmup", metric="i2t_r10")
    else:
        figure = plot_lines(ablation, {"queue_size": "entries"}, "queue_warmup", metric="i2t_r10")
    (axes,) = figure.axes
    assert getattr(axes, f"get_{axis}label")() == "test I→T R@10 (%)"
    points = [getattr(line, f"get_{axis}data")() for line in axes.lines if line.get_marker() not in ("None", None)]
    assert set(ablation.table["i2t_r10"][2:]) <= set(np.concatenate(points))
    assert not set(ablation.table["mr"]) & set(np.concatenate(points))
