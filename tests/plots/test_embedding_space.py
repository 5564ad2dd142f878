import matplotlib as mpl
import numpy as np
import pytest

from petl_core.plots.embedding_space import plot_before_after

mpl.use("agg")


def test_before_and_after_share_their_limits_and_every_scene_is_told_apart():
    scenes = [*(f"scene {i:02d}" for i in range(40)), None]
    projected = np.random.default_rng(0).normal(size=(2, 2, len(scenes), 2))
    figure = plot_before_after(projected, scenes, 5, ("x", "y"))
    before, after = figure.axes
    assert before.get_xlim() == after.get_xlim() and before.get_ylim() == after.get_ylim()
    assert np.ptp(before.get_xlim()) == pytest.approx(np.ptp(before.get_ylim()))
    assert len(before.lines) == len(after.lines) == 5
    assert np.array_equal(after.lines[4].get_xydata(), projected[1, :, 4])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:41] == [*scenes[:40], "no label"]
    looks = {(handle.get_marker(), str(handle.get_color())) for handle in legend.legend_handles[:41]}
    assert len(looks) == 41
    mpl.pyplot.close(figure)
