from dataclasses import replace

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


def lines_of(axes):
    """The captions of a list, each with its mark."""
    texts = [text.get_text() for text in axes.texts]
    return [f"{mark} {line}".strip() for mark, line in zip(texts[::2], texts[1::2], strict=True)]


def frames_of(panels):
    """What each image is framed as."""
    kinds = {mpl.colors.to_rgba(frame["edgecolor"]): kind for kind, frame in gallery.FRAMES.items()}
    return [kinds[axes.spines["top"].get_edgecolor()] for axes in panels]


def test_a_captions_own_image_is_first_and_every_answer_is_marked(found):
    figure = gallery.plot_text_to_image(found, [0, 2], k=3)
    assert len(figure.axes) == 2 * 5
    assert [axes.get_title() for axes in figure.axes[1:5]] == [
        "own: rank 1, 0.90",
        "1: 0.90 ✓",
        "2: 0.80 =",
        "3: 0.70 ",
    ]
    assert frames_of(figure.axes[1:5]) == ["own", "own", "same words", "other"]
    assert [axes.get_title() for axes in figure.axes[6:8]] == ["own: rank 2, 0.80", "1: 0.90 ="]
    mpl.pyplot.close(figure)


def test_an_image_of_the_same_scene_is_marked(found):
    in_scenes = replace(found, split=replace(found.split, scenes=("road", "pond", "pond")))
    figure = gallery.plot_text_to_image(in_scenes, [3], k=2)
    assert [axes.get_title() for axes in figure.axes[1:]] == ["own: rank 1, 0.60", "1: 0.60 ✓", "2: 0.20 "]
    more = gallery.plot_text_to_image(in_scenes, [3], k=3)
    assert frames_of(more.axes[1:]) == ["own", "own", "other", "same scene"]
    for shown in (figure, more):
        mpl.pyplot.close(shown)


def test_an_images_best_own_caption_is_shown_with_its_rank_where_it_is_not_among_the_best(found):
    figure = gallery.plot_image_to_text(found, [0, 2], k=1)
    first, second = figure.axes[1], figure.axes[3]
    assert lines_of(first) == ["✓ 0.90  a road  (×2)"]
    assert lines_of(second) == ["0.70  a road  (×2)", "✓ 0.60, rank 3  a pond"]
    mpl.pyplot.close(figure)


def test_more_answers_than_images_leave_their_places_empty(found):
    figure = gallery.plot_text_to_image(found, [0], k=5)
    assert [axes.axison for axes in figure.axes[1:]] == [True] * 4 + [False] * 2
    mpl.pyplot.close(figure)


def test_changes_show_both_models_for_one_query(before, found):
    images = gallery.plot_text_to_image_changes(before, found, [3, 1], k=2)
    assert [len(part.axes) for part in images.subfigs] == [2 + 2 * 2] * 2
    assert frames_of([images.subfigs[0].axes[1]]) == ["own"]
    rows = [axes.get_ylabel() for axes in images.subfigs[0].axes if axes.get_ylabel()]
    assert rows == ["zero-shot: rank 2", "adapted: rank 1"]
    texts = gallery.plot_image_to_text_changes(before, found, [0], k=2)
    lists = [lines_of(axes) for axes in texts.subfigs[0].axes[1:]]
    assert lists == [["✓ 0.90  a road", "✓ 0.90  a red car"], ["✓ 0.90  a road  (×2)"]]
    for figure in (images, texts):
        mpl.pyplot.close(figure)


def test_a_gallery_of_no_query_says_so(before, found):
    for plot in (gallery.plot_text_to_image_changes, gallery.plot_image_to_text_changes):
        figure = plot(before, found, np.array([], dtype=int))
        assert [text.get_text() for text in figure.texts] == ["no such query"]
        mpl.pyplot.close(figure)
