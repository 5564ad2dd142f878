"""Bold rows are the best, and those that are not significantly below it."""

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_comparison, fake_run

from petl_core.evaluation import comparison
from petl_core.evaluation.comparison import summary
from petl_core.evaluation.grouping import group_runs
from petl_core.evaluation.leaders import leaders
from petl_core.evaluation.names import METRICS, method_and_loss


def led(runs):
    groups = group_runs(runs, method_and_loss)
    frame = leaders(groups, summary(groups))
    assert list(frame) == list(METRICS.values()) and set(frame.dtypes.map(str)) == {"bool"}
    return [group.first.config.method for group in groups], frame


def test_rows_that_are_not_significantly_below_the_best_lead_with_it(tmp_path):
    far_below = [fake_run(tmp_path, 0.2, method="focus", seed=seed) for seed in (2, 3, 4)]
    methods, frame = led([*fake_comparison(tmp_path), *far_below])
    assert methods == ["zero_shot", "full", "mrs", "focus"]
    assert frame["mR"].tolist() == [False, True, True, False], "full and mrs have the same hits"


def test_where_all_would_lead_none_does(tmp_path):
    assert not led(fake_comparison(tmp_path))[1]["mR"].any(), "full and mrs have the same hits, zero-shot is untrained"


def test_a_row_whose_seeds_differ_too_much_to_be_told_from_the_best_leads(tmp_path):
    """Although one with a higher mean, whose seeds agree, does not: the uncertain one may truly be the best."""
    rates = {"full": (0.80, 0.80, 0.80), "mrs": (0.70, 0.70, 0.70), "focus": (0.10, 0.60, 0.95)}
    runs = [
        fake_run(tmp_path, rate, method=method, seed=seed)
        for method, of_seeds in rates.items()
        for seed, rate in enumerate(of_seeds, start=2)
    ]
    assert led(runs)[1]["mR"].tolist() == [True, False, True]


def test_each_metric_has_its_own_best(tmp_path):
    runs = fake_comparison(tmp_path)
    for run in runs[1:4]:  # full finds every text of an image first, and not one image of a text
        hits = run.test_hits.copy()
        hits[:, :3], hits[:, 3:6] = 1, 0
        np.save(run.folder / "test_hits.npy", hits)
    _, frame = led(runs)
    assert frame["I→T R@1"].tolist() == [False, True, False]
    assert frame["T→I R@1"].tolist() == [False, False, True]


def test_a_row_of_one_seed_leads_only_as_the_best(tmp_path):
    seeds = [fake_run(tmp_path, 0.6, method="full", seed=seed) for seed in (2, 3)]
    alike, best = fake_run(tmp_path, 0.6, method="mrs"), fake_run(tmp_path, 0.9, method="focus")
    assert led([*seeds, alike])[1]["mR"].sum() == 1
    assert led([*seeds, alike, best])[1]["mR"].tolist() == [False, False, True]


@pytest.mark.parametrize(("p", "leads"), [(0.02, False), (0.03, True)])
def test_the_level_is_divided_by_the_number_of_rivals(tmp_path, monkeypatch, p, leads):
    runs = [fake_run(tmp_path, rate, contrast=contrast, seed=seed)
            for rate, contrast in ((0.8, "infonce"), (0.7, "triplet")) for seed in (2, 3)]  # fmt: skip
    runs += [fake_run(tmp_path, 0.6, method="focus", seed=seed) for seed in (2, 3)]
    groups = group_runs(runs, method_and_loss)
    rivals = pd.DataFrame({"key": [group.key for group in groups[1:]], "p": [p, 0.0]})
    monkeypatch.setattr(comparison, "differences", lambda *_: rivals)
    assert leaders(groups, summary(groups))["mR"].tolist() == [True, leads, False]
