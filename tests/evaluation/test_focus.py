"""Weights on targets and background, and the test with captions about small targets."""

import csv

import drawn_scenes
import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run
from PIL import Image

from petl_core import retrieval
from petl_core.evaluation.comparison import readable_summary, summary
from petl_core.evaluation.focus import (
    TargetTest,
    by_layer,
    query_hits_as_image_hits,
    readable_layers,
    readable_recalls,
    target_boxes,
    target_focus,
    target_queries,
)
from petl_core.evaluation.grouping import group_runs


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


def test_layers_are_summed_up_over_seeds_and_images():
    focus = pd.DataFrame(
        {
            "seed": [2, 2, 3, 3, 2, 2, 3, 3],
            "image": ["a", "b"] * 4,
            "layer": [1] * 4 + [2] * 4,
            "target": [0.5, 0.5, 0.5, 0.5, 0.1, 0.3, 0.5, 0.3],
            "background": [0.2, 0.2, 0.2, 0.2, 0.3, 0.5, 0.4, 0.2],
        }
    )
    printed = readable_layers(by_layer(focus))
    assert printed[["Target", "Background", "Difference"]].values.tolist() == [
        ["0.500", "0.200", "+0.300"],
        ["0.300", "0.350", "−0.050"],
    ]
    table = by_layer(focus).set_index("Layer")
    assert table["Difference"].round(6).tolist() == [0.3, -0.05]
    assert table.loc[1, "95% interval"] == "[+0.300, +0.300]"
    assert table["Seeds above"].tolist() == ["2 of 2", "1 of 2"]
    assert table["Targets pass"].tolist() == ["more", "–"]  # two seeds that disagree tell nothing
    one_seed = by_layer(focus[focus["seed"] == 2]).set_index("Layer")
    assert one_seed["Targets pass"].tolist() == ["one seed"] * 2


def test_verdicts_on_layers_are_adjusted_for_all_of_them():
    rng = np.random.default_rng(0)
    rows = [
        {
            "seed": seed,
            "image": str(image),
            "layer": layer,
            "target": 0.5 + gain + rng.normal(0, 0.3),
            "background": 0.5,
        }
        for layer, gain in enumerate([0.3, *[0.0] * 11], start=1)
        for seed in (2, 3, 4)
        for image in range(200)
    ]
    verdicts = by_layer(pd.DataFrame(rows))["Targets pass"]
    assert verdicts[0] == "more" and set(verdicts[1:]) == {"–"}


@pytest.fixture
def drawn(tmp_path):
    """Two red cars stand apart in a and b, and are in a row in c; d has one, next to red buses; e has no target."""
    targets = [
        *["a.png,car,red"] * 2, *["b.png,car,red"] * 2, "b.png,bus,blue", *["c.png,car,red"] * 2,
        "d.png,car,red", *["d.png,bus,red"] * 3,
    ]  # fmt: skip
    (tmp_path / "targets.csv").write_text(
        "\n".join(["filename,noun,colour,x0,y0,x1,y1", *(f"{t},0,0,1,1" for t in targets)])
    )
    captions = ["a.png,car,red,2,two red cars", "b.png,car,red,2,two red cars", "d.png,car,red,1,a red car"]
    (tmp_path / "target_captions.csv").write_text("\n".join(["filename,noun,colour,count,caption", *captions]))
    return target_queries(tmp_path, [tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png", "e.png")])


def test_a_caption_is_true_of_every_image_with_as_many_targets_of_its_noun_and_colour(drawn):
    assert drawn.captions == ("two red cars", "a red car")
    assert drawn.relevant.astype(int).tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 0]]


def test_recalls_of_queries_are_computed_like_those_of_images(drawn):
    scores = np.array([[0.1, 0.2, 0.9, 0.3, 0.4], [0.9, 0.8, 0.7, 0.6, 0.6]])  # ranks 1, and 4 in a tie
    found = retrieval.metrics(query_hits_as_image_hits(scores, drawn.relevant))
    assert (found["t2i_r1"], found["t2i_r5"], found["t2i_r10"]) == (50.0, 100.0, 100.0)
    assert found["mr"] == pytest.approx(250 / 3)
    assert query_hits_as_image_hits(scores, drawn.relevant)[1, 1] == 1.0
    chance = retrieval.metrics(query_hits_as_image_hits(np.zeros((2, 5)), drawn.relevant))
    assert chance["t2i_r1"] == pytest.approx(100 * (3 / 5 + 1 / 5) / 2)


def test_a_run_is_compared_by_its_test_with_queries(tmp_path, drawn):
    run = fake_run(tmp_path, 0.5, method="focus")
    rng = np.random.default_rng(0)
    hits = query_hits_as_image_hits(rng.random((2, 5)), drawn.relevant)
    test = TargetTest(run.folder, run.config, run.metrics, hits)
    (group,) = group_runs([test], lambda test: (test.config.method,))
    table = readable_recalls(readable_summary(summary([group]), {group.key: "Focus-Adapter"}))
    assert list(table) == ["Method", "Trained parameters", "Seeds", "T→I R@1", "T→I R@5", "T→I R@10", "Mean"]
    assert table["T→I R@10"][0] == "100.00 [100.00, 100.00]"


def test_captions_of_a_drawn_set_are_true_of_their_own_images(tmp_path):
    folder = drawn_scenes.write(tmp_path, "toy", train=1, test=20, size=16, progress=False)
    images = sorted((folder / "toy_images").iterdir())
    queries = target_queries(folder, images)
    names = [image.name for image in images]
    with open(folder / "target_captions.csv", encoding="utf-8") as file:
        own = [(row["caption"], row["filename"]) for row in csv.DictReader(file)]
    assert own
    assert all(queries.relevant[queries.captions.index(caption), names.index(name)] for caption, name in own)
