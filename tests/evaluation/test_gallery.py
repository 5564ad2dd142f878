from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from petl_core.data import Split
from petl_core.evaluation import gallery

mpl.use("agg")


@pytest.fixture
def found(tmp_path: Path) -> gallery.Searched:
    """Three images; the first two share a caption."""
    paths = tuple(tmp_path / f"{i}.png" for i in range(3))
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    split = Split(paths, ("a road", "a red car", "A  road", "a pond"), np.array([0, 0, 1, 2]), (None,) * 3)
    scores = np.array([[0.9, 0.1, 0.9, 0.2], [0.8, 0.3, 0.8, 0.1], [0.7, 0.5, 0.7, 0.6]])
    return gallery.Searched(split, scores)


def test_ranks_are_those_of_a_querys_own_counterpart(found):
    assert found.text_ranks.tolist() == [1, 3, 2, 1]
    assert found.image_ranks.tolist() == [1.5, 1.5, 3]


def test_copies_of_a_caption_are_one_answer(found):
    assert gallery._best_captions(found, 0, 2) == [("a road", 2, True), ("a pond", 1, False)]
    assert gallery._best_captions(found, 2, 2) == [("a road", 2, False), ("a pond", 1, True)]


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


@pytest.fixture
def before(found) -> gallery.Searched:
    """Another model on the same images: it finds the second caption's image and loses the pond's."""
    scores = np.array([[0.9, 0.9, 0.9, 0.7], [0.8, 0.3, 0.8, 0.1], [0.7, 0.5, 0.7, 0.6]])
    return gallery.Searched(found.split, scores)


def test_outcomes_say_which_model_finds_a_query(before, found):
    outcomes = gallery.outcomes(before.text_ranking, found.text_ranking, 1)
    assert outcomes.tolist() == ["found by both", "broken", "missed by both", "fixed"]
    assert set(outcomes) < set(gallery.OUTCOMES)


def test_what_hangs_on_the_order_of_ties_is_neither_fixed_nor_broken(before, found):
    assert gallery.outcomes(before.image_ranking, found.image_ranking, 1).tolist() == ["tied", "tied", "missed by both"]
    assert gallery.outcomes(before.image_ranking, found.image_ranking, 2)[1] == "found by both"


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
