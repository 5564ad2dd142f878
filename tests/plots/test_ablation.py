"""An ablation's plots show every group; a new ablation needs no more than its factors."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_runs import IMAGES, add_drift, add_labelled_tests, fake_queues, fake_run

from petl_core.evaluation.ablation import Ablation
from petl_core.evaluation.labelled_queries import LabelledTest, labelled_tests
from petl_core.plots.ablation import plot_lines, plot_rows
from petl_core.plots.drift import plot_drift
from petl_core.plots.outputs import Outputs
from petl_core.plots.style import ONE_COLUMN

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
    return [entry.get_text() for entry in figure.legends[0].get_texts()]


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
        assert low < frame["mr_low"].min() and frame["mr_high"].max() < high
    assert [axes.get_xlabel() for axes in figure.axes] == ["entries", "parameters"]


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
    assert names == ["image–text + image–image + text–text", "image–text + text–text"]
    for axes in figure.axes:
        assert sum(len(line.get_ydata()) for line in axes.lines if line.get_marker() in ("o", "s")) == 4


def test_labelled_queries_are_lines_of_their_own(tmp_path):
    run = fake_run(tmp_path, 0.3, scene_probability=0.5)
    np.save(run.folder / "test_hits_oracle.npy", np.tile([1.0] * 3 + [2.0] * 4, (IMAGES, 1)))
    oracle = LabelledTest(run.folder, run.config, run.metrics, "oracle")
    ablation = Ablation([fake_run(tmp_path, 0.3), run, oracle], ["scene_probability", "queries"])
    figure = plot_lines(ablation, {"scene_probability": "p"}, "queries", scale="linear")
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


def test_drift_has_a_line_for_every_run(queue_runs):
    for run in queue_runs[3:]:
        add_drift(run)
    images, texts = plot_drift(Ablation(queue_runs, QUEUE).drift(), "queue_warmup").axes
    assert len(images.lines) == len(texts.lines) == 4


def test_without_a_finished_queue_references_are_left(queue_runs):
    ablation = Ablation(queue_runs[:3], QUEUE)
    figure = plot_lines(ablation, {"queue_size": "entries"}, hue="queue_warmup", panels="queue_warmup")
    assert legend(figure) == ["Zero-shot CLIP", "queue size 0"]
    figure.draw_without_rendering()
    plot_rows(ablation, "queue_warmup", "queue_size").draw_without_rendering()


@pytest.mark.parametrize("plot", ["lines", "rows"])
def test_an_ablation_over_a_field_that_nobody_listed_needs_nothing_else(tmp_path, plot):
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
        figure = plot_lines(ablation, {"view_dropout": "dropout"}, hue="pairs", scale="linear")
        assert legend(figure) == ["images", "captions", "Zero-shot CLIP"]
    else:
        figure = plot_rows(ablation, "view_dropout", hue="pairs")
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0.1", "0.4"]
    outputs.figure(figure, "views", "Test mR by dropout.")
    assert {"views.csv", "views_differences.csv", "views.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
