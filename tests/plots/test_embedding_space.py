import matplotlib as mpl
import numpy as np
import pytest

from petl_core.plots.embedding_space import plot_before_after

mpl.use("agg")


@pytest.fixture
def figure():
    """Of 41 pairs: three scenes with 9, 8 and 7, others with one, the last without a label."""
    scenes = [*["port"] * 9, *["pond"] * 8, *["park"] * 7, *(f"scene {i:02d}" for i in range(16)), None]
    projected = np.random.default_rng(0).normal(size=(2, 2, len(scenes), 2))
    yield projected, plot_before_after(projected, scenes, 5, ("x", "y"))
    mpl.pyplot.close("all")


def test_before_and_after_share_one_square(figure):
    projected, drawn = figure
    for axes in drawn.axes:
        assert axes.get_xlim() == drawn.axes[0].get_xlim() and axes.get_ylim() == drawn.axes[0].get_ylim()
        assert np.ptp(axes.get_xlim()) == pytest.approx(np.ptp(axes.get_ylim()))
        assert axes.get_xlim()[0] < projected[..., 0].min() and projected[..., 0].max() < axes.get_xlim()[1]


def test_modalities_come_first_with_some_pairs_joined(figure):
    projected, drawn = figure
    for axes, (images, captions) in zip(drawn.axes[:2], projected, strict=True):
        assert [line.get_xydata().tolist() for line in axes.lines] == np.stack([images, captions], axis=1)[:5].tolist()
        shown = [points.get_offsets() for points in axes.collections]
        np.testing.assert_array_equal(shown, [images, captions])
    assert [text.get_text() for text in drawn.axes[1].get_legend().get_texts()] == ["image", "caption", "a pair"]


def test_the_most_frequent_scenes_are_highlighted_among_the_rest(figure):
    projected, drawn = figure
    _, after = drawn.axes[2:]
    names = [text.get_text() for text in after.get_legend().get_texts()]
    assert names == ["port", "pond", "park", "scene 00", "other scenes", "filled: image", "open: caption"]
    rest, *scenes = after.collections
    assert len(rest.get_offsets()) == 2 * 16
    assert [len(points.get_offsets()) for points in scenes] == [9, 9, 8, 8, 7, 7, 1, 1]
    np.testing.assert_array_equal(scenes[0].get_offsets(), projected[1, 0, :9])
    np.testing.assert_array_equal(scenes[1].get_offsets(), projected[1, 1, :9])
    colours = {tuple(points.get_edgecolors()[0]) for points in scenes[1::2]}
    assert len(colours) == 4


def test_scenes_without_labels_are_all_grey():
    drawn = plot_before_after(np.random.default_rng(0).normal(size=(2, 2, 3, 2)), [None] * 3, 1, ("x", "y"))
    assert len(drawn.axes[2].collections) == 1
    mpl.pyplot.close("all")


def test_other_scenes_can_be_highlighted():
    points = np.random.default_rng(0).normal(size=(2, 2, 4, 2))
    drawn = plot_before_after(points, ["port", "port", "pond", None], 1, ("x", "y"), ["pond"])
    names = [text.get_text() for text in drawn.axes[3].get_legend().get_texts()]
    assert names[:2] == ["pond", "other scenes"]
    rest, images, captions = drawn.axes[2].collections
    assert [len(part.get_offsets()) for part in (rest, images, captions)] == [6, 1, 1]
    mpl.pyplot.close("all")
