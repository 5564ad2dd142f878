from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import searched_split

from petl_core.evaluation import gallery_search
from petl_core.evaluation.embedding_space import Space


@pytest.fixture
def found(tmp_path):
    return searched_split.adapted(tmp_path)


@pytest.fixture
def before(found):
    return searched_split.zero_shot(found)


def test_a_search_scores_by_cosine(found):
    space = Space(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]]))
    searched = gallery_search.search(found.split, space)
    np.testing.assert_allclose(searched.scores, space.images @ space.texts.T)
    assert searched.split is found.split


def test_ranks_are_those_of_a_querys_own_counterpart(found):
    assert found.text_ranks.tolist() == [1, 3, 2, 1]
    assert found.image_ranks.tolist() == [1.5, 1.5, 3]


def test_copies_of_a_caption_are_one_answer(found):
    assert gallery_search.best_captions(found, 0, 2) == [("a road", 2, "own", 0.9), ("a pond", 1, "other", 0.2)]
    assert gallery_search.best_captions(found, 2, 2) == [("a road", 2, "other", 0.7), ("a pond", 1, "own", 0.6)]
    assert gallery_search.best_own_caption(found, 1) == ("A  road", 1, "own", 0.8)


def test_an_answer_is_own_or_has_the_same_words_or_the_same_scene(found):
    split = replace(found.split, scenes=("road", "pond", "pond"))
    road, red_car, _, pond = range(4)
    kind = partial(gallery_search.kind_of_image, split)
    assert [kind(road, image) for image in range(3)] == ["own", "same words", "other"]
    assert [kind(red_car, image) for image in range(3)] == ["own", "other", "other"]
    assert [kind(pond, image) for image in range(3)] == ["other", "same scene", "own"]
    unlabelled = found.split
    assert gallery_search.kind_of_image(unlabelled, pond, 1) == "other"
    captions = gallery_search.best_captions(replace(found, split=split), 1, 4)
    assert {caption.text: caption.kind for caption in captions} == {
        "a road": "own", "a red car": "other", "a pond": "same scene",
    }  # fmt: skip


def test_outcomes_say_which_model_finds_a_query(before, found):
    outcomes = gallery_search.outcomes(before.text_ranking, found.text_ranking, 1)
    assert outcomes.tolist() == ["found by both", "broken", "missed by both", "fixed"]
    assert set(outcomes) < set(gallery_search.OUTCOMES)


def test_what_depends_on_the_order_of_ties_is_neither_fixed_nor_broken(before, found):
    at_1 = gallery_search.outcomes(before.image_ranking, found.image_ranking, 1)
    assert at_1.tolist() == ["tied", "tied", "missed by both"]
    assert gallery_search.outcomes(before.image_ranking, found.image_ranking, 2)[1] == "found by both"
