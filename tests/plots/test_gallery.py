import matplotlib as mpl
import numpy as np
import pytest
import searched_split

from petl_core.plots import gallery

mpl.use("agg")


@pytest.fixture
def found(tmp_path):
    return searched_split.adapted(tmp_path)


@pytest.fixture
def before(found):
    return searched_split.zero_shot(found)


def test_right_answers_are_framed_and_marked(found):
    images = gallery.plot_text_to_image(found, [0, 2], k=3)
    assert len(images.axes) == 2 * 4
    frames = [axes.spines["top"].get_edgecolor() for axes in images.axes[1:4]]
    right = mpl.colors.to_rgba(gallery.RIGHT)
    assert [colour == right for colour in frames] == [True, False, False]
    texts = gallery.plot_image_to_text(found, [0], k=2)
    lines = [text.get_text() for axes in texts.axes for text in axes.texts]
    assert lines == ["✓  a road  (×2)", "✗  a pond"]
    for figure in (images, texts):
        mpl.pyplot.close(figure)


def test_changes_show_both_models_for_one_query(before, found):
    images = gallery.plot_text_to_image_changes(before, found, [3, 1], k=2)
    assert [len(part.axes) for part in images.subfigs] == [1 + 2 * 2] * 2
    rows = [axes.get_ylabel() for axes in images.subfigs[0].axes if axes.get_ylabel()]
    assert rows == ["zero-shot: rank 2", "adapted: rank 1"]
    texts = gallery.plot_image_to_text_changes(before, found, [0], k=2)
    lists = [[text.get_text() for text in axes.texts] for axes in texts.subfigs[0].axes[1:]]
    assert lists == [["✓  a road", "✓  a red car"], ["✓  a road  (×2)"]]
    for figure in (images, texts):
        mpl.pyplot.close(figure)


def test_a_gallery_of_no_query_says_so(before, found):
    for plot in (gallery.plot_text_to_image_changes, gallery.plot_image_to_text_changes):
        figure = plot(before, found, np.array([], dtype=int))
        assert [text.get_text() for text in figure.texts] == ["no such query"]
        mpl.pyplot.close(figure)
