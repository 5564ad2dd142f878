"""An ablation groups runs by its factors, compares groups that share some of them, and says what else varies."""

import pandas as pd
import pytest
from fake_runs import fake_queues, fake_run
from petl_core.runs.folder import Failure

from petl_core.config import RunConfig
from petl_core.evaluation.ablation import Ablation

QUEUE = ["queue_size", "queue_warmup"]
FULL = "HMMC"
ON = "On a few drawn scenes; CLIP of 7.8 M parameters pre-trained on a few drawn ground-level scenes."


@pytest.fixture
def queue_runs(tmp_path):
    return fake_queues(tmp_path)


@pytest.fixture
def queue(queue_runs):
    return Ablation(queue_runs, QUEUE)


def pairs(ablation, differences):
    """Names of what is compared."""
    keys = zip(differences["key"], differences["reference"], strict=True)
    return [(ablation.names[key], ablation.names[reference]) for key, reference in keys]


def test_groups_are_known_by_their_factors_and_hold_their_seeds(queue):
    assert list(queue.names) == [(None, None, "zero_shot"), (0, None), (64, 0), (64, 8)]
    assert list(queue.names.values()) == [
        "Zero-shot CLIP",
        "queue size 0",
        "queue size 64 · queue warmup 0",
        "queue size 64 · queue warmup 8",
    ]
    assert [[run.config.seed for run in group.runs] for group in queue.groups] == [[2], [2, 3], [2, 3], [2, 3]]


def test_names_have_words_as_they_are_and_the_switches_that_are_on(tmp_path):
    runs = [
        fake_run(tmp_path, 0.5, w_image=weight, w_text=1.0, contrast=contrast, mask_false_negatives=mask)
        for weight, contrast, mask in ((1.0, "infonce", False), (0.0, "triplet", True))
    ]
    ablation = Ablation(runs, ["terms", "contrast", "mask_false_negatives"])
    assert list(ablation.names.values()) == [
        f"{FULL} · InfoNCE",
        "image–text + text–text · triplet · mask false negatives",
    ]
    masking = Ablation(
        [fake_run(tmp_path, 0.5, seed=9, mask_false_negatives=m) for m in (False, True)], ["mask_false_negatives"]
    )
    assert list(masking.names.values()) == ["MRS-Adapter (InfoNCE)", "mask false negatives"]


def test_groups_keep_their_order_and_name_the_rate_that_was_chosen(tmp_path):
    """The first configuration is the reference, although its better rate comes last."""
    tried = [(0, 1e-3), (64, 1e-3), (0, 1e-2)]
    slow, queued, fast = (fake_run(tmp_path, 0.5, queue_size=size, learning_rate=rate) for size, rate in tried)
    fast.metrics["history"][1]["validation_mr"] = 50.0
    ablation = Ablation([slow, queued, fast], ["queue_size"])
    assert [group.first for group in ablation.groups] == [fast, queued]
    assert pairs(ablation, ablation.differences()) == [("queue size 64", "queue size 0")]
    assert ablation.readable_table()["Learning rate"].tolist() == ["0.01", "0.001"]


def test_runs_that_differ_in_more_than_factors_and_seed_are_refused(queue_runs, tmp_path):
    with pytest.raises(ValueError, match=r"InfoNCE\): runs of one group .* in weight_decay"):
        Ablation([*queue_runs, fake_run(tmp_path, 0.5, weight_decay=0.1)], QUEUE)
    with pytest.raises(ValueError, match=r"queue 64: runs of one group .* in queue_warmup"):
        Ablation(queue_runs, ["queue_size"])
    with pytest.raises(ValueError, match="different data sets"):
        Ablation([*queue_runs, fake_run(tmp_path, 0.5, dataset="scenes")], QUEUE)


def test_of_several_learning_rates_the_best_on_validation_is_kept_unless_they_are_the_question(tmp_path):
    runs = [fake_run(tmp_path, 0.5, learning_rate=rate) for rate in (1e-3, 1e-2)]
    runs[1].metrics["history"][1]["validation_mr"] = 50.0
    assert Ablation(runs, ["contrast"]).runs == runs[1:]
    assert Ablation(runs, ["learning_rate"]).table["learning_rate"].tolist() == [1e-3, 1e-2]


def test_captions_say_what_else_varies_and_what_failed(queue_runs, tmp_path):
    assert Ablation(queue_runs, QUEUE).caption("queues").endswith("All else is equal.")
    assert Ablation(queue_runs, QUEUE).caption("Queues").startswith("Queues: recalls (%) on 150 test")
    other = fake_run(tmp_path, 0.5, queue_size=16, epochs=3, train_images=40, method_options={"share": 16})
    assert (
        Ablation([*queue_runs, other], QUEUE)
        .caption("queues")
        .endswith("runs differ in epochs, training images, shared width.")
    )
    terms = [fake_run(tmp_path, 0.5, w_image=weight, seed=9) for weight in (0.0, 1.0)]
    assert "All else is equal" in Ablation(terms, ["terms"]).caption("terms")
    failed = [Failure("0123", RunConfig(queue_size=8), "killed", "MRS-Adapter")]
    assert Ablation(queue_runs, QUEUE, failed).caption("queues").endswith("queue 8, seed 2 (0123): killed.")


