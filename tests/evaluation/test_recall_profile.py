"""Shapes of rows of recalls do not depend on their level."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petl_core.evaluation.names import METRICS
from petl_core.evaluation.recall_profile import RECALLS, printed_rows, readable_shapes, recall_shapes


def rows_of(*recalls) -> pd.DataFrame:
    frame = pd.DataFrame([list(row) for row in recalls], columns=RECALLS)
    return frame.assign(mr=frame.mean(axis=1))


@given(st.lists(st.floats(1, 50), min_size=6, max_size=6), st.floats(0.1, 2))
def test_the_level_changes_nothing(row, level):
    shapes = recall_shapes(rows_of(row, [level * recall for recall in row]))
    assert shapes["distance"].to_numpy() == pytest.approx(0, abs=1e-9)
    for column in ("i2t_growth", "t2i_growth", "direction"):
        assert shapes[column][0] == pytest.approx(shapes[column][1])


def test_growth_direction_and_distance_are_what_they_say():
    shapes = recall_shapes(rows_of([10, 20, 30, 10, 20, 30], [10, 20, 30, 12, 36, 72]))
    assert shapes["i2t_growth"].tolist() == [3, 3]
    assert shapes["t2i_growth"].tolist() == [3, 6]
    assert shapes["direction"].tolist() == [1, pytest.approx(2.4)]
    profiles = np.array([[10, 20, 30, 10, 20, 30], [10, 20, 30, 12, 36, 72]]) / [[20], [30]]
    assert shapes["distance"][1] == pytest.approx(np.sqrt(np.mean((profiles[1] - profiles[0]) ** 2)))


def test_a_recall_of_zero_stops_nothing():
    assert "inf" in readable_shapes(rows_of([0, 1, 2, 1, 2, 3]), ["ours"]).iloc[0].tolist()


def test_printed_rows_are_those_that_are_there_in_the_order_asked():
    rows = printed_rows("rsitmd", ["MRS-Adapter + HMMC", "nobody's", "CMER"])
    assert rows["method"].tolist() == ["MRS-Adapter + HMMC", "CMER"]
    assert set(METRICS) <= set(rows.columns)
    assert printed_rows("ucm", ["nobody's"]).empty
