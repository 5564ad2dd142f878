"""What plots show: every row once, at its value; a kept picture is the figure."""

import io
import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_comparison, fake_run
from PIL import Image

from petl_core import plots, tables
from petl_core.adapters import METHODS
from petl_core.data import Split
from petl_core.errors import ConfigError
from petl_core.outputs import Outputs

mpl.use("agg")


@pytest.fixture(autouse=True)
def style():
    plots.use_style()
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def frame():
    found = tables.frame(fake_comparison())
    return found.assign(row=found["title"])


@pytest.fixture(scope="module")
def summary(frame):
    return tables.summary(frame)


@pytest.fixture
def split(tmp_path):
    """Four images of two scenes, two captions each; the first captions of images 0 and 1 are the same."""
    paths = []
    for number in range(4):
        Image.new("RGB", (8, 8), (60 * number, 0, 0)).save(tmp_path / f"{number}.png")
        paths.append(tmp_path / f"{number}.png")
    captions = ("a pond", "blue water", "a pond", "green water", "a road", "two cars", "a street", "one car")
    image_of = np.arange(8) // 2
    return Split(tuple(paths), captions, image_of, ("pond", "pond", "road", None))


def drawn_texts(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_visible()]


# Looks.


def test_every_method_has_a_look_of_its_own():
    looks = {tuple(plots.look(method).values()) for method in METHODS}
    assert len(looks) == len(METHODS)
    assert plots.BROWN not in {colour for colour, _ in looks}, "no family"
    assert plots.look("new") == plots.look("new") and plots.look("new")["color"] == plots.BROWN


def test_a_palette_follows_the_methods(summary):
    assert plots.palette(summary)["MRS-Adapter"] == plots.BLUE


# Rows with intervals.


def test_recalls_have_a_row_each_the_best_on_top(summary):
    figure = plots.recalls(summary)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == summary.sort_values("mr", ascending=False)["row"].tolist()
    markers = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() not in ("None", "")]
    assert sorted(summary["mr"])[1:] == pytest.approx(sorted(markers)[-3:])
    assert len(figure.axes) == 3 and figure.axes[0].get_xlabel() == "test mR (%)"


def test_a_row_far_off_is_an_arrow_with_its_value(summary):
    far = summary.assign(mr=[1.0, 40.0, 41.0, 42.0])
    far["mr_low"], far["mr_high"] = far["mr"] - 0.5, far["mr"] + 0.5
    figure = plots.recalls(far, metrics=["mr"])
    assert figure.axes[0].get_xlim()[0] > 30 and "1.0" in drawn_texts(figure)


def test_a_forest_shows_each_difference_with_its_number(frame):
    differences = tables.differences(frame, reference="MRS-Adapter")
    figure = plots.forest(differences)
    texts = drawn_texts(figure)
    assert [text for text in texts if text.startswith("against")] == ["against MRS-Adapter:"]
    for row in differences.itertuples():
        text = f"{row.difference:+.2f} [{row.low:+.2f}, {row.high:+.2f}]".replace("-", "−")
        assert texts.count(text) == 1
    faint = [bars.lines[0].get_alpha() for bars in figure.axes[0].containers]
    assert faint == [1.0 if verdict in ("higher", "lower") else 0.4 for verdict in differences["verdict"]]


def test_a_forest_of_effects_names_the_factor():
    cells = [fake_run(0.4, seed=s, w_image=float(i), w_text=float(t)) for i in (0, 1) for t in (0, 1) for s in (2, 3)]
    effects = tables.effects(tables.frame(cells), ["w_image", "w_text"])
    assert "w_image, against 0.0:" in drawn_texts(plots.forest(effects, by="level"))


