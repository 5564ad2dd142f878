import numpy as np
import pandas as pd
from PIL import Image

from petl_core.evaluation.focus import by_layer, target_boxes, target_focus


def test_boxes_are_read_by_image(tmp_path):
    lines = ["filename,x0,y0,x1,y1", "a.png,1,2,3,4.5", "b.png,0,0,1,1", "a.png,5,6,7,8"]
    (tmp_path / "targets.csv").write_text("\n".join(lines))
    assert target_boxes(tmp_path) == {"a.png": [(1, 2, 3, 4.5), (5, 6, 7, 8)], "b.png": [(0, 0, 1, 1)]}


def test_target_focus_compares_patches_with_targets_and_without(tmp_path):
    path = tmp_path / "airport_1.png"
    Image.new("RGB", (64, 64)).save(path)
    weights = np.full((1, 2, 4, 4), 0.25)
    weights[0, 1, 2, 3] = 1.0  # the patch of x 48..64, y 32..48
    boxes = {"airport_1.png": [(50.0, 34.0, 60.0, 44.0)]}
    frame = target_focus([path, tmp_path / "without.png"], np.concatenate([weights, weights]), boxes)
    assert frame["target"].tolist() == [0.25, 1.0] and frame["background"].tolist() == [0.25, 0.25]


def test_layers_are_summed_up_over_images():
    focus = pd.DataFrame({"layer": [1, 2] * 3, "target": [0.5, 0.1] * 3, "background": [0.2, 0.3] * 3})
    table = by_layer(focus).set_index("Layer")
    assert table["Difference"].round(6).tolist() == [0.3, -0.2]
    assert table.loc[1, "95% interval"] == "[+0.300, +0.300]"
