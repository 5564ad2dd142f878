"""Intervals hold the truth, and tests are wrong, as often as they say; frames say what was found."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from petl_core.retrieval import METRICS, metrics
from petl_core.statistics import (
    EQUIVALENCE,
    SIGNIFICANCE,
    Means,
    bootstrap,
    compare,
    holm,
    interactions,
    interval,
    intervals,
    judge,
    main_effects,
    moderated,
)

NUMBERS = ["difference", "low", "high", "p", "p_holm", "detectable", "excluded"]


def run(rate=0.5, seed=0, n_images=80):
    """(N, 7) hits on images that are easier or harder for all, with 1 to 4 captions; the seed shifts the rate."""
    rng, world = np.random.default_rng(seed), np.random.default_rng(n_images)
    captions, ease = world.integers(1, 5, size=(n_images, 1)), world.uniform(-0.3, 0.3, size=(n_images, 1))
    rates = (rate + ease + rng.uniform(-0.1, 0.1)).clip(0, 1)
    i2t, t2i = rng.binomial(1, rates, size=(n_images, 3)), rng.binomial(captions, rates, size=(n_images, 3))
    return np.concatenate([i2t, t2i, captions], axis=1).astype(float)


def group(rate=0.5, seeds=range(3), number=0, n_images=80):
    return {seed: run(rate, 1000 * number + seed, n_images) for seed in seeds}


@pytest.fixture
def hits():
    return {
        "reference": group(0.4, number=1),
        "better": group(0.7, number=2),
        "alike": group(0.4, number=3),
        "untrained": {None: run(0.2, 9)},
        "once": {1: run(0.6, 8)},
        "elsewhere": {77: run(0.6, 7)},
    }


# Simulation: what is claimed of many tables, each of G methods against one reference, without any difference.

IMAGES, SEEDS = 0.94, 0.42 * np.sqrt(5)  # standard errors of a difference of mR: of 300 images, of one seed


def tables(n_seeds, n_rows, worlds, unlike, residual, n_images=30, seed=0):
    """Rows (S, N, worlds) of differences from one reference, whose seeds vary ``unlike`` (log variance) each other.

    ``residual`` is its share in a seed's variance. There are fewer images, which vary more, to the same effect.
    """
    rng = np.random.default_rng([seed, n_seeds])
    variance = SEEDS**2 / 2 * np.exp(rng.normal(0, unlike, size=(n_rows + 1, worlds)))
    variance[0] = SEEDS**2 / 2  # of the reference
    size = np.sqrt(n_images)
    images = rng.normal(0, IMAGES / np.sqrt(2) * size, size=(n_rows + 1, 1, n_images, worlds))
    seeds = rng.normal(size=(n_rows + 1, n_seeds, 1, worlds)) * np.sqrt((1 - residual) * variance)[:, None, None]
    rest = rng.normal(size=(n_rows + 1, n_seeds, n_images, worlds)) * np.sqrt(residual * variance)[:, None, None] * size
    values = images + seeds + rest
    return list(values[1:] - values[0])


@pytest.mark.parametrize("n_seeds", [3, 5, 10, 20])
@pytest.mark.parametrize(("unlike", "residual"), [(0.0, 0.1), (1.0, 0.1), (0.0, 0.8)])
def test_intervals_cover_and_families_are_wrong_at_most_one_time_in_twenty(n_seeds, unlike, residual):
    n_rows, worlds = 8, 800
    means = Means(tables(n_seeds, n_rows, worlds, unlike, residual), np.eye(n_rows) + 1)
    p = means.p_values()
    assert 0.935 < np.mean(p >= SIGNIFICANCE) < 0.99  # the interval of a row holds the truth
    any_false = np.mean(p.min(axis=0) * n_rows < SIGNIFICANCE)  # Holm's first step
    assert any_false < SIGNIFICANCE + 3 * np.sqrt(SIGNIFICANCE / worlds)
    assert any_false > 0.005 or n_seeds < 5  # and is not a third of that with five seeds or more


def test_moderation_helps_where_seeds_are_few_and_normal_quantiles_would_not_do():
    rows = tables(3, 8, 500, 0.0, 0.1)
    together = Means(rows, np.eye(8) + 1)
    alone = [Means([row]) for row in rows]
    half = np.mean([one.critical(0.05 / 8) * one.error for one in alone])
    assert np.mean(together.critical(0.05 / 8) * together.error) < 0.7 * half
    of_seeds_alone = [row.mean(axis=1, keepdims=True).repeat(30, axis=1) for row in rows]
    crude = Means(of_seeds_alone[:1])
    assert np.mean(np.abs(crude.mean) <= 1.96 * crude.error) < 0.9  # these worlds tell a good method from a bad one


def test_the_detectable_difference_is_found_four_times_in_five():
    rows = tables(10, 1, 1500, 0.0, 0.3)
    known = Means(rows)
    detectable = np.sqrt(np.mean(((known.critical(0.05) + known.critical(0.4)) * known.error) ** 2))
    assert 0.74 < np.mean(Means([rows[0] + detectable]).p_values() < 0.05) < 0.86


# The model, against what it is made of.


def test_where_only_one_thing_varies_it_is_the_t_test():
    for values, sample in (
        (np.repeat([[0.3], [1.2], [0.9], [2.0]], 40, axis=1), [0.3, 1.2, 0.9, 2.0]),  # seeds
        (np.tile(images := np.random.default_rng(0).normal(0.3, 1, size=40), (3, 1)), images),
    ):
        row, expected = judge([values]).iloc[0], stats.ttest_1samp(sample, 0)
        assert row["p"] == pytest.approx(expected.pvalue)
        assert row[["low", "high"]].tolist() == pytest.approx(list(expected.confidence_interval(0.95)))


def test_where_both_vary_it_is_the_sum_of_two_t_variables():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 30)) + 2 * rng.normal(size=(4, 1)) + 5 * rng.normal(size=(1, 30)) + 4
    means = Means([values[..., None]])
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    of_seeds = 30 * ((rows - values.mean()) ** 2).sum() / 3  # mean squares of a two-way table
    of_images = 4 * ((columns - values.mean()) ** 2).sum() / 29
    of_rest = ((values - rows - columns + values.mean()) ** 2).sum() / (3 * 29)
    assert means.error**2 == pytest.approx((of_seeds + of_images - of_rest) / values.size)
    assert means.share * means.error**2 == pytest.approx(of_seeds / values.size)
    share, off = means.share.item(), abs(means.mean / means.error).item()
    drawn = np.sqrt(share) * rng.standard_t(3, 10**6) + np.sqrt(1 - share) * rng.standard_t(29, 10**6)
    assert means.p_values().item() == pytest.approx(np.mean(np.abs(drawn) > off), rel=0.03)


def test_seeds_that_agree_by_chance_are_not_certain():
    """The second seed hits what the first one misses: both hit half of the images; what is left is the residual."""
    values = np.array([[1.0, 0.0] * 20, [0.0, 1.0] * 20])[..., None]
    rest = ((values - 0.5) ** 2).sum() / 39 / 40
    assert Means([values]).error ** 2 == pytest.approx(rest / 2)


def test_variances_are_drawn_together_as_limma_does():
    """Equal rows become one; rows that differ beyond chance stay apart; correlated rows are worth fewer."""
    chance = stats.chi2.ppf((np.arange(20) + 0.5) / 20, 4)[:, None] / 4
    low, zero = np.zeros_like(chance), np.zeros((20, 1))
    alike, degrees = moderated(chance, [4] * 20, zero, np.eye(20))
    assert alike == pytest.approx(np.full_like(chance, chance.mean()), rel=0.05) and degrees.max() > 50
    apart, degrees = moderated(chance * np.geomspace(1, 1e6, 20)[:, None], [4] * 20, low, np.eye(20))
    assert apart.max() > 1e4 * apart.min() and (degrees < 5).all()
    _, fewer = moderated(chance, [4] * 20, zero, np.full((20, 20), 0.5) + np.eye(20) / 2)
    assert fewer.max() < 20
    floored, _ = moderated(chance, [4] * 20, zero + 3.0, np.eye(20))
    assert (floored == 3).all()
    kept, degrees = moderated(np.array([[2.0]]), [4], np.array([[0.0]]), np.eye(1))
    assert (kept.item(), degrees.item()) == (2.0, 4.0)  # a row alone stays as it is


def test_the_bootstrap_of_one_run_has_its_estimate_and_the_spread_of_clustered_ratios():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, size=400)
    found = np.where(counts > 4, counts, 0.0)[:, None] * np.ones(3)  # captions of an image hit together
    table = np.column_stack([found > 0, found, counts])
    bounds = bootstrap(table, samples=4000)
    assert list(bounds) == list(METRICS) and bootstrap(table, samples=4000) == bounds
    assert bootstrap(table, samples=4000, seed=1) != bounds
    for name, (low, high) in bounds.items():
        assert 0 <= low < metrics(table)[name] < high <= 100
    ratio = found[:, 0].sum() / counts.sum()
    linearised = 100 * np.sqrt(((found[:, 0] - ratio * counts) ** 2).sum()) / counts.sum()
    assert np.ptp(bounds["t2i_r1"]) == pytest.approx(2 * 1.96 * linearised, rel=0.06)
    twice = interval([table, table]).set_index("metric")  # seeds that do not vary leave the images
    for name, (low, high) in bounds.items():
        assert twice.loc[name, ["low", "high"]].tolist() == pytest.approx([low, high], abs=0.15 * (high - low))


# Frames.


def test_intervals_are_around_the_means_of_each_label(hits):
    frame = intervals(hits)
    assert list(frame) == ["label", "metric", "mean", "low", "high", "seeds"] and len(frame) == 7 * len(hits)
    for label, part in frame.groupby("label"):
        assert dict(zip(part["metric"], part["mean"], strict=True)) == pytest.approx(
            metrics(list(hits[label].values()))
        )
    assert ((frame["low"] < frame["mean"]) & (frame["mean"] < frame["high"])).all()
    once = frame[frame["label"] == "once"]
    assert once[["low", "high"]].to_numpy().tolist() == list(bootstrap(hits["once"][1]).values())
    pd.testing.assert_frame_equal(interval(hits["once"][1]), once.drop(columns="label").reset_index(drop=True))


def test_a_comparison_has_a_row_and_a_verdict_per_pair(hits):
    pairs = [(label, "reference") for label in hits]
    frame = compare(hits, [*pairs, ("reference", "better"), ("better", "reference")])  # itself and again: not listed
    assert frame["label"].tolist() == ["better", "alike", "untrained", "once", "elsewhere"]
    assert frame["seeds"].tolist() == [3, 3, 3, 1, 0]
    assert frame["verdict"].tolist() == ["higher", "not significant", "lower", "one seed", "no common seed"]
    assert frame["difference"][0] == pytest.approx(
        metrics(list(hits["better"].values()))["mr"] - metrics(list(hits["reference"].values()))["mr"]
    )
    judged = frame[:3]
    assert judged["p_holm"].tolist() == holm(judged["p"]).tolist()
    assert (judged["excluded"] == judged[["low", "high"]].abs().max(axis=1)).all()
    assert frame.loc[3, ["difference", "low", "high"]].notna().all() and frame.loc[4, NUMBERS].isna().all()
    assert frame.loc[3, ["p", "p_holm", "detectable", "excluded"]].isna().all()
    fewer = compare(hits, pairs[1:2])  # a family of one; with less to learn variances from
    assert fewer["p"][0] == fewer["p_holm"][0]
    assert compare(hits, []).empty and list(compare(hits, [])) == list(frame)
    assert compare(hits, pairs, "t2i_r5")["difference"][0] != frame["difference"][0]


@pytest.mark.parametrize(
    ("mean", "spread", "verdict"),
    [(3.0, 0.1, "higher"), (-3.0, 0.1, "lower"), (0.5, 0.05, "higher"), (0.0, 0.3, "equivalent"),
     (0.0, 3.0, "not significant"), (0.6, 0.8, "not significant")]
)  # fmt: skip
def test_verdicts_follow_from_intervals(mean, spread, verdict):
    values = mean + spread * np.array([-1.0, 0.5, 0.5, -0.5, 0.5])[:, None] + np.zeros((5, 10))
    row = judge([values]).iloc[0]
    assert row["verdict"] == verdict
    assert (row["excluded"] <= EQUIVALENCE) == (row["low"] >= -EQUIVALENCE and row["high"] <= EQUIVALENCE)
    assert (row["p"] < SIGNIFICANCE) == (row["low"] > 0 or row["high"] < 0)


def cells(effects, interaction=0.0, seeds=range(4)):
    """Of a factorial design with levels 0, 1, ... of each factor: rates are sums, and one cell's excess."""
    found = {}
    for number, cell in enumerate(itertools.product(*(range(len(of_factor)) for of_factor in effects))):
        rate = 0.3 + sum(of_factor[level] for of_factor, level in zip(effects, cell, strict=True))
        found[cell] = group(rate + interaction * (cell == (1, 1)), seeds, number, n_images=200)
    return found


