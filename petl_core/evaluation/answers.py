"""Answers: what a notebook's tables support, as a paragraph. Claims are quoted from papers; numbers are computed."""

from typing import Any

import pandas as pd

from petl_core.evaluation.comparison import Names, counted, signed, smallest_told

NAMED = 5  # differences that a sentence spells out; more are counted


def of_differences(differences: pd.DataFrame, names: Names, claim: str = "", above: bool = True) -> str:
    """What a frame of :func:`comparison.differences` says, and first whether that supports a claim.

    Args:
        differences: to references.
        names: of the frame's keys.
        claim: a sentence that begins with its source, as in "CMER claims that recycled negatives raise recall";
            without one, differences alone are told.
        above: whether the claim has differences above 0; otherwise it has them below.
    """
    judged = differences[differences["p"].notna()]
    if judged.empty:
        open_question = f"{claim}: this is open. " if claim else ""
        return f"{open_question}No two rows have two seeds in common, so nothing is compared."
    parts = [_on_claim(judged, claim, above) if claim else "", *_verdicts(judged, names), smallest_told(judged)]
    return " ".join(filter(None, parts))


def on_level(differences: pd.DataFrame, names: Names, claim: str) -> str:
    """Whether a frame of :func:`comparison.differences` supports a claim that it stays level with its reference."""
    judged = differences[differences["p"].notna()]
    if judged.empty:
        return f"{claim}: not judged here, for want of two seeds."
    levels = []
    for row in judged.to_dict("records"):
        if row["significant"]:
            verdict = "significant"
        else:
            verdict = "level within ±1 point" if row["equivalent"] is True else "not significant"
        levels.append(f"{_difference(row, names)} against {names[row['reference']]}, {verdict}")
    adjusted = f" (5% level, adjusted by Holm for {counted(len(judged), 'pair')})" if len(judged) > 1 else ""
    return f"{claim}. Here {'; '.join(levels)}{adjusted}."


def _on_claim(judged: pd.DataFrame, claim: str, above: bool) -> str:
    """How many differences support a claim, and how many contradict it."""
    significant = judged["significant"].astype(bool)
    as_claimed = (judged["difference"] > 0) == above
    support, against = (significant & as_claimed).sum(), (significant & ~as_claimed).sum()
    if not support and not against:
        return f"{claim}: this cannot be told here."
    if not against:
        verdict = (
            "this holds here" if support == len(judged) else f"this holds in {support} of {len(judged)} comparisons"
        )
    elif not support:
        verdict = f"here the opposite was found in {against} of {len(judged)} comparisons"
    else:
        verdict = f"{support} of {len(judged)} comparisons support this, {against} contradict it"
    return f"{claim}: {verdict}."


def _verdicts(judged: pd.DataFrame, names: Names) -> list[str]:
    """Significant differences, then the others, each in a sentence; the largest are spelled out."""
    significant = judged["significant"].astype(bool)
    references = judged["reference"].unique()
    to = f" to {names[references[0]]}" if len(references) == 1 else ""
    all_of_them = f"of {counted(len(judged), 'difference')}{to} in mR (points)"
    if not significant.any():
        return [f"None {all_of_them} is significant{_listed(judged, names)}{_equivalent(judged)}."]
    found = judged[significant]
    sentences = [f"{len(found)} {all_of_them} {'is' if len(found) == 1 else 'are'} significant{_listed(found, names)}."]
    if not significant.all():
        others = judged[~significant]
        sentences.append(
            f"{len(others)} {'is' if len(others) == 1 else 'are'} not{_listed(others, names)}{_equivalent(others)}."
        )
    return sentences


def _listed(differences: pd.DataFrame, names: Names) -> str:
    """The differences, the largest first, where they are few; of many significant ones the largest."""
    by_size = differences["difference"].abs().sort_values(ascending=False, kind="stable").index
    rows = differences.reindex(by_size).to_dict("records")
    several = differences["reference"].nunique() > 1
    told = [
        _difference(row, names) + (f" against {names[row['reference']]}" if several else "") for row in rows[:NAMED]
    ]
    which = ": " if len(rows) <= NAMED else ", the largest "
    return which + "; ".join(told)


def _difference(row: dict[str, Any], names: Names) -> str:
    interval = f"[{signed(row['low'])}, {signed(row['high'])}]"
    return f"{names[row['key']]} {signed(row['difference'])} {interval}"


def _equivalent(alike: pd.DataFrame) -> str:
    count = sum(verdict is True for verdict in alike["equivalent"])
    return f"; {count} of these {'is' if count == 1 else 'are'} equivalent within ±1 point" if count else ""