def test_the_table_has_a_column_for_each_factor(queue):
    frame = queue.table
    assert frame["queue_size"].tolist() == [None, 0, 64, 64]
    assert frame["queue_warmup"].tolist() == [None, None, 0, 8]
    assert ((frame["mr_low"] <= frame["mr"]) & (frame["mr"] <= frame["mr_high"])).all()
    printed = queue.readable_table()
    assert list(printed)[:4] == ["Queue size", "Queue warmup", "Trained parameters", "Seeds"]
    assert printed["Queue size"].tolist() == ["Zero-shot CLIP", "0", "64", "64"]
    assert printed["Queue warmup"].tolist() == ["–", "–", "0", "8"]


def test_methods_are_shown_by_their_title(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method=method) for method in ("mrs", "focus")]
    ablation = Ablation([*runs, fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)], ["method"])
    assert ablation.table["method"].tolist() == ["mrs", "focus", None]
    assert ablation.readable_table()["Method"].tolist() == ["MRS-Adapter", "Focus-Adapter", "Zero-shot CLIP"]


def test_differences_refer_to_the_first_trained_group(queue):
    frame = queue.differences()
    assert pairs(queue, frame) == [
        ("queue size 64 · queue warmup 0", "queue size 0"),
        ("queue size 64 · queue warmup 8", "queue size 0"),
        ("Zero-shot CLIP", "queue size 0"),
    ]
    assert queue.readable_differences(frame)["Seeds"].tolist() == [2, 2, 2]
    caption = queue.differences_caption("from the first", frame)
    assert caption.startswith("Paired mR differences (points) from the first, 95% intervals. 2 of 3 differences sig")
    assert caption.endswith(f"80% power (median pair). {ON}")
    caption = queue.forest_caption("from the first")
    assert caption.startswith("Paired mR differences (points) from the first, 95% intervals;") and caption.endswith(ON)


def test_in_each_round_the_reference_is_the_first_with_the_same_factors(tmp_path):
    runs = [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)] + [
        fake_run(tmp_path, 0.5, w_image=weight, w_text=1.0, contrast=contrast)
        for weight in (1.0, 0.0)
        for contrast in ("infonce", "triplet")
    ]
    ablation = Ablation(runs, ["terms", "contrast"])
    less = "image–text + text–text"
    assert pairs(ablation, ablation.differences(["contrast"], ["terms"])) == [
        (f"{less} · InfoNCE", f"{FULL} · InfoNCE"),
        ("Zero-shot CLIP", f"{FULL} · InfoNCE"),
        (f"{less} · triplet", f"{FULL} · triplet"),
        ("Zero-shot CLIP", f"{FULL} · triplet"),
        (f"{FULL} · triplet", f"{FULL} · InfoNCE"),
        (f"{less} · triplet", f"{less} · InfoNCE"),
    ]


def test_a_pair_that_two_rounds_ask_for_is_listed_and_counted_once(tmp_path):
    runs = [
        fake_run(tmp_path, 0.5, w_image=weight, contrast=contrast, seed=seed)
        for contrast, weight in (("infonce", 1.0), ("triplet", 1.0), ("infonce", 0.0))
        for seed in (2, 3)
    ]
    ablation = Ablation(runs, ["terms", "contrast"])
    once, again = ablation.differences(["contrast"], ["terms"]), ablation.differences(["contrast"], ["terms"], [])
    assert len(pairs(ablation, once)) == 2
    pd.testing.assert_frame_equal(once, again)  # the last round asks for both


def test_where_nothing_was_trained_there_are_no_differences(tmp_path):
    ablation = Ablation([fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)], QUEUE)
    frame = ablation.differences()
    assert frame.empty and ablation.readable_differences(frame).empty
    assert ablation.differences_caption("from the first", frame).endswith(f"No two rows could be compared. {ON}")


def test_a_learned_temperature_is_compared_with_fixed_ones_and_not_chosen_among_them(tmp_path):
    fields = [{}, {"temperature": 0.01}, {"learn_temperature": True}]
    runs = [fake_run(tmp_path, 0.5, **changes) for changes in fields]
    assert Ablation(runs, ["temperature"]).table["temperature"].tolist() == [0.07, 0.01, "learned"]
    assert "All else is equal" in Ablation(runs, ["temperature"]).caption("temperatures")