def test_main_effects_are_averages_over_the_other_factor_and_interactions_what_is_left():
    design = cells([(0, 0.2), (0, 0.0, 0.1)])
    mr = {cell: metrics(list(runs.values()))["mr"] for cell, runs in design.items()}
    frame = main_effects(design, ["terms", "contrast"])
    expected = [("terms", 1, 0), ("contrast", 1, 0), ("contrast", 2, 0)]
    assert frame[["factor", "level", "reference"]].apply(tuple, axis=1).tolist() == expected
    by_hand = [np.mean([mr[1, b] - mr[0, b] for b in range(3)])]
    by_hand += [np.mean([mr[a, b] - mr[a, 0] for a in range(2)]) for b in (1, 2)]
    assert frame["difference"].tolist() == pytest.approx(by_hand)
    assert frame["verdict"].tolist()[0] == "higher" and frame["verdict"].tolist()[1] != "higher"
    one_cell = compare(design, [((1, 0), (0, 0))])
    assert np.ptp(frame.loc[0, ["low", "high"]]) < 0.8 * np.ptp(one_cell.loc[0, ["low", "high"]])
    crossed = interactions(design, ["terms", "contrast"])
    assert crossed["factor"].tolist() == [("terms", "contrast")] * 2 and crossed["level"].tolist() == [(1, 1), (1, 2)]
    assert crossed["difference"].tolist() == pytest.approx([mr[1, b] - mr[0, b] - mr[1, 0] + mr[0, 0] for b in (1, 2)])
    found = interactions(cells([(0, 0.1), (0, 0.1)], interaction=0.3), ["a", "b"])
    assert found["verdict"].tolist() == ["higher"] and found["difference"][0] == pytest.approx(30, abs=15)


