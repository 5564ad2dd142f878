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
        "2 of 3 pairs with 5 seeds in common can be told apart at the 5% level: B 3.00 points below R [−3.50, −2.50]; "
        "A 2.00 points above R [+1.50, +2.50]. 1 is not told apart; 1 of them is alike within ±1 point: "
        "C 0.10 points above R [−0.40, +0.60]. A true difference of 1.2 points is told with 80% power (median pair)."
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


def test_many_differences_are_counted_and_the_largest_spelled_out():
    told = frame(*(("a", float(size), True, False) for size in range(1, 6)))
    assert "5% level. The largest differences: A 5.00 points above R" in answers.of_differences(told, NAMES)
    alike = frame(*(("a", 0.1, False, None) for _ in range(4)))
    assert "4 are not told apart. A true" in answers.of_differences(alike, NAMES)


def test_a_claim_of_staying_level_is_judged_pair_by_pair():
    rows = frame(("a", 2.0, True, False), ("b", 0.1, False, True), ("c", -2.0, False, None))
    assert answers.on_level(rows, NAMES, "It is level") == (
        "It is level. Here A 2.00 points above R [+1.50, +2.50], significant; B 0.10 points above R [−0.40, +0.60], "
        "level within ±1 point; C 2.00 points below R [−2.50, −1.50], not significant (5% level, adjusted by Holm for "
        "3 pairs)."
    )
    assert answers.on_level(rows.assign(p=float("nan")), NAMES, "It is level").endswith("for want of two seeds.")
