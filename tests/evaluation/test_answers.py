"""An answer says what its frame supports, and no more."""

import pandas as pd
import pytest
from fake_runs import fake_queues, fake_run

from petl_core.evaluation import answers
from petl_core.evaluation.ablation import Ablation

NAMES = {"a": "A", "b": "B", "c": "C", "r": "R"}
CLAIM = "CMER claims that recycled negatives raise recall"


def frame(*rows):
    """Rows of key, difference, whether it is told, whether it is equivalent; all against R."""
    columns = {
        "key": [row[0] for row in rows],
        "reference": "r",
        "seeds": 5,
        "difference": [row[1] for row in rows],
        "low": [row[1] - 0.5 for row in rows],
        "high": [row[1] + 0.5 for row in rows],
        "p": 0.5,
        "distinguishable": pd.Series([row[2] for row in rows], dtype=object),
        "equivalent": pd.Series([row[3] for row in rows], dtype=object),
        "detectable": 1.25,
    }
    return pd.DataFrame(columns)


def test_differences_are_spelled_out_and_the_rest_counted():
    text = answers.of_differences(
        frame(("a", 2.0, True, False), ("b", -3.0, True, False), ("c", 0.1, False, True)), NAMES
    )
    assert text == (
        "2 of 3 pairs with 5 seeds in common can be told apart at the 5% level: B is below R by 3.00 points of mR "
        "[−3.50, −2.50]; A is above R by 2.00 points of mR [+1.50, +2.50]. 1 is not told apart; 1 of them is alike "
        "within ±1 point. A true difference of 1.2 points is told with 80% power (median pair)."
    )


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([("a", 2.0, True, False)], "this holds here."),
        ([("a", 2.0, True, False), ("b", 0.1, False, None)], "this holds in 1 of 2 comparisons."),
        ([("a", -2.0, True, False)], "here the opposite was found in 1 of 1 comparisons."),
        ([("a", 2.0, True, False), ("b", -2.0, True, None)], "1 of 2 comparisons support this, 1 contradict it."),
        ([("a", 2.0, False, None)], "here this cannot be told."),
    ],
)
def test_a_claim_is_supported_by_what_is_told_alone(rows, verdict):
    assert answers.of_differences(frame(*rows), NAMES, CLAIM).endswith(f"{CLAIM}: {verdict}")


def test_untrained_rows_answer_nothing(tmp_path):
    ablation = Ablation(fake_queues(tmp_path), ["queue_size", "queue_warmup"])
    text = ablation.answer(ablation.differences(), CLAIM)
    assert "Zero-shot" not in text and text.startswith("1 of 2 pairs with 2 seeds in common")
    assert text.endswith("this holds in 1 of 2 comparisons.")


def test_one_seed_answers_nothing(tmp_path):
    ablation = Ablation([fake_run(tmp_path, 0.5), fake_run(tmp_path, 0.9, queue_size=8)], ["queue_size"])
    assert ablation.answer(ablation.differences(), CLAIM).startswith("No two rows have two seeds in common")


def test_a_claim_of_staying_level_counts_what_does():
    rows = frame(("a", 2.0, True, False), ("b", -2.0, True, False), ("c", 0.1, False, True), ("a", 0.1, False, None))
    assert answers.on_level(rows, "It is level") == (
        "It is level: of 4 variants here, 1 above it, 1 below it, 1 level within ±1 point, 1 not told from it."
    )
    assert answers.on_level(rows.assign(p=float("nan")), "It is level").endswith("for want of two seeds.")
