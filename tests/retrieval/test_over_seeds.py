"""Intervals over seeds and images hold the truth as often as they say, whichever of the two varies more."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from petl_core.retrieval import bootstrap, metrics, paired_bootstrap
from petl_core.retrieval.over_seeds import MeanOverSeeds, detectable_differences, intervals, paired_differences

N_IMAGES = 60
SPREADS = {  # standard deviations of the figure of a seed due to seeds, images and residual
    "seeds": (1.0, 0.05, 0.05),
    "images": (0.0, 1.0, 0.3),
    "residual": (0.0, 0.0, 1.0),
    "both": (1.0, 1.0, 0.3),
    "all": (1.0, 1.0, 1.0),
}


def means_of_worlds(n_seeds, spread, truth, worlds=2000):
    """Of as many worlds with one true mean."""
    rng = np.random.default_rng(n_seeds)
    seeds, images, left = spread
    values = rng.normal(truth, left * np.sqrt(N_IMAGES), size=(n_seeds, N_IMAGES, worlds))
    values += rng.normal(0, images * np.sqrt(N_IMAGES), size=(1, N_IMAGES, worlds))
    values += rng.normal(0, seeds, size=(n_seeds, 1, worlds))
    return MeanOverSeeds.of(values)


def share_that_holds(found, truth):
    low, high = found.interval(0.95).T
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize("n_seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
def test_the_interval_covers_the_truth(n_seeds, spread):
    found = means_of_worlds(n_seeds, spread, truth=3.0)
    assert 0.93 < share_that_holds(found, 3.0) < 0.98


def test_where_seeds_vary_normal_quantiles_would_cover_too_little():
    """The worlds above distinguish a good method from a bad one."""
    found = means_of_worlds(5, SPREADS["seeds"], truth=3.0)
    assert np.mean(np.abs(found.mean - 3.0) <= 1.96 * np.sqrt(found.variance)) < 0.90


@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
def test_without_a_difference_one_in_twenty_p_values_is_below_five_percent(spread):
    assert 0.02 < np.mean(means_of_worlds(5, spread, truth=0.0).p_values() < 0.05) < 0.07


@pytest.mark.parametrize("spread", SPREADS.values(), ids=SPREADS)
def test_the_detectable_difference_is_found_four_times_in_five(spread):
    known = means_of_worlds(10, spread, truth=0.0)
    difference = np.sqrt(np.mean(known.detectable(0.05, 0.8) ** 2))
    found = means_of_worlds(10, spread, truth=difference).p_values() < 0.05
    assert 0.74 < np.mean(found) < 0.86


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.integers(2, 30), st.floats(-3, 3), st.integers(0, 1000))
def test_a_p_value_is_small_where_the_interval_leaves_out_zero(n_seeds, n_images, truth, seed):
    rng = np.random.default_rng(seed)
    found = MeanOverSeeds.of(truth + rng.normal(size=(n_seeds, n_images, 1)) + rng.normal(size=(n_seeds, 1, 1)))
    (p,) = found.p_values()
    ((low, high),) = found.interval(0.95)
    assert (p < 0.05) == (low > 0 or high < 0)
    assume(1e-6 < p < 1 - 1e-6)
    assert np.abs(found.interval(1 - p)).min() == pytest.approx(0, abs=1e-6)


def test_where_images_are_all_alike_it_is_the_t_test_of_the_seeds():
    figures = np.array([0.3, 1.2, 0.9, 2.0, 1.4])
    found = MeanOverSeeds.of(np.broadcast_to(figures[:, None, None], (5, 40, 1)))
    expected = stats.ttest_1samp(figures, 0)
    assert found.p_values() == pytest.approx([expected.pvalue])
    assert found.interval(0.95)[0] == pytest.approx(expected.confidence_interval(0.95))


def test_where_seeds_are_all_alike_it_is_the_t_test_of_the_images():
    images = np.random.default_rng(0).normal(0.3, 1, size=40)
    found = MeanOverSeeds.of(np.broadcast_to(images[None, :, None], (3, 40, 1)))
    expected = stats.ttest_1samp(images, 0)
    assert found.p_values() == pytest.approx([expected.pvalue])
    assert found.interval(0.95)[0] == pytest.approx(expected.confidence_interval(0.95))


def test_the_parts_of_the_variance_are_those_of_the_two_way_table():
    """Mean squares of a two-way analysis of variance with one value per cell."""
    n_seeds, n_images = 4, 30
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n_seeds, n_images)) + rng.normal(size=(n_seeds, 1)) + rng.normal(size=(1, n_images))
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    of_seeds = n_images * ((rows - values.mean()) ** 2).sum() / (n_seeds - 1)
    of_images = n_seeds * ((columns - values.mean()) ** 2).sum() / (n_images - 1)
    of_rest = ((values - rows - columns + values.mean()) ** 2).sum() / ((n_seeds - 1) * (n_images - 1))
    found = MeanOverSeeds.of(values[..., None])
    assert found.variance == pytest.approx([(of_seeds + of_images - of_rest) / values.size])
    assert found.share * found.variance == pytest.approx([of_seeds / values.size])


def test_what_nothing_varies_is_certain_and_rounding_error_is_no_difference():
    same = MeanOverSeeds.of(np.full((2, 4, 1), 0.1) + np.array([0.0, 1e-14])[:, None, None])
    assert same.p_values()[0] < 1e-90 and same.interval(0.95).tolist() == [[0.1, 0.1]]
    none = MeanOverSeeds.of(np.array([1e-15, -2e-15])[:, None, None] + np.zeros((2, 4, 1)))
    assert none.p_values().tolist() == [1.0] and none.interval(0.95).tolist() == [[0, 0]]


def test_seeds_that_agree_by_chance_are_not_certain():
    """The second seed hits what the first one misses: both hit half of the images."""
    hits = np.array([[1.0, 0.0] * 20, [0.0, 1.0] * 20])
    found = MeanOverSeeds.of(hits[..., None])
    assert found.variance == pytest.approx([hits[0].var(ddof=1) / hits.size])
    assert found.share.tolist() == [0.0]


def tables(n_seeds, rate=0.5, spread=0.1, seed=0, n_images=80):
    """(S, N, 7) hits of seeds whose rates differ, on images that are easier or harder for all, with 1 to 4 captions."""
    rng = np.random.default_rng(seed)
    captions = np.random.default_rng(n_images).integers(1, 5, size=(1, n_images, 1))
    rates = rate + rng.uniform(-spread, spread, size=(n_seeds, 1, 1)) + rng.uniform(-0.3, 0.3, size=(1, n_images, 1))
    i2t = rng.binomial(1, rates, size=(n_seeds, n_images, 3))
    t2i = rng.binomial(captions, rates, size=(n_seeds, n_images, 3))
    return np.concatenate([i2t, t2i, np.broadcast_to(captions, (n_seeds, n_images, 1))], axis=-1).astype(float)


def test_intervals_of_recalls_cover_their_truth():
    found = [intervals(tables(5, seed=seed)) for seed in range(200)]
    for metric in ("mr", "i2t_r1", "t2i_r1"):
        assert 0.92 < np.mean([one[metric][0] <= 50 <= one[metric][1] for one in found]) < 0.99


def test_intervals_of_paired_differences_cover_their_truth():
    pairs = [(tables(5, 0.5, seed=seed), tables(5, 0.55, seed=1000 + seed)) for seed in range(200)]
    found = [paired_differences(*pair)["mr"] for pair in pairs]
    assert 0.92 < np.mean([one["low"] <= -5 <= one["high"] for one in found]) < 0.99


def test_intervals_are_around_the_means_over_seeds():
    hits = tables(3)
    found = intervals(hits)
    assert list(found) == list(metrics(hits))
    for name, mean in metrics(hits).items():
        assert sum(found[name]) / 2 == pytest.approx(mean)
    all_or_nothing = hits[:2].copy()
    all_or_nothing[0, :, :6], all_or_nothing[1, :, :6] = 0, hits[1, :, 6:] ** [0, 0, 0, 1, 1, 1]
    assert intervals(all_or_nothing)["mr"] == [0, 100]
    narrow = intervals(hits, level=0.5)["mr"]
    assert found["mr"][0] < narrow[0] < narrow[1] < found["mr"][1]


def test_what_images_bring_is_what_the_bootstrap_finds():
    table = tables(1, n_images=400)[0]
    twice, resampled = intervals([table, table]), bootstrap(table)
    for metric, (low, high) in resampled.items():
        assert twice[metric] == pytest.approx([low, high], abs=0.15 * (high - low))


def test_one_seed_is_left_to_the_bootstrap():
    a, b = tables(1), tables(1, 0.6, seed=5)
    assert intervals(a) == bootstrap(a[0])
    assert paired_differences(a, b) == paired_bootstrap(a[0], b[0])


def test_a_difference_is_paired_by_seed_and_image():
    worse = tables(5, spread=0.2)
    worse[:, :20, 0] = 0.0
    better = worse.copy()
    better[:, :20, 0] = 1.0  # the same gain for every seed
    found = paired_differences(better, worse)["i2t_r1"]
    low, high = intervals(worse)["i2t_r1"]
    assert found["difference"] == pytest.approx(25)
    assert found["low"] > 10 and found["high"] - found["low"] < high - low
    mirrored = paired_differences(worse, better)["i2t_r1"]
    assert [-mirrored["high"], -mirrored["low"], mirrored["p"]] == pytest.approx(
        [found["low"], found["high"], found["p"]]
    )


def test_more_seeds_and_a_milder_test_detect_less():
    a, b = tables(10), tables(10, seed=7)
    strict, mild = (detectable_differences(a, b, significance, 0.8)["mr"] for significance in (0.005, 0.05))
    assert strict > mild > detectable_differences(a, b, 0.05, 0.5)["mr"]
    assert detectable_differences(a[:3], b[:3], 0.05, 0.8)["mr"] > mild
