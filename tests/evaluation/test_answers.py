"""An answer says what its frame supports, and no more."""

import pandas as pd
import pytest
from fake_runs import fake_queues, fake_run

from petl_core.evaluation import answers
from petl_core.evaluation.ablation import Ablation

NAMES = {"a": "A", "b": "B", "c": "C", "r": "R"}
CLAIM = "CMER claims that recycled negatives raise recall"


def frame(*rows):
    """Rows of key, difference, whether it is significant, whether it is equivalent; all against R."""
    columns = {
        "key": [row[0] for row in rows],
        "reference": "r",
        "seeds": 5,
        "difference": [row[1] for row in rows],
        "low": [row[1] - 0.5 for row in rows],
        "high": [row[1] + 0.5 for row in rows],
        "p": 0.5,
        "significant": pd.Series([row[2] for row in rows], dtype=object),
        "equivalent": pd.Series([row[3] for row in rows], dtype=object),
        "detectable": 1.25,
    }
    return pd.DataFrame(columns)


def test_differences_are_spelled_out_and_the_rest_counted():
    text = answers.of_differences(
        frame(("a", 2.0, True, False), ("b", -3.0, True, False), ("c", 0.1, False, True)), NAMES
    )
    assert text == (
        "2 of 3 differences from R in mR (points) are significant: B −3.00 [−3.50, −2.50]; A +2.00 [+1.50, +2.50]. "
        "1 is not: C +0.10 [−0.40, +0.60]; 1 of these is equivalent within ±1 point. "
        "A true difference of 1.2 points would be found with 80% power (median pair)."
    )


def test_where_nothing_is_significant_that_is_said_once():
    text = answers.of_differences(frame(("a", 0.2, False, None), ("b", -0.3, False, None)), NAMES, CLAIM)
    assert text.startswith(
        f"{CLAIM}: this cannot be decided here. None of 2 differences from R in mR (points) is significant: "
        "B −0.30 [−0.80, +0.20]; A +0.20 [−0.30, +0.70]. A true"
    )


def test_of_several_references_each_difference_names_its_own():
    both = pd.concat([frame(("a", 2.0, True, False)), frame(("b", 1.0, True, False)).assign(reference="c")])
    text = answers.of_differences(both, NAMES)
    assert text.startswith(
        "2 of 2 differences in mR (points) are significant: A +2.00 [+1.50, +2.50] against R; "
        "B +1.00 [+0.50, +1.50] against C."
    )


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([("a", 2.0, True, False)], "this holds here."),
        ([("a", 2.0, True, False), ("b", 0.1, False, None)], "this holds in 1 of 2 comparisons."),
        ([("a", -2.0, True, False)], "here the opposite was found in 1 of 1 comparisons."),
        ([("a", 2.0, True, False), ("b", -2.0, True, None)], "1 of 2 comparisons support this, 1 contradict it."),
        ([("a", 2.0, False, None)], "this cannot be decided here."),
    ],
)
def test_a_claim_is_supported_only_by_significant_differences(rows, verdict):
    assert answers.of_differences(frame(*rows), NAMES, CLAIM).startswith(f"{CLAIM}: {verdict}")


def test_a_claim_may_have_the_differences_below():
    text = answers.of_differences(frame(("a", -2.0, True, False)), NAMES, CLAIM, above=False)
    assert text.startswith(f"{CLAIM}: this holds here.")


def test_untrained_rows_answer_nothing(tmp_path):
    ablation = Ablation(fake_queues(tmp_path), ["queue_size", "queue_warmup"])
    text = ablation.answer(ablation.differences(), CLAIM)
    assert "Zero-shot" not in text and "1 of 2 differences from queue size 0" in text
    assert text.startswith(f"{CLAIM}: this holds in 1 of 2 comparisons.")


def test_one_seed_answers_nothing(tmp_path):
    ablation = Ablation([fake_run(tmp_path, 0.5), fake_run(tmp_path, 0.9, queue_size=8)], ["queue_size"])
    assert ablation.answer(ablation.differences(), CLAIM).startswith(
        f"{CLAIM}: this is open. No two rows have two seeds in common"
    )


def test_many_differences_are_counted_and_the_largest_spelled_out():
    many = frame(*(("a", float(size), True, False) for size in range(1, 8)))
    text = answers.of_differences(many, NAMES)
    assert "7 of 7 differences from R in mR (points) are significant, the largest A +7.00" in text
    assert "A +5.00" in text and "A +4.00" not in text


def test_a_claim_of_staying_level_is_judged_pair_by_pair():
    rows = frame(("a", 2.0, True, False), ("b", 0.1, False, True), ("c", -2.0, False, None))
    assert answers.on_level(rows, NAMES, "It is level") == (
        "It is level. Here A +2.00 [+1.50, +2.50] against R, significant; B +0.10 [−0.40, +0.60] against R, level "
        "within ±1 point; C −2.00 [−2.50, −1.50] against R, not significant (5% level, adjusted by Holm for 3 pairs)."
    )
    of_one_seed = rows.assign(p=float("nan"))
    assert answers.on_level(of_one_seed, NAMES, "It is level") == (
        "It is level: not judged, since that needs two seeds in common."
    )
