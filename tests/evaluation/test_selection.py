"""The audit shows what another choice of the epoch would have given."""

from fake_runs import fake_run

from petl_core.evaluation import selection
from petl_core.evaluation.grouping import group_runs
from petl_core.evaluation.names import full_names, method_and_loss


def test_choosing_on_test_is_never_worse_and_means_are_over_seeds(tmp_path):
    runs = [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)]
    runs += [fake_run(tmp_path, 0.5, seed=seed) for seed in (2, 3)]
    for run, chosen, audit in zip(runs[1:], (20.0, 22.0), ([10.0, 20.0, 24.0], [10.0, 22.0, 21.0]), strict=True):
        run.metrics["scores"]["strict"]["mr"], run.metrics["selection_audit"] = chosen, audit
    groups = group_runs(runs, method_and_loss)
    audit = selection.selection_audit(groups)
    assert audit.drop(columns="key").to_dict("records") == [
        {"seeds": 2, "on_validation": 21.0, "on_test": 23.0, "last": 22.5, "optimism": 2.0}
    ]
    shown = selection.readable_audit(audit, full_names({group.key: group.first for group in groups}))
    assert shown.iloc[0].tolist() == ["MRS-Adapter (InfoNCE)", 2, "21.00", "23.00", "22.50", "+2.00"]
