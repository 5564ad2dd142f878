"""A learning curve is a run's own history."""

from fake_runs import fake_run

from petl_core.evaluation.grouping import group_runs
from petl_core.evaluation.learning_curves import learning_curves, still_climbing
from petl_core.evaluation.names import method_and_loss


def test_every_seed_has_its_epochs_and_one_of_them_is_chosen(tmp_path):
    runs = [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)]
    runs += [fake_run(tmp_path, 0.5, seed=2), fake_run(tmp_path, 0.5, seed=3)]
    runs[1].metrics["history"][0]["validation_mr"] = 5.0
    runs[1].metrics["chosen_epoch"] = 2
    curves = learning_curves(group_runs(runs, method_and_loss))
    assert curves.drop(columns="key").values.tolist() == [
        [2, 0, 5.0, False],
        [2, 1, 10.0, False],
        [2, 2, 11.0, True],
        [3, 1, 10.0, True],
        [3, 2, 11.0, False],
    ]
    assert set(curves["key"]) == {method_and_loss(runs[1])}
    assert still_climbing(curves) == (
        "Best at the last epoch: 1 of 2 runs; the last fifth of the epochs brought +1.00 points (median run)."
    )


def test_nothing_trained_gives_an_empty_frame(tmp_path):
    untrained = group_runs([fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)], method_and_loss)
    curves = learning_curves(untrained)
    assert curves.columns.tolist() == ["key", "seed", "epoch", "validation_mr", "chosen"]
    assert still_climbing(curves) == ""
