import matplotlib as mpl
import numpy as np
from drawn_scenes import write

from petl_core.evaluation.focus import target_boxes
from petl_core.plots.focus import plot_focus

mpl.use("agg")


def test_maps_are_drawn_over_images_with_the_boxes_of_targets(tmp_path):
    folder = write(tmp_path, "scenes-x", train=2, test=1, size=48, progress=False)
    boxes = target_boxes(folder)
    paths = [folder / "scenes-x_images" / name for name in sorted(boxes)[:2]]
    figure = plot_focus(paths, np.full((2, 3, 4, 4), 0.5), boxes)
    assert len(figure.axes) == 2 * 4 + 1
    assert figure.axes[-1].get_ylabel() == "focus weight" and figure.axes[-1].get_ylim() == (0, 1)
    for row, path in enumerate(paths):
        axes = figure.axes[4 * row + 1]
        assert len(axes.patches) == len(boxes[path.name]) > 0
        assert all(box.get_path_effects() for box in axes.patches), "they show on dark and on bright"
        assert axes.images[1].get_alpha() < 0.5
        assert axes.images[1].get_extent() == [0, 48, 48, 0]
    mpl.pyplot.close(figure)
