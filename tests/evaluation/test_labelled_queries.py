"""A run's tests with scene labels are separate rows, which say what they assume known."""

from fake_runs import add_labelled_tests, fake_run

from petl_core.evaluation.ablation import Ablation
from petl_core.evaluation.grouping import group_runs
from petl_core.evaluation.labelled_queries import class_accuracy, labelled_tests, trained_with


def test_labelled_queries_are_separate_rows(tmp_path):
    plain = fake_run(tmp_path, 0.3)
    trained = fake_run(tmp_path, 0.3, scene_probability=0.5)
    add_labelled_tests(plain, "gallery_oracle", "gallery_hard")
    add_labelled_tests(trained, "oracle", "predicted", "gallery_hard")
    tests = [test for run in (plain, trained) for test in (run, *labelled_tests(run))]
    ablation = Ablation(tests, ["labels", "queries"])
    assert list(ablation.names.values()) == [
        "without labels · no label",
        "without labels · gallery labels known, hard filter",
        "without labels · oracle filter (LEAK)",
        "labels in captions (0.5) · no label",
        "labels in captions (0.5) · predicted label",
        "labels in captions (0.5) · gallery labels known, hard filter",
        "labels in captions (0.5) · oracle label (LEAK)",
    ]
    assert (ablation.table["mr"] == 100).tolist() == [False, True, True, False, True, True, True]


def test_a_test_of_the_untrained_backbone_is_no_second_seed_of_its_plain_one(tmp_path):
    zero_shot, trained = fake_run(tmp_path, 0.2, method="zero_shot", epochs=0), fake_run(tmp_path, 0.3)
    for run in (zero_shot, trained):
        add_labelled_tests(run, "gallery_soft")
    ablation = Ablation(
        [zero_shot, *labelled_tests(zero_shot), trained, *labelled_tests(trained)], ["labels", "queries"]
    )
    assert ablation.table["seeds"].tolist() == [1, 1, 1, 1]
    assert list(ablation.names.values())[:2] == ["Zero-shot CLIP", "Zero-shot CLIP · gallery labels known, soft prior"]
    shown = ablation.readable_table()
    assert shown["Labels in training"].tolist() == ["Zero-shot CLIP"] * 2 + ["without labels"] * 2
    soft = "gallery labels known, soft prior"
    assert shown["Test"].tolist() == ["–", soft, "no label", soft]


def test_uses_in_training_are_distinguished_and_seeds_are_not(tmp_path):
    uses = [
        {}, {"scene_probability": 0.5}, {"scene_probability": 0.5, "scene_template": "{caption} ({scene})"},
        {"scene_weight": 0.3}, {"scene_balance": True}, {"scene_weight": 0.3, "scene_balance": True},
    ]  # fmt: skip
    runs = [fake_run(tmp_path, 0.3, seed=seed, **use) for use in uses for seed in (2, 3)]
    assert [group.key for group in group_runs(runs, lambda run: trained_with(run.config))] == [
        tuple(use.items()) for use in uses
    ]
    assert list(Ablation(runs, ["labels"]).names.values()) == [
        "without labels",
        "labels in captions (0.5)",
        "labels in captions (0.5) + as '{caption} ({scene})'",
        "label cross-entropy (0.3)",
        "batches balanced by label",
        "label cross-entropy (0.3) + batches balanced by label",
    ]


def test_accuracies_have_one_row_per_run(tmp_path):
    labelled, plain = fake_run(tmp_path, 0.3), fake_run(tmp_path, 0.3, seed=3)
    add_labelled_tests(labelled, "gallery_soft")
    (row,) = class_accuracy([labelled, *labelled_tests(labelled), plain]).to_dict("records")
    assert row["Run"] == "MRS-Adapter (InfoNCE), seed 2"
    assert (row["Text (%)"], row["Image (%)"], row["Prior weight, T→I"]) == ("97.5", "–", "0.1")
