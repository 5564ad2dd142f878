"""Intervals and paired differences of one seed's recalls against known distributions."""

import numpy as np
import pytest
from recalls import METRICS, RECALLS, ragged_owners

from petl_core.retrieval import bootstrap, evaluate, paired_bootstrap, per_image_hits, relevance
from petl_core.retrieval import intervals as module


def random_hits(rng, n_images, probability, captions=5):
    """A table in which an image's captions hit or miss together."""
    hit = (rng.random((n_images, 1)) < probability) * np.ones((1, 3))
    return np.column_stack([hit, captions * hit, np.full(n_images, captions)])


def ragged_table(seed, n_images=30, n_captions=90):
    rng = np.random.default_rng(seed)
    owners = ragged_owners(rng, n_images, n_captions)
    scores = rng.normal(size=(n_images, n_captions)) + 2 * relevance(owners, n_images)
    return per_image_hits(scores, owners), evaluate(scores, owners)["strict"], owners


def test_per_image_hits_sum_to_the_recalls():
    table, strict, owners = ragged_table(0)
    assert table.shape == (30, 7)
    assert table[:, 6].tolist() == np.bincount(owners).tolist()
    sums = table.sum(axis=0)
    recalls = 100 * np.r_[sums[:3] / 30, sums[3:6] / 90]
    assert recalls == pytest.approx([strict[name] for name in RECALLS])
    same = per_image_hits([[0, 1], [1, 0]], [0, 1], ["a", "a"])
    assert same[:, :6].tolist() == np.ones((2, 6)).tolist()


def test_per_image_hits_belong_to_their_image():
    table = per_image_hits([[9, 0, 0], [0, 0, 1]], [0, 0, 1])
    assert table[:, [0, 3, 4, 6]].tolist() == [[1.0, 1.5, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0]]


def test_bootstrap_holds_the_estimate_and_repeats_by_seed():
    table, strict, _ = ragged_table(1)
    intervals = bootstrap(table, seed=3)
    assert list(intervals) == METRICS
    for name, (low, high) in intervals.items():
        assert 0 <= low <= strict[name] <= high <= 100
    assert intervals["i2t_r1"][0] < intervals["i2t_r1"][1]
    assert bootstrap(table, seed=3) == intervals
    assert bootstrap(table, seed=4) != intervals
    wide, narrow = intervals["mr"], bootstrap(table, seed=3, level=0.5)["mr"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_bootstrap_spread_is_the_ratio_estimators():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, size=400)
    hits = np.where(counts > 4, counts, 0.0)[:, None] * np.ones(3)
    intervals = bootstrap(np.column_stack([hits > 0, hits, counts]), samples=4000)
    ratio = hits[:, 0].sum() / counts.sum()
    linearised = 100 * np.sqrt(((hits[:, 0] - ratio * counts) ** 2).sum()) / counts.sum()
    low, high = intervals["t2i_r1"]
    assert high - low == pytest.approx(2 * 1.96 * linearised, rel=0.06)


def test_clustered_interval_is_wider_when_captions_of_an_image_hit_together():
    clustered = random_hits(np.random.default_rng(0), 200, 0.5)
    one_image_per_caption = np.repeat(clustered / np.r_[1, 1, 1, 5, 5, 5, 5], 5, axis=0)
    low, high = bootstrap(clustered)["t2i_r1"]
    naive_low, naive_high = bootstrap(one_image_per_caption)["t2i_r1"]
    assert high - low == pytest.approx(np.sqrt(5) * (naive_high - naive_low), rel=0.15)


def test_bootstrap_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        low, high = bootstrap(random_hits(rng, 80, 0.4), samples=300)["t2i_r5"]
        covered += low <= 40 <= high
    assert 0.90 < covered / 300 < 0.99


def test_paired_difference_of_identical_runs_is_zero():
    table, _, _ = ragged_table(2)
    for row in paired_bootstrap(table, table).values():
        assert row == {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_rounding_error_is_no_difference():
    row = paired_bootstrap([[0.1, 0.2, 0, 0, 0, 0, 1]], [[0, 0, 0.3, 0, 0, 0, 1]])["mr"]
    assert 0 < abs(row["low"]) < 1e-12  # the case does round
    assert row["p"] == 1


def test_paired_bootstrap_uses_the_pairing():
    rng = np.random.default_rng(0)
    worse = random_hits(rng, 300, 0.5)
    better = worse.copy()
    better[np.flatnonzero(worse[:, 0] == 0)[:9], :6] = [1, 1, 1, 5, 5, 5]
    row = paired_bootstrap(better, worse, samples=999)["mr"]
    assert row["difference"] == pytest.approx(3.0)
    assert 0 < row["low"] < 3 < row["high"] < 6  # unpaired, the interval would be 16 points wide
    assert row["p"] == pytest.approx(2 / 1000)
    mirrored = paired_bootstrap(worse, better, samples=999)["mr"]
    assert mirrored["difference"] == -row["difference"]
    assert [mirrored["low"], mirrored["high"]] == pytest.approx([-row["high"], -row["low"]])
    assert mirrored["p"] == row["p"]


def test_paired_p_value_is_uniform_without_a_difference():
    rng = np.random.default_rng(1)
    p = []
    for _ in range(200):
        a, b = random_hits(rng, 60, 0.5), random_hits(rng, 60, 0.5)
        p.append(paired_bootstrap(a, b, samples=199)["t2i_r1"]["p"])
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.10
    assert 0.4 < np.mean(p) < 0.65


def test_resamples_come_in_blocks_that_all_tables_on_the_images_share(monkeypatch):
    """Memory is bounded by the block; tables on the same images share their resamples."""
    table, _, _ = ragged_table(3)
    monkeypatch.setattr(module, "BLOCK", 7 * len(table))
    weights = list(module._image_weights(20, len(table), seed=1))
    assert [len(block) for block in weights] == [7, 7, 6]
    assert all((block.sum(axis=1) == len(table)).all() for block in weights)
    assert len({block.tobytes() for block in weights[:2]}) == 2
    drawn = module._draw_block.cache_info().misses
    first = bootstrap(table, samples=20, seed=1)
    assert bootstrap(table[:, [0, 0, 0, 3, 3, 3, 6]], samples=20, seed=1)["i2t_r5"] == first["i2t_r1"]
    assert module._draw_block.cache_info().misses == drawn


def test_there_are_ten_thousand_resamples_by_default():
    table, _, _ = ragged_table(1)
    assert bootstrap(table) == bootstrap(table, samples=10_000) != bootstrap(table, samples=9_999)
    assert paired_bootstrap(table, np.zeros_like(table) + [0, 0, 0, 0, 0, 0, 1] * table[:, 6:])["mr"]["p"] == 2 / 10_001
