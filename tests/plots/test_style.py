"""Every method has one look, the same in all figures."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from fake_runs import fake_run

from petl_core.adapters import METHODS
from petl_core.plots import style

mpl.use("agg")


def test_every_method_has_a_look_of_its_own_in_the_colour_of_its_family():
    listed = {method for _, markers in style.FAMILIES.values() for method in markers}
    assert listed == set(METHODS)
    looks = [tuple(style.method_look(method).values()) for method in METHODS]
    assert len(set(looks)) == len(METHODS)
    colours = [colour for colour, _ in style.FAMILIES.values()]
    assert len(set(colours)) == len(colours)


def test_a_method_without_a_family_always_has_the_same_look_and_no_familys_colour():
    look = style.method_look("scale")
    assert look == style.method_look("scale")
    assert look["color"] not in {colour for colour, _ in style.FAMILIES.values()}
    assert look["marker"] in style.MARKERS


@pytest.mark.parametrize(
    ("fields", "differs"),
    [
        ({}, {}),
        ({"seed": 9, "learning_rate": 0.1, "epochs": 5}, {}),
        ({"contrast": "triplet"}, {"markerfacecolor": "white"}),
        ({"w_image": 1.0, "w_text": 1.0}, {"markeredgecolor": "black"}),
        ({"queue_size": 8}, {"fillstyle": "left", "markerfacecoloralt": "white"}),
        ({"scene_probability": 0.5}, {"fillstyle": "left", "markerfacecoloralt": "white"}),
        ({"scene_weight": 0.5}, {"fillstyle": "left", "markerfacecoloralt": "white"}),
    ],
)
def test_rows_of_one_method_share_its_colour_and_marker_and_differ_in_filling(tmp_path, fields, differs):
    plain = style.run_look(fake_run(tmp_path / "", 0.5, w_cross=0.5))
    look = style.run_look(fake_run(tmp_path, 0.5, **fields))
    assert look == plain | differs
    assert {name: look[name] for name in ("color", "marker")} == style.method_look("mrs")


@pytest.mark.parametrize("width", [style.ONE_COLUMN, style.TWO_COLUMNS])
@pytest.mark.parametrize("entries", [["0", "40", "200", "Zero-shot CLIP"], ["MRS-Adapter + HMMC (InfoNCE)"] * 6])
def test_a_legend_above_fits_into_the_figure(width, entries):
    style.use_style()
    figure, axes = plt.subplots(figsize=(width, 3))
    for i, entry in enumerate(entries):
        axes.errorbar([0], [i], [1], label=f"{entry}{'.' * i}", **style.marker_and_colour(i))
    style.legend_above(figure, "title")
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    assert len(figure.legends[0].get_texts()) == len(entries)
    plt.close(figure)