def test_effects_use_all_cells_of_an_incomplete_design_and_refuse_what_cells_cannot_tell_apart():
    design = cells([(0, 0.2), (0, 0.1)])
    incomplete = {cell: runs for cell, runs in design.items() if cell != (1, 1)}
    assert main_effects(incomplete, ["a", "b"])["seeds"].tolist() == [4, 4]
    with pytest.raises(ValueError, match="cannot tell the effects of a, b apart"):
        interactions(incomplete, ["a", "b"])
    with pytest.raises(ValueError, match="cannot tell"):
        main_effects({cell: design[cell] for cell in ((0, 0), (1, 1))}, ["a", "b"])
    with pytest.raises(ValueError, match="a level for each of a"):
        main_effects(design, ["a"])


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 5), st.integers(2, 12), st.integers(0, 1000))
def test_order_and_sign_change_nothing(random, n_seeds, n_images, start):
    labels = ["a", "b", "c", "d"]
    original = {x: group(0.5, range(n_seeds), start + i, n_images) for i, x in enumerate(labels)}
    original["zero"] = {None: run(0.3, start, n_images)}
    pairs = [("a", "b"), ("c", "b"), ("d", "b"), ("zero", "b")]
    images = random.sample(range(n_images), n_images)
    seeds = random.sample(range(n_seeds), n_seeds)
    shuffled = {
        x: {seed: original[x][seed][images] for seed in (seeds if x != "zero" else [None])}
        for x in random.sample(list(original), len(original))
    }
    frame = compare(original, pairs).set_index(["label", "reference"])
    again = compare(shuffled, random.sample(pairs, 4)).set_index(["label", "reference"]).loc[frame.index]
    pd.testing.assert_frame_equal(again, frame, rtol=1e-6, atol=1e-6)
    mirrored = compare(original, [(b, a) for a, b in pairs])
    assert mirrored["difference"].to_numpy() == pytest.approx(-frame["difference"].to_numpy())
    assert mirrored["low"].to_numpy() == pytest.approx(-frame["high"].to_numpy())
    assert mirrored["p"].to_numpy() == pytest.approx(frame["p"].to_numpy(), abs=1e-9)
    del original["zero"], shuffled["zero"]  # a bootstrap draws by the order of images
    low, low_again = (
        intervals(hits).pivot(index="label", columns="metric", values="low") for hits in (original, shuffled)
    )
    pd.testing.assert_frame_equal(low_again, low)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_whatever_was_hit_the_numbers_are_finite_and_in_order(data, n_seeds, n_images):
    """Two images or one, equal rows, no variance, one seed."""
    table = st.lists(st.sampled_from([0.0, 1.0]), min_size=6 * n_images, max_size=6 * n_images)
    tables_of = st.lists(table, min_size=n_seeds, max_size=n_seeds)
    found = {
        label: {
            seed: np.column_stack([np.reshape(values, (n_images, 6)), np.ones(n_images)])
            for seed, values in enumerate(data.draw(st.one_of(tables_of, table.map(lambda one: [one] * n_seeds))))
        }
        for label in "abc"
    }
    found["copy"] = found["a"]
    frame = compare(found, itertools.combinations(found, 2))
    shown = NUMBERS if n_seeds > 1 else ["difference", "low", "high"]
    assert np.isfinite(frame[shown]).all(axis=None)
    assert ((frame["low"] <= frame["difference"]) & (frame["difference"] <= frame["high"])).all()
    copies = frame[(frame["label"] == "a") & (frame["reference"] == "copy")]
    assert copies["difference"].tolist() == [0] and copies["low"].iloc[0] == -copies["high"].iloc[0]
    assert n_seeds == 1 or ((frame["p"].between(0, 1)) & (frame["p"] <= frame["p_holm"])).all()
    means = intervals(found)
    assert (means["low"] <= means["mean"] + 1e-9).all() and (means["mean"] <= means["high"] + 1e-9).all()


