from itertools import product
from pathlib import Path

import numpy as np
import pytest

from petl_core.data import Split
from petl_core.evaluation import embedding_space
from petl_core.evaluation.embedding_space import Space

SCENES = ("farm", "farm", "park", None, "park", "farm", "port")
IMAGE_OF = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 6, 6])


def split(scenes=SCENES) -> Split:
    paths = tuple(Path(f"{i}.png") for i in range(len(scenes)))
    return Split(paths, tuple(f"caption {i}" for i in range(len(IMAGE_OF))), IMAGE_OF, scenes)


def space(seed: int) -> Space:
    rng = np.random.default_rng(seed)
    images, texts = rng.normal(size=(len(SCENES), 8)), rng.normal(size=(len(IMAGE_OF), 8)) + 0.5
    return Space(*(x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts)))


def by_hand(drawn: Space, weights) -> dict[str, float]:
    """Every measure, pair by pair; an image of weight 2 counts twice."""
    images = [(drawn.images[i], i) for i in np.repeat(np.arange(len(SCENES)), weights)]
    texts = [(t, i) for t, i in zip(drawn.texts, IMAGE_OF, strict=True) for _ in range(weights[i])]
    own = [(drawn.images[i] @ t, i) for t, i in texts]
    matched, of_labelled = np.mean([c for c, _ in own]), np.mean([c for c, i in own if SCENES[i]])
    unmatched = np.mean([v @ t for (v, i), (t, j) in product(images, texts) if i != j])
    measures = {
        "modality gap": np.linalg.norm(np.mean([v for v, _ in images], 0) - np.mean([t for t, _ in texts], 0)),
        "matched image–text": matched,
        "unmatched image–text": unmatched,
        "matched minus unmatched": matched - unmatched,
    }
    kinds = {"unmatched image–text": (images, texts), "image–image": (images, images), "text–text": (texts, texts)}
    for kind, sides in kinds.items():
        pairs = [(a @ b, SCENES[i], SCENES[j]) for (a, i), (b, j) in product(*sides) if i != j]
        measures[f"{kind}, same scene"] = np.mean([c for c, one, other in pairs if one and one == other])
        measures[f"{kind}, different scenes"] = np.mean(
            [c for c, one, other in pairs if one and other and one != other]
        )
    same_scene = of_labelled - measures["unmatched image–text, same scene"]
    return measures | {"matched minus unmatched, same scene": same_scene}


def test_measures_are_means_over_pairs():
    table = embedding_space.compare_spaces(space(1), space(2), split(), samples=20).set_index("measure")
    for column, seed in (("before", 1), ("after", 2)):
        assert table[column].to_dict() == pytest.approx(by_hand(space(seed), [1] * len(SCENES)))
    assert np.allclose(table["change"], table["after"] - table["before"])


def test_a_resampled_image_brings_its_captions_and_is_no_pair_with_itself():
    weights = [2, 1, 1, 3, 1, 0, 2]
    row = embedding_space._measures(space(3), split(), np.array([weights], dtype=float)).iloc[0]
    assert row.to_dict() == pytest.approx(by_hand(space(3), weights))


def test_the_same_space_twice_does_not_change():
    table = embedding_space.compare_spaces(space(1), space(1), split(), samples=20)
    assert not table[["change", "change_low", "change_high"]].any(axis=None)
    assert (table["before_low"] < table["before_high"]).all()


def test_measures_by_scene_are_absent_without_such_pairs():
    table = embedding_space.compare_spaces(space(1), space(2), split((None,) * len(SCENES)), samples=20)
    assert not table["measure"].str.contains("scene").any()
    table = embedding_space.compare_spaces(space(1), space(2), split(("farm",) * len(SCENES)), samples=20)
    assert table["measure"].str.contains("same scene").any()
    assert not table["measure"].str.contains("different").any()


def test_a_table_for_print_has_signs_and_intervals():
    frame = embedding_space.compare_spaces(space(1), space(2), split(), samples=20)
    changes = embedding_space.readable_measures(frame)["Change"]
    assert changes.str.fullmatch(r"[+−]\d\.\d{3} \[[+−]\d\.\d{3}, [+−]\d\.\d{3}\]").all()


def test_pairs_are_drawn_from_different_images():
    images, captions = embedding_space.draw_pairs(split(), 4, seed=0)
    assert len(set(images)) == 4 and (IMAGE_OF[captions] == images).all()
    again = embedding_space.draw_pairs(split(), 4, seed=0)
    assert np.array_equal(again, (images, captions))
    assert len(embedding_space.draw_pairs(split(), 500, seed=0)[0]) == len(SCENES)


@pytest.mark.filterwarnings("ignore:Tensorflow:ImportWarning")
def test_the_same_points_are_projected_to_the_same_coordinates():
    pairs = embedding_space.draw_pairs(split(), 7, seed=0)
    points = embedding_space.stack_pairs(space(1), space(2), *pairs)
    assert points.shape == (2, 2, 7, 8)
    assert np.array_equal(points[1, 0, 3], space(2).images[pairs[0][3]])
    for project in (embedding_space.project_umap, lambda points: embedding_space.project_pca(points)[0]):
        once, twice = project(points), project(points)
        assert once.shape == (2, 2, 7, 2) and np.isfinite(once).all()
        assert np.array_equal(once, twice)
