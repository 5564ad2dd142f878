"""Answers: what a notebook's tables support, as a paragraph. Claims are quoted from papers; numbers are computed."""

from typing import Any

import pandas as pd

from petl_core.evaluation.comparison import Names, counted, signed, smallest_told

NAMED = 3  # differences that a sentence spells out; more are counted


def of_differences(differences: pd.DataFrame, names: Names, claim: str = "") -> str:
    """What a frame of :func:`comparison.differences` says, and whether that supports a claim.

    Args:
        differences: to a reference which the claim says is surpassed.
        names: of the frame's keys.
        claim: a sentence that begins with its source, as in "CMER claims that recycled negatives raise recall";
            without one, differences alone are told.
    """
    judged = differences[differences["p"].notna()]
    if judged.empty:
        unsettled = " Whether the claim holds is open." if claim else ""
        return f"No two rows have two seeds in common, so nothing here can be told apart.{unsettled}"
    parts = [_told_apart(judged, names), _alike(judged, names), smallest_told(judged)]
    return " ".join(filter(None, [*parts, _on_claim(judged, claim) if claim else ""]))


def on_level(differences: pd.DataFrame, names: Names, claim: str) -> str:
    """Whether a frame of :func:`comparison.differences` supports a claim that it stays level with its reference."""
    judged = differences[differences["p"].notna()]
    if judged.empty:
        return f"{claim}: not judged here, for want of two seeds."
    levels = []
    for row in judged.to_dict("records"):
        if row["distinguishable"]:
            verdict = "significant"
        else:
            verdict = "level within ±1 point" if row["equivalent"] is True else "not significant"
        levels.append(f"{_pair(row, names)}, {verdict}")
    adjusted = f" (5% level, adjusted by Holm for {counted(len(judged), 'pair')})" if len(judged) > 1 else ""
    return f"{claim}. Here {'; '.join(levels)}{adjusted}."


def _told_apart(judged: pd.DataFrame, names: Names) -> str:
    """How many differences are told, the largest spelled out."""
    told = judged[judged["distinguishable"].astype(bool)]
    seeds = judged["seeds"]
    of_seeds = f"{seeds.max()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    how_many = f"{len(told)} of {counted(len(judged), 'pair')} with {of_seeds} seeds in common"
    if told.empty:
        return f"{how_many} can be told apart at the 5% level."
    which = ":" if len(told) <= NAMED else ". The largest differences:"
    return f"{how_many} can be told apart at the 5% level{which} {_pairs(told, names)}."


def _alike(judged: pd.DataFrame, names: Names) -> str:
    """Those that are not told: spelled out where they are few, and how many of them are known to be alike."""
    alike = judged[~judged["distinguishable"].astype(bool)]
    if alike.empty:
        return ""
    equivalent = sum(verdict is True for verdict in alike["equivalent"])
    known = f"; {equivalent} of them {_is(equivalent)} alike within ±1 point" if equivalent else ""
    which = f": {_pairs(alike, names)}" if len(alike) <= NAMED else ""
    return f"{len(alike)} {_is(len(alike))} not told apart{known}{which}."


def _pairs(differences: pd.DataFrame, names: Names) -> str:
    """The largest differences of a frame."""
    largest_first = differences["difference"].abs().sort_values(ascending=False, kind="stable").index
    return "; ".join(_pair(row, names) for row in differences.reindex(largest_first)[:NAMED].to_dict("records"))


def _pair(row: dict[str, Any], names: Names) -> str:
    side = "above" if row["difference"] > 0 else "below"
    interval = f"[{signed(row['low'])}, {signed(row['high'])}]"
    return f"{names[row['key']]} {abs(row['difference']):.2f} points {side} {names[row['reference']]} {interval}"


def _on_claim(judged: pd.DataFrame, claim: str) -> str:
    """How many comparisons support a claim that something surpasses the reference, and how many contradict it."""
    told = judged["distinguishable"].astype(bool)
    above, below = (told & (judged["difference"] > 0)).sum(), (told & (judged["difference"] < 0)).sum()
    if not above and not below:
        return f"{claim}: here this cannot be told."
    if not below:
        verdict = "this holds here" if above == len(judged) else f"this holds in {above} of {len(judged)} comparisons"
    elif not above:
        verdict = f"here the opposite was found in {below} of {len(judged)} comparisons"
    else:
        verdict = f"{above} of {len(judged)} comparisons support this, {below} contradict it"
    return f"{claim}: {verdict}."


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