def test_rounding_error_is_no_difference_and_a_difference_without_variance_is_certain():
    frame = judge([np.repeat([[1e-15], [-2e-15]], 4, axis=1), np.repeat([[0.1], [0.1 + 1e-14]], 4, axis=1)])
    assert frame["p"].tolist() == [1.0, 0.0]
    assert frame[["low", "high"]].to_numpy().tolist() == [[0, 0], [0.1, 0.1]]


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_rejects_as_its_steps_do(p):
    rejected = set()
    for step, i in enumerate(np.argsort(p)):
        if p[i] * (len(p) - step) >= 0.05:
            break
        rejected.add(int(i))
    adjusted = holm([*p, np.nan])
    assert set(np.flatnonzero(adjusted < 0.05)) == rejected
    assert np.isnan(adjusted[-1]) and (adjusted[:-1] >= p).all() and (adjusted[:-1] <= 1).all()


TABLE = np.ones((4, 7))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap(np.ones((4, 6))), r"hits: expected \(N, 7\)"),
        (lambda: bootstrap(TABLE, samples=0), "samples >= 1"),
        (lambda: bootstrap(TABLE, level=95), "level between 0 and 1"),
        (lambda: bootstrap([TABLE, TABLE]), "the hits of one run, got 2"),
        (lambda: interval(np.full((2, 4, 7), np.nan)), "56 values are NaN"),
        (lambda: intervals({"a": {1: [TABLE, TABLE]}}), "for each seed, got those of 2"),
        (lambda: intervals({"a": {1: TABLE, 2: TABLE[:3]}}), "not tested on the same images"),
        (lambda: compare({"a": {1: TABLE}, "b": {1: 2 * TABLE}}, [("a", "b")]), "not tested on the same images"),
        (lambda: compare({"a": {1: TABLE}, "b": {1: TABLE}}, [("a", "b")], "mR"), "mR: expected one of i2t_r1"),
    ],
)
def test_errors_name_the_fault(call, message):
    with pytest.raises(ValueError, match=message):
        call()
