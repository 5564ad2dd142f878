"""Answers: what a notebook's tables support, in words. Claims are quoted from papers; numbers are computed."""

from typing import Any

import pandas as pd

from petl_core.evaluation.comparison import Names, counted, detectable_sentence, signed

MOST_LISTED = 3  # differences in a sentence; where there are more, only the largest are listed


def of_differences(differences: pd.DataFrame, names: Names, claim: str = "", above: bool = True) -> str:
    """What a frame of :func:`comparison.differences` says, beginning with whether it supports a claim.

    Args:
        differences: from references.
        names: of the frame's keys.
        claim: a sentence that begins with its source, as in "CMER claims that recycled negatives raise recall";
            without one, only the differences are reported.
        above: whether the claim expects differences above 0; otherwise below.
    """
    judged = differences[differences["p"].notna()]
    if judged.empty:
        open_question = f"{claim}: this is open. " if claim else ""
        return f"{open_question}No two rows have two seeds in common, so nothing is compared."
    sentences = [_on_claim(judged, claim, above)] if claim else []
    sentences += _verdicts(judged, names)
    sentences.append(detectable_sentence(judged))
    return " ".join(sentence for sentence in sentences if sentence)


def on_level(differences: pd.DataFrame, names: Names, claim: str) -> str:
    """Whether a frame of :func:`comparison.differences` supports a claim that it stays level with its reference."""
    judged = differences[differences["p"].notna()]
    if judged.empty:
        return f"{claim}: not judged, since that needs two seeds in common."
    parts = []
    for row in judged.to_dict("records"):
        if row["significant"]:
            verdict = "significant"
        elif row["equivalent"] is True:
            verdict = "level within ±1 point"
        else:
            verdict = "not significant"
        parts.append(f"{_difference(row, names)} against {names[row['reference']]}, {verdict}")
    adjusted = f" (5% level, adjusted by Holm for {counted(len(judged), 'pair')})" if len(judged) > 1 else ""
    return f"{claim}. Here {'; '.join(parts)}{adjusted}."


def _on_claim(judged: pd.DataFrame, claim: str, above: bool) -> str:
    """How many differences support a claim, and how many contradict it."""
    significant = judged["significant"].astype(bool)
    as_claimed = (judged["difference"] > 0) == above
    support = (significant & as_claimed).sum()
    against = (significant & ~as_claimed).sum()
    if support and against:
        verdict = f"{support} of {len(judged)} comparisons support this, {against} contradict it"
    elif against:
        verdict = f"here the opposite was found in {against} of {len(judged)} comparisons"
    elif support == len(judged):
        verdict = "this holds here"
    elif support:
        verdict = f"this holds in {support} of {len(judged)} comparisons"
    else:
        verdict = "this cannot be decided here"
    return f"{claim}: {verdict}."


def _verdicts(judged: pd.DataFrame, names: Names) -> list[str]:
    """A sentence on the significant differences and one on the others, each with a list of the largest."""
    significant = judged["significant"].astype(bool)
    found, others = judged[significant], judged[~significant]

    # All are counted in the first sentence, which names the reference if they share one.
    references = judged["reference"].unique()
    shared_reference = f" from {names[references[0]]}" if len(references) == 1 else ""
    all_of_them = f"{counted(len(judged), 'difference')}{shared_reference} in mR (points)"
    if found.empty:
        return [f"None of {all_of_them} is significant{_listed(others, names)}{_equivalent(others)}."]

    sentences = [f"{len(found)} of {all_of_them} {_is_or_are(len(found))} significant{_listed(found, names)}."]
    if len(others):
        rest = f"{len(others)} {_is_or_are(len(others))} not"
        sentences.append(f"{rest}{_listed(others, names)}{_equivalent(others)}.")
    return sentences


def _listed(differences: pd.DataFrame, names: Names) -> str:
    """The differences, or the largest where there are many, as the end of a sentence: ": A +2.00 [...]; B ..."."""
    by_size = differences["difference"].abs().sort_values(ascending=False, kind="stable").index
    largest = differences.reindex(by_size[:MOST_LISTED])
    has_several_references = differences["reference"].nunique() > 1
    parts = []
    for row in largest.to_dict("records"):
        against = f" against {names[row['reference']]}" if has_several_references else ""
        parts.append(f"{_difference(row, names)}{against}")
    opening = ": " if len(differences) <= MOST_LISTED else ", the largest "
    return opening + "; ".join(parts)


def _difference(row: dict[str, Any], names: Names) -> str:
    interval = f"[{signed(row['low'])}, {signed(row['high'])}]"
    return f"{names[row['key']]} {signed(row['difference'])} {interval}"


def _equivalent(differences: pd.DataFrame) -> str:
    """How many are equivalent, as the end of a sentence; empty if none is."""
    count = sum(verdict is True for verdict in differences["equivalent"])
    return f"; {count} of these {_is_or_are(count)} equivalent within ±1 point" if count else ""


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"
