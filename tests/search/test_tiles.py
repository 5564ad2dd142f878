"""Windows: every pixel is in one, all are of one size and inside, neighbours overlap as asked."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from petl_core.search.tiles import Window, windows

from petl_core.errors import ConfigError
from petl_core.search.options import IndexOptions

LENGTHS, TILES, OVERLAPS = st.integers(1, 200), st.integers(16, 80), st.floats(0, 0.9)


@given(LENGTHS, LENGTHS, TILES, OVERLAPS)
def test_every_pixel_is_covered_by_windows_inside_the_image(width, height, tile, overlap):
    covered = np.zeros((height, width), dtype=bool)
    cut = windows(width, height, tile, overlap)
    for x, y, wide, high in cut:
        assert x >= 0 and x + wide <= width and y >= 0 and y + high <= height
        covered[y : y + high, x : x + wide] = True
    assert covered.all()
    assert len(set(cut)) == len(cut)


@given(LENGTHS, LENGTHS, TILES, OVERLAPS)
def test_a_larger_image_is_cut_into_squares_that_overlap(width, height, tile, overlap):
    cut = windows(width, height, tile, overlap)
    if max(width, height) <= tile:
        assert cut == [Window(0, 0, width, height)]
        return
    (side,) = {length for window in cut for length in (window.width, window.height)}
    assert side == min(tile, width, height)
    starts = sorted({window.x for window in cut})
    for left, right in itertools.pairwise(starts):
        shared = side - (right - left)
        assert shared >= np.floor(overlap * side) - 1  # starts are rounded to pixels
        assert right - left >= 1


def test_windows_follow_the_rows_of_the_image():
    cut = windows(30, 40, 16, 0)
    assert cut == sorted(cut, key=lambda window: (window.y, window.x))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tile": 4}, "tile = 4 must be at least 16 pixels"),
        ({"tile": "big"}, "tile = 'big' is str, but must be int"),
        ({"overlap": 0.95}, "overlap = 0.95 must be a fraction from 0 to 0.9"),
        ({"bands": (1, 2)}, r"bands = \(1, 2\) must be three band numbers from 1"),
        ({"bands": (0, 1, 2)}, "bands = .* must be three"),
        ({"bands": (1.0, 2, 3)}, "bands = .* must be three"),
        ({"stretch": "gamma"}, "stretch = 'gamma' must be one of auto, percentile, range"),
        ({"limits": (98, 2)}, "limits = .* must be two rising numbers"),
        ({"limits": (2, 200)}, "limits = .* must be percentiles from 0 to 100"),
    ],
)
def test_a_wrong_option_is_named(wrong, message):
    with pytest.raises(ConfigError, match=f"^options of the index: {message}"):
        IndexOptions(**wrong)


def test_pixel_values_may_be_what_they_are():
    assert IndexOptions(stretch="range", limits=[0, 3000]).limits == (0, 3000)
