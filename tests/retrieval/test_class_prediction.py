"""Classes are predicted from embeddings alone, and the better predictor is chosen by examples it did not learn from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petl_core.data.scene_labels import UNKNOWN
from petl_core.retrieval.class_prediction import candidates, from_examples, from_prompts, most_accurate

PROMPTS = np.eye(3)


def clusters(count: int, seed: int = 0, n_classes: int = 3):
    """Unit embeddings around one of the axes, each with the class of its axis."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % n_classes
    rows = np.eye(3)[classes] + 0.1 * rng.standard_normal((count, 3))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), classes


def test_the_nearest_prompt_is_predicted():
    texts = np.array([[0.9, 0.1, 0.0], [0.0, 0.6, 0.8], [0.3, 0.9, 0.3]])
    predictor = from_prompts(PROMPTS, temperature=0.07)
    assert predictor.classes(texts).tolist() == [0, 2, 1]
    logits = np.exp(texts / 0.07)
    np.testing.assert_allclose(predictor.probabilities(texts), logits / logits.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_examples_teach_the_probabilities_of_scikit_learn(n_classes):
    from sklearn.linear_model import LogisticRegression

    rows, classes = clusters(60, n_classes=n_classes)
    unknown = classes.copy()
    unknown[::7] = UNKNOWN
    predictor = from_examples(rows, unknown, n_classes)
    reference = LogisticRegression(C=100.0, max_iter=2000).fit(rows[unknown >= 0], unknown[unknown >= 0])
    others, _ = clusters(20, seed=1, n_classes=n_classes)
    np.testing.assert_allclose(predictor.probabilities(others), reference.predict_proba(others), atol=1e-3)


def test_a_class_without_examples_is_never_predicted():
    rows, classes = clusters(60, n_classes=2)
    probabilities = from_examples(rows, 2 * classes, 4).probabilities(rows)
    assert probabilities.shape == (60, 4)
    assert (probabilities[:, [1, 3]] == 0).all() and np.allclose(probabilities.sum(axis=1), 1)
    assert probabilities.argmax(axis=1).tolist() == (2 * classes).tolist()


@given(st.integers(1, 40), st.integers(0, 100))
def test_copies_of_a_caption_have_one_prediction_to_the_bit_wherever_they_are(copies, seed):
    rows, _ = clusters(50, seed)
    predictor = from_prompts(np.random.default_rng(seed).standard_normal((5, 3)), 0.07)
    found = predictor.probabilities(np.concatenate([rows, np.repeat(rows[:1], copies, axis=0)]))
    assert (found[50:] == found[0]).all()


def test_one_class_or_none_leaves_the_prompts_alone():
    rows, _ = clusters(6)
    for classes in ([2] * 6, [UNKNOWN] * 6, [0, UNKNOWN] * 3):
        assert [found.name for found in candidates(PROMPTS, 0.07, rows, np.array(classes))] == ["class prompts"]
    assert len(candidates(PROMPTS, 0.07, *clusters(6))) == 2


def test_accuracy_counts_what_is_known():
    predictor = from_prompts(PROMPTS, 0.07)
    assert predictor.accuracy(np.eye(3), np.array([0, 2, UNKNOWN])) == 50
    assert predictor.accuracy(np.eye(3), np.full(3, UNKNOWN)) is None


def test_the_predictor_that_is_right_on_validation_is_chosen_and_prompts_where_nothing_decides():
    rows, classes = clusters(60)
    swapped = candidates(PROMPTS[[1, 0, 2]], 0.07, rows, classes)  # two prompts represent each other's class
    chosen, accuracy = most_accurate(swapped, *clusters(30, seed=1))
    assert chosen.name == "logistic regression"
    assert accuracy == {"class prompts": pytest.approx(100 / 3), "logistic regression": 100.0}
    chosen, accuracy = most_accurate(swapped, rows, np.full(60, UNKNOWN))
    assert chosen.name == "class prompts" and set(accuracy.values()) == {None}
