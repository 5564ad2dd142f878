"""The exact search finds what sorting all scores finds, however rows fall into blocks."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from petl_core.search.exact import nearest

from petl_core.search import exact

SMALL = st.integers(-2, 2)  # products of small integers are exact, and often equal


@settings(deadline=None)
@given(data=st.data(), count=st.integers(1, 40), width=st.integers(1, 4), k=st.integers(1, 50))
def test_the_best_are_those_of_a_stable_sort(data, count, width, k):
    rows = data.draw(arrays.arrays(np.float32, (count, width), elements=SMALL))
    query = data.draw(arrays.arrays(np.float32, width, elements=SMALL))
    with patch.object(exact, "BLOCK_BYTES", data.draw(st.integers(1, 4 * 4 * 40))):
        found, scores = nearest(rows, query, k)
    expected = np.argsort(-(rows @ query), kind="stable")[:k]
    assert found.tolist() == expected.tolist()
    assert np.array_equal(scores, (rows @ query)[expected])


def test_rows_on_disk_are_read_and_left_as_they_are(tmp_path):
    rows = np.random.default_rng(0).standard_normal((1000, 16)).astype(np.float32)
    rows.tofile(tmp_path / "rows.bin")
    mapped = np.memmap(tmp_path / "rows.bin", np.float32, mode="c").reshape(1000, 16)
    with patch.object(exact, "BLOCK_BYTES", 16 * 4 * 99):
        found, scores = nearest(mapped, rows[7], 10)
    assert found[0] == 7
    assert np.allclose(scores, np.sort(rows @ rows[7])[::-1][:10], rtol=1e-5)
    assert np.array_equal(np.fromfile(tmp_path / "rows.bin", np.float32), rows.ravel())


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        ([1.0, 2.0], 1, "expected 3 numbers, got 2"),
        ([1.0, np.nan, 0.0], 1, "NaN or infinite"),
        ([[1.0, 2.0, 3.0]], 1, "expected non-empty 1-D"),
        ([1.0, 2.0, 3.0], 0, "k >= 1"),
    ],
)
def test_a_query_that_fits_no_row_is_refused(query, k, message):
    with pytest.raises(ValueError, match=message):
        nearest(np.ones((4, 3), dtype=np.float32), query, k)
