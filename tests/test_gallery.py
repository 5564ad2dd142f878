from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from petl_core import gallery
from petl_core.data import Split

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
