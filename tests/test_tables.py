"""Runs as frames: what is compared, what is chosen on validation alone, and what a table shows."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_comparison, fake_run

from petl_core import retrieval, tables
from petl_core.adapters import METHODS
from petl_core.config import RunConfig
from petl_core.runs.archive import Failure
from petl_core.statistics import compare


@pytest.fixture(scope="module")
def frame():
    found = tables.frame(fake_comparison())
    return found.assign(row=found["title"])


@pytest.fixture(scope="module")
def summary(frame):
    return tables.summary(frame)


def of_rates(*settings: dict, seeds=(2, 3), **fields) -> list:
    """Runs of one method, the later the setting the better on validation."""
    return [
        fake_run(0.5, validation_mr=10.0 + place, seed=seed, **fields, **setting)
        for place, setting in enumerate(settings)
        for seed in seeds
    ]


# Names and frames.


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "MRS-Adapter"),
        ({"method": "zero_shot", "epochs": 0}, "Zero-shot CLIP"),
        (
            {"w_image": 1.0, "w_text": 1.0, "contrast": "triplet", "queue_size": 640},
            "MRS-Adapter, HMMC, triplet, queue 640",
        ),
        ({"w_text": 1.0}, "MRS-Adapter, image–text + text–text"),
        ({"method_options": {"bottleneck": 4}, "scene_weight": 0.1}, "MRS-Adapter, bottleneck 4, scene cross-entropy"),
        (
            {"queue_size": 64, "queue_keys": "ema", "scene_probability": 0.5},
            "MRS-Adapter, queue 64, slow keys, scene labels",
        ),
    ],
)  # fmt: skip
def test_a_name_says_what_differs_from_the_plain_method(fields, name):
    assert tables.name(RunConfig(**fields)) == name


def test_a_row_of_the_frame_is_a_run(frame):
    run = fake_comparison()[1]
    row = frame.iloc[1]
    assert set(RunConfig.model_fields) <= set(frame)
    assert (row["hash"], row["title"], row["attention"], row["seconds"]) == (run.hash, "Focus-Adapter", "focus", 4.0)
    assert row["mr"] == pytest.approx(run.metrics["scores"]["strict"]["mr"])
    assert (row["hits"] == run.hits).all()
    assert frame.iloc[0][["seconds", "parameters"]].tolist() == [0, 0] and np.isnan(frame.iloc[0]["peak_mib"])


def test_tests_that_know_labels_have_rows_of_their_own():
    frame = tables.frame([fake_run(0.3)], list(tables.TESTS))
    assert frame["test"].tolist() == ["plain", "gallery_hard", "oracle"]  # the run lacks gallery_soft
    assert frame["mr"].is_monotonic_increasing and frame["mr"].iloc[2] > 80


def test_history_and_failures():
    history = tables.history([fake_run(0.3, epochs=3)])
    assert history["epoch"].tolist() == [0, 1, 2, 3] and history["loss_total"].tolist()[1:] == [3.0, 1.5, 1.0]
    missing = tables.failures([Failure("abc", None, "not run yet"), Failure("def", RunConfig(), "OSError: full")])
    assert missing["method"].tolist() == ["–", "mrs"] and missing["reason"][1] == "OSError: full"


def test_the_setting_names_data_backbone_and_seeds(frame):
    assert tables.setting(frame) == "drawn scenes, 150 test images, small-clip, seeds 2–4"


# Settings, chosen on validation.


def test_rates_are_chosen_on_validation_alone():
    slow, fast = of_rates({"learning_rate": 1e-4}), of_rates({"learning_rate": 1e-3})
    fast = [
        replace(run, metrics={**run.metrics, "validation_mr": 50.0}, hits=0 * run.hits + run.hits[:, 6:])
        for run in fast
    ]
    worse_on_test = [replace(run, hits=run.hits * [0, 0, 0, 0, 0, 0, 1]) for run in fast]
    other = fake_run(0.5, method="full")
    kept = tables.best_rates(tables.frame([*slow, other, *worse_on_test]))
    assert kept["hash"].tolist() == [run.hash for run in (other, *worse_on_test)]


def test_settings_are_compared_at_the_seeds_at_which_several_were_tried():
    runs = of_rates({"learning_rate": 1e-3}, {"learning_rate": 1e-2})
    later = [fake_run(0.5, validation_mr=0.0, seed=seed, learning_rate=1e-2) for seed in (4, 5)]
    tried = tables.settings(tables.frame([*runs, *later]))
    assert tried["learning_rate"].tolist() == [1e-2, 1e-3] and tried["validation_mr"].tolist() == [11.0, 10.0]
    assert tried["seeds"].tolist() == [2, 2] and len(tried["hashes"][0]) == 4


def test_a_rate_that_lost_a_seed_is_not_chosen():
    others = of_rates({"learning_rate": 1e-4}, {"learning_rate": 1e-3})
    diverged_elsewhere = fake_run(0.5, validation_mr=99.0, seed=2, learning_rate=1e-2)
    assert set(tables.best_rates(tables.frame([*others, diverged_elsewhere]))["learning_rate"]) == {1e-3}


def test_options_and_temperatures_are_settings_and_a_bottleneck_is_not():
    runs = of_rates({"temperature": 0.01}, {"learn_temperature": True}, {"method_options": {"scale": 1.0}})
    other = of_rates({"method_options": {"share": 16}})
    tried = tables.settings(tables.frame([*runs, *other]))
    assert tried["family"].tolist() == [0, 0, 0, 1]
    assert tried["settings"][0]["method_options"] == {"scale": 1.0} and tried["scale"][0] == 1.0
    assert "temperature" not in tried["settings"][1]  # learned: it has no value


def test_a_choice_at_the_edge_of_what_was_tried_is_named():
    rates = [{"learning_rate": rate} for rate in (1e-4, 1e-3, 1e-2)]
    assert tables.settings(tables.frame(of_rates(*rates)))["at_edge"].tolist() == ["learning_rate", "", ""]
    inside = tables.frame(of_rates(rates[0], rates[2], rates[1]))
    assert tables.settings(inside)["at_edge"].tolist() == ["", "", ""]
    grid = [
        {"learning_rate": rate, "method_options": {"scale": s}} for s, rate in ((0.1, 1e-2), (0.1, 3e-2), (1.0, 1e-3))
    ]
    assert tables.settings(tables.frame(of_rates(*grid)))["at_edge"][0] == "scale"  # the only rate at this scale


def test_the_same_run_twice_counts_once_and_untrained_ones_stay():
    runs = [fake_run(0.2, method="zero_shot", epochs=0), *of_rates({"learning_rate": 1e-3}, {"learning_rate": 1e-2})]
    kept = tables.best_rates(tables.frame([*runs, *runs]))
    assert kept["hash"].nunique() == 3 and (kept["epochs"] == 0).sum() == 2
    assert tables.summary(kept.assign(row=kept["title"]))["seeds"].tolist() == [1, 2]
    assert len(tables.best_rates(tables.frame(runs[:1]))) == 1


# Rows and comparisons.


def test_rows_have_means_in_their_intervals_and_the_order_of_the_frame(frame, summary):
    assert summary["row"].tolist() == ["Zero-shot CLIP", "Focus-Adapter", "Full fine-tuning", "MRS-Adapter"]
    assert summary["seeds"].tolist() == [1, 3, 3, 3] and summary["seconds"].tolist() == [0, 4, 4, 4]
    for metric in tables.METRICS:
        assert (summary[f"{metric}_low"] <= summary[metric]).all() and (
            summary[metric] <= summary[f"{metric}_high"]
        ).all()
        means = frame.groupby("row", sort=False)[metric].mean()
        assert summary[metric].to_numpy() == pytest.approx(means.to_numpy())


def test_what_may_be_the_best_leads(summary):
    assert summary["mr_leads"].tolist() == [False, False, True, True]
    equal = tables.frame([fake_run(0.5, seed=seed, learning_rate=rate) for seed in (2, 3) for rate in (1e-3, 2e-3)])
    equal = tables.summary(equal.assign(row=equal["learning_rate"]))
    assert not equal["mr_leads"].any(), "where none is out, none leads"


def test_differences_are_those_of_statistics(frame):
    found = tables.differences(frame, reference="MRS-Adapter").set_index("row")
    assert found.index.tolist() == ["Focus-Adapter", "Full fine-tuning"]  # zero-shot is no hypothesis
    hits = {title: dict(zip(part["seed"], part["hits"], strict=True)) for title, part in frame.groupby("title")}
    expected = compare(hits, [("Focus-Adapter", "MRS-Adapter"), ("Full fine-tuning", "MRS-Adapter")])
    assert found["difference"].tolist() == expected["difference"].tolist()
    assert found["verdict"].tolist()[0] == "lower" and found["method"].tolist() == ["focus", "full"]
    pairs = tables.differences(frame, pairs=[("MRS-Adapter", "Zero-shot CLIP")], metric="t2i_r1")
    assert pairs["seeds"].tolist() == [3], "an untrained run pairs with every seed"


def test_effects_ignore_untrained_runs():
    cells = [
        fake_run(0.3 + 0.2 * image, seed=seed, w_image=float(image), w_text=float(text))
        for image in (0, 1) for text in (0, 1) for seed in (2, 3, 4)
    ]  # fmt: skip
    found = tables.effects(tables.frame([fake_run(0.1, method="zero_shot", epochs=0), *cells]), ["w_image", "w_text"])
    assert found["factor"].tolist() == ["w_image", "w_text"]
    assert found["verdict"].tolist()[0] == "higher" and abs(found["difference"][1]) < found["difference"][0] / 4


def test_an_untrained_run_is_never_of_one_row_with_trained_ones():
    runs = tables.frame([fake_run(0.1, method="zero_shot", epochs=0), fake_run(0.5)])
    assert tables.summary(runs, ["queue_size", "contrast"])["parameters"].tolist() == [0, 1000]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 1e-2}, "row a: its runs differ in learning_rate"),
        ({"method_options": {"bottleneck": 8}}, "differ in method_options"),
        ({"dataset": "rsicd"}, "different data sets"),
        ({"audit": True, "seed": 2}, "differ in audit"),
    ],
)
def test_runs_that_cannot_be_one_row_are_refused(changes, message):
    runs = tables.frame([fake_run(0.5, seed=2), fake_run(0.5, **{"seed": 3, **changes})]).assign(row="a")
    with pytest.raises(ValueError, match=message):
        tables.summary(runs)


@pytest.mark.parametrize("content", ["data", "images", "backbone"])
def test_one_name_with_two_contents_is_refused(content):
    old, new = fake_run(0.5, seed=2), fake_run(0.5, seed=3)
    new = replace(new, metrics={**new.metrics, "inputs": {**new.metrics["inputs"], content: "another"}})
    with pytest.raises(ValueError, match=f"different {content} under one name"):
        tables.summary(tables.frame([old, new]).assign(row="a"))


def test_an_unknown_reference_is_named(frame):
    with pytest.raises(ValueError, match="LoRA: no such row; there are Zero-shot CLIP, Focus-Adapter"):
        tables.differences(frame, reference="LoRA")


# How frames are shown.


def test_a_table_reads_like_the_published_ones(summary):
    lines = tables.markdown(summary).splitlines()
    assert [title.strip() for title in lines[0].strip("|").split("|")] == [
        "Method", "Trained parameters", "Seeds", "Training (s)", *tables.METRICS.values(),
    ]  # fmt: skip
    first = summary.iloc[0]
    assert lines[2].strip("| ").endswith(f"{first['mr']:.2f} [{first['mr_low']:.2f}, {first['mr_high']:.2f}]")
    assert "**" in lines[-1] and "**" not in lines[2] and "1,000" in lines[-1]
    assert tables.show(summary).to_html().count("font-weight: bold") >= 1


def test_differences_have_signs_and_short_p_values(frame):
    shown = tables.markdown(tables.differences(frame, reference="MRS-Adapter"))
    assert "−" in shown and "<0.001" in shown and "lower" in shown and " -" not in shown


def test_values_that_are_missing_and_columns_that_are_empty():
    frame = pd.DataFrame({"a": [0.0001, None], "on": [True, False], "empty": [np.nan, None], "n": [12345, 2]})
    assert tables.markdown(frame).splitlines()[2:] == ["| 0.0001 | yes  | 12,345 |", "| –      | no   | 2      |"]
    assert tables.show(frame.iloc[:0]).to_html()


def test_latex_is_escaped_and_fits_the_page(summary):
    text = tables.latex(summary.assign(row="50 % & _x"), "R@1 & 5 % more → 1", "recalls")
    for part in (
        r"50 \% \& \_x", r"\caption{R@1 \& 5 \% more $\rightarrow$ 1}", r"\label{tab:recalls}", r"\toprule",
        r"\begin{adjustbox}{max width=\textwidth}", r"I$\rightarrow$T R@1", r"\bfseries",
    ):  # fmt: skip
        assert part in text
    assert text.isascii()


def test_a_kept_table_is_shown_as_it_was(summary, tmp_path):
    summary.round(6).to_csv(tmp_path / "t.csv", index=False)
    assert tables.markdown(pd.read_csv(tmp_path / "t.csv")) == tables.markdown(summary)


def test_metrics_and_titles_agree_with_their_sources():
    assert tuple(tables.METRICS) == retrieval.METRICS
    assert {title for title, _ in (("Zero-shot CLIP", 0), ("Focus-Adapter", 0))} <= {m.title for m in METHODS.values()}
    assert json.dumps(list(tables.TESTS)) == '["plain", "gallery_hard", "gallery_soft", "oracle"]'