@pytest.mark.parametrize(("sizes", "scale"), [((0, 64, 640), "symlog"), ((64, 640), "log"), ((0,), "linear")])
def test_lines_have_ticks_at_what_was_tried_and_a_place_for_zero(sizes, scale):
    runs = [fake_run(0.4, seed=s, queue_size=q, queue_keys=k) for q in sizes for k in ("own", "ema") for s in (2, 3)]
    figure = plots.lines(tables.summary(tables.frame(runs), ["queue_size", "queue_keys"]), "queue_size", "queue_keys")
    axes = figure.axes[0]
    assert axes.get_xscale() == scale
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [f"{size:,}" for size in sizes]
    assert not axes.get_xticks(minor=True).size, "no ticks of another kind between them"
    assert axes.get_xlim()[0] < sizes[0] and axes.get_xlim()[1] > sizes[-1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["own", "ema"]


def test_lines_of_methods_look_like_methods():
    runs = [fake_run(0.4, method=m, seed=s, train_images=n) for m in ("mrs", "full") for n in (20, 40) for s in (2, 3)]
    figure = plots.lines(tables.summary(tables.frame(runs), ["train_images", "title"]), "train_images", "title")
    assert [bars.lines[0].get_color() for bars in figure.axes[0].containers] == [plots.BLUE, "#1a1a1a"]


def test_labels_beside_a_plot_do_not_overlap():
    figure, axes = plt.subplots(figsize=(3.5, 2))
    axes.set_ylim(0, 10)
    heights = {"a": 5.0, "b": 5.0, "c": 5.1, "d": 0.0, "e": 10.0}
    plots.labels_beside(axes, heights, {label: plots.look("mrs") for label in heights})
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    for one, other in ((a, b) for i, a in enumerate(boxes) for b in boxes[:i]):
        assert abs(one.y0 - other.y0) >= 0.8 * one.height
    assert np.argsort([text.get_position()[1] for text in axes.texts])[-1] == 4


def test_learning_curves_have_a_panel_each():
    runs = [fake_run(0.4, method=method, seed=seed, epochs=3) for method in ("mrs", "full") for seed in (2, 3)]
    figure = plots.learning_curves(tables.history(runs), label="training loss")
    assert [axes.get_title() for axes in figure.axes if axes.get_visible()] == ["MRS-Adapter", "Full fine-tuning"]
    assert figure.axes[0].lines[-1].get_ydata().tolist() == [3.0, 1.5, 1.0]


# Images.


def test_an_image_is_what_it_is_to_the_caption(split):
    assert plots.kinds(split, 0).tolist() == ["own", "same words", "other", "other"]
    assert plots.kinds(split, 1).tolist() == ["own", "same scene", "other", "other"]
    assert plots.kinds(split, 7).tolist() == ["other", "other", "other", "own"]


def test_a_gallery_frames_the_best_images_and_tells_the_rank(split):
    scores = np.tile(np.array([[0.2], [0.9], [0.5], [0.1]]), (1, 8))
    figure = plots.gallery(split, {"zero-shot": scores, "adapted": 1 - scores}, [0, 3], k=3)
    texts = drawn_texts(figure)
    assert texts.count("zero-shot\nrank 3") == 1 and texts.count("zero-shot\nrank 1") == 1
    assert "1: 0.90 =" in texts and "3: 0.20 ✓" in texts and "1: 0.90 ✓" in texts
    greens = [axes for axes in figure.axes if axes.spines["left"].get_edgecolor() == mpl.colors.to_rgba(plots.GREEN)]
    assert len(greens) == 2 + 2 + 1, "own images, and where they are among the best"
    assert plots.gallery(split, {"zero-shot": scores}, []).axes == []


def test_a_gallery_of_texts_merges_copies_and_ends_with_the_own_one(split):
    scores = np.tile([0.9, 0.1, 0.9, 0.2, 0.3, 0.0, 0.0, 0.4], (4, 1))
    texts = drawn_texts(plots.gallery_of_texts(split, {"adapted": scores}, [2, 3], k=2))
    assert sum("a pond (×2)" in text for text in texts) == 2
    assert "✓ 0.30, rank 4  a road" in texts and any(text.startswith("✓ 0.40") for text in texts)


def test_samples_and_maps_have_all_their_parts(split):
    assert {"pond", "road", "(no label)"} <= set(drawn_texts(plots.samples(split, 4)))
    pairs = np.random.default_rng(0).random((2, 4, 2))
    figure = plots.embedding_map({"before": pairs, "after": 2 * pairs}, split.scenes, joined=2)
    assert {"before", "after", "pond", "other"} <= set(drawn_texts(figure))
    shown = figure.axes[0].collections[0].get_offsets()
    assert shown.tolist() == pairs[0].tolist(), "no point is left out"


# Kept outputs.


def test_a_kept_picture_is_the_figure(tmp_path):
    outputs = Outputs(tmp_path, "04_benchmark", formats=["pdf", "png"])
    for name in ("a", "b"):
        figure, axes = plt.subplots(figsize=(2, 1))
        axes.plot([1, 3, 2])
        outputs.save(figure, name, "A line.")
    for kind in ("png", "pdf"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    shown = io.BytesIO()
    figure.savefig(shown, format="png")
    picture = np.asarray(Image.open(tmp_path / "b.png"))
    assert picture.shape == (200, 400, 4) and (picture == np.asarray(Image.open(shown))).all()


def test_outputs_are_shown_on_one_page(tmp_path, summary):
    runs = [fake_run(0.5), fake_run(0.5, seed=3)]
    figure, _ = plt.subplots()
    outputs = Outputs(tmp_path, "04_benchmark", runs, ["png", "csv", "tex"])
    assert "Recalls [%]." in outputs.save(summary, "recalls", "Recalls [%].").to_html()
    outputs.save(figure, "recalls", "Recalls [%].")
    assert outputs.answer("**It holds.**").data == "**It holds.**"
    Outputs(tmp_path, "01_data").answer("It is clean.")

    page = (tmp_path / "README.md").read_text()
    order = [
        "[01_data](",
        "It is clean.",
        "[04_benchmark](",
        "**It holds.**",
        "| Method",
        "![Recalls (%).](recalls.png)",
    ]
    assert [page.index(part) for part in order] == sorted(page.index(part) for part in order)
    assert tables.markdown(summary) in page and runs[0].hash in page and "runs: 2" in page
    assert (tmp_path / "recalls.tex").exists() and not (tmp_path / "recalls.pdf").exists()
    kept = pd.read_csv(tmp_path / "recalls.csv")
    assert kept["mr"].tolist() == pytest.approx(summary["mr"].tolist())

    # A file that is gone leaves the page; outputs of another notebook stay.
    (tmp_path / "recalls.csv").unlink()
    Outputs(tmp_path, "01_data").answer("It is clean.")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert list(manifest["outputs"]) == ["recalls.png"] and list(manifest["notebooks"]) == ["01_data", "04_benchmark"]


def test_nothing_is_written_without_a_folder(summary, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = Outputs("", "04_benchmark")
    assert outputs.save(summary, "t", "T.") is not None
    outputs.save(plt.figure(), "f", "F.")
    outputs.answer("A.")
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="svg: use png, csv, pdf, tex"):
        Outputs(tmp_path, "04_benchmark", formats=["png", "svg"])
