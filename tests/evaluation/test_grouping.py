"""Runs of one group differ only in their seed."""

import pytest
from fake_runs import fake_comparison, fake_run

from petl_core.evaluation.grouping import differing_fields, group_runs, representative
from petl_core.evaluation.names import method_and_loss


@pytest.fixture
def runs(tmp_path):
    return fake_comparison(tmp_path)


def test_runs_that_differ_in_seed_are_one_method(runs):
    groups = group_runs(runs, method_and_loss)
    assert [len(group.runs) for group in groups] == [1, 3, 3]
    assert [run.config.seed for run in groups[1].runs] == [2, 3, 4]
    assert [group.is_trained for group in groups] == [False, True, True]


def test_infonce_on_pairs_alone_represents_a_method(tmp_path):
    losses = [{"contrast": "triplet"}, {"w_image": 1.0}, {}]
    runs = [fake_run(tmp_path, 0.5, **loss) for loss in losses]
    groups = group_runs([*runs, fake_run(tmp_path, 0.5, method="focus", contrast="triplet")], method_and_loss)
    assert representative(groups, "mrs") == groups[2]
    assert representative(groups, "focus") == groups[3]
    assert representative(groups, "lora") is None


def test_two_methods_may_have_the_same_loss(tmp_path):
    keys = [
        method_and_loss(fake_run(tmp_path, 0.5, method=method, contrast=contrast))
        for method, contrast in (("mrs", "triplet"), ("full", "triplet"), ("full", "infonce"))
    ]
    assert keys[0].has_loss_of(keys[1]) and not keys[0].has_loss_of(keys[2])


def test_runs_that_differ_in_more_are_refused(runs, tmp_path):
    other = fake_run(tmp_path, 0.5, method="mrs", seed=9, learning_rate=5e-4)
    with pytest.raises(ValueError, match=r"MRS-Adapter .*differ in more than their seed, in learning_rate"):
        group_runs([*runs, other], method_and_loss)
    with pytest.raises(ValueError, match="different data sets"):
        group_runs([*runs, fake_run(tmp_path, 0.5, method="mrs", seed=9, dataset="scenes")], method_and_loss)


@pytest.mark.parametrize(
    ("name", "message"), [("images", "different images"), ("backbone", "weights of embedded-tiny")]
)
def test_what_has_one_name_must_be_one_thing(runs, name, message):
    """A backbone that was pre-trained again, or images that were replaced, between two runs."""
    runs[-1].metrics["inputs"][name] = "another"
    with pytest.raises(ValueError, match=message):
        group_runs(runs, method_and_loss)


def test_options_count_as_fields(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method_options=options) for options in ({}, {"share": 16})]
    assert differing_fields([run.config for run in runs]) == ["share"]
    assert differing_fields([run.config for run in runs], ["share"]) == []
