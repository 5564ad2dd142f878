from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from petl_core import retrieval
from petl_core.config import RunConfig
from petl_core.evaluation import comparison
from petl_core.plots import figures
from petl_core.plots.outputs import Outputs
from petl_core.runs.experiment import Failure, Run

mpl.use("agg")


def fake_run(folder: Path, rate: float, **fields) -> Run:
    """A finished run whose test hits have about this rate."""
    config = RunConfig(**fields)
    rng = np.random.default_rng(config.seed)
    hits = (rng.random((150, 6)) < rate).astype(float)
    hits[:, 3:] *= 2
    hits = np.column_stack([hits, np.full(150, 2.0)])
    place = folder / config.hash
    place.mkdir()
    np.save(place / "test_hits.npy", hits)
    metrics = {
        "scores": {"strict": retrieval.metrics(hits)},
        "intervals": {"strict": retrieval.bootstrap(hits)},
        "parameters": {"trained": 0 if config.epochs == 0 else 1000},
        "images": {"train": 80, "validation": 20, "test": 150},
        "inputs": {"data": config.dataset},
        "chosen_epoch": 1 if config.epochs else 0,
        "history": [{"epoch": 0}]
        + [
            {"epoch": e + 1, "seconds": 2.0, "validation_mr": 10.0 + e, "loss": {"total": 1.0}}
            for e in range(config.epochs)
        ],
    }
    return Run(place, config, metrics)


@pytest.fixture
def runs(tmp_path):
    return [
        fake_run(tmp_path, 0.2, method="zero_shot", epochs=0),
        *(fake_run(tmp_path, 0.6, method="full", seed=seed) for seed in (3, 2, 4)),
        *(fake_run(tmp_path, 0.6, method="mrs", seed=seed, learning_rate=1e-3) for seed in (2, 3, 4)),
    ]


def test_runs_that_differ_in_seed_are_one_method(runs):
    groups = comparison.by_method(runs)
    assert [len(group) for group in groups.values()] == [1, 3, 3]
    assert [run.config.seed for run in list(groups.values())[1]] == [2, 3, 4]


def test_runs_that_differ_in_more_are_refused(runs, tmp_path):
    with pytest.raises(ValueError, match="differ in more than their seed"):
        comparison.by_method([*runs, fake_run(tmp_path, 0.5, method="mrs", seed=9, learning_rate=5e-4)])
    with pytest.raises(ValueError, match="different data sets"):
        comparison.by_method([*runs, fake_run(tmp_path, 0.5, method="mrs", seed=9, dataset="scenes")])


def test_summary_is_the_mean_over_seeds_within_its_interval(runs):
    groups = comparison.by_method(runs)
    summary = comparison.summary(groups).set_index("method")
    for name, members in groups.items():
        expected = np.mean([run.metrics["scores"]["strict"]["mr"] for run in members])
        assert summary.loc[name, "mr"] == pytest.approx(expected)
        assert summary.loc[name, "mr_low"] < expected < summary.loc[name, "mr_high"]


def test_differences_say_what_is_distinguishable(runs):
    groups = comparison.by_method(runs)
    frame = comparison.differences(groups, comparison.names_of(groups, ["full", "mrs"]))
    zero_shot, full, mrs = groups
    found = frame.set_index(["Method", "Compared with"])
    assert found.loc[(zero_shot, full), "Distinguishable"] == "yes"
    assert found.loc[(zero_shot, full), "Seeds"] == 3
    assert found.loc[(mrs, full), "mR difference"] in ("+0.00", "−0.00")  # the same hits, seed by seed
    assert found.loc[(mrs, full), "Distinguishable"] == "no"
    sentence = comparison.sentence(frame)
    assert sentence.startswith("Not distinguishable at the 95% level from Full fine-tuning: MRS-Adapter.")
    assert sentence.endswith("not adjusted for 4 comparisons.")


def test_methods_without_a_common_seed_are_named_and_not_compared(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method="full", seed=1), fake_run(tmp_path, 0.5, method="mrs", seed=2)]
    groups = comparison.by_method(runs)
    frame = comparison.differences(groups, list(groups))
    assert frame["Distinguishable"].tolist() == ["no common seed"] * 2
    assert comparison.sentence(frame) == "No two rows could be compared."


def test_where_the_reference_failed_there_is_still_a_table(runs):
    groups = comparison.by_method(runs[:1])
    frame = comparison.differences(groups, [])
    assert frame.empty and comparison.sentence(frame) == "No two rows could be compared."
    figures.plot_cost(comparison.summary(groups))


def test_a_learning_rate_that_lost_a_seed_is_not_chosen(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=1e-3) for seed in (2, 3)]
    runs.append(fake_run(tmp_path, 0.5, method="mrs", seed=2, learning_rate=1e-2))
    runs[-1].metrics["history"][-1]["validation_mr"] = 99.0  # and the other seed diverged
    assert {run.config.learning_rate for run in comparison.choose_learning_rates(runs)} == {1e-3}


def test_failed_runs_have_their_row_their_reason_and_their_sentence(runs):
    failed = [
        Failure("0123", RunConfig(method="lora", seed=7), "FloatingPointError: the loss\nis not finite"),
        Failure("4567", None, "never ran"),
    ]
    table = comparison.failures(failed)
    assert table["Reason"].tolist() == ["FloatingPointError: the loss is not finite", "never ran"]
    assert "LoRA" in table["Configuration"][0] and "seed 7" in table["Configuration"][0]
    assert "LoRA" in comparison.failed_sentence(failed) and "never ran" in comparison.failed_sentence(failed)
    assert comparison.failed_sentence([]) == ""
    readable = figures.readable(comparison.summary(comparison.by_method(runs)))
    shown = comparison.with_failures(readable, failed).set_index("Method")
    assert shown.loc["LoRA + HMMC (InfoNCE)", "mR"] == "failed" and len(shown) == len(readable) + 2
    assert comparison.with_failures(readable, []) is readable


def test_captions_name_what_the_figures_rest_on(runs):
    text = comparison.conditions(runs)
    assert "150 test images" in text and "seeds 2, 3, 4" in text and "Fewer than 5 seeds" in text


def test_plots_show_every_method_with_its_interval(runs, tmp_path):
    figures.use_style()
    summary = comparison.summary(comparison.by_method(runs))
    outputs = Outputs(tmp_path / "out", "04_benchmark", {}, runs)
    for name, figure in (
        ("recalls", figures.plot_recalls(summary)),
        ("cost", figures.plot_cost(summary)),
        ("history", figures.plot_history(runs[-1])),
    ):
        outputs.figure(figure, name, f"{name}.")
        assert b"/Type3" not in (tmp_path / "out" / f"{name}.pdf").read_bytes()
        mpl.pyplot.close(figure)


def test_methods_of_like_size_stand_side_by_side_at_their_own_parameters(runs):
    summary = comparison.summary(comparison.by_method(runs)).assign(parameters=[0, 30_000, 31_000])
    figure = figures.plot_cost(summary)
    axes = figure.axes[0]
    points = [container.lines[0] for container in axes.containers]
    assert [float(point.get_xdata()[0]) for point in points] == [0, 30_000, 31_000]
    figure.draw_without_rendering()
    shown = [point.get_transform().transform(point.get_xydata())[0, 0] for point in points]
    true = [axes.transData.transform(point.get_xydata())[0, 0] for point in points]
    step = 2.5 / 72 * figure.dpi
    np.testing.assert_allclose(np.subtract(shown, true), [0, -step / 2, step / 2], atol=1e-6)
    heights = np.array([point.get_ydata()[0] for point in points])
    np.testing.assert_allclose(heights, summary["mr"])
    low, high = axes.get_ylim()
    assert low < summary["mr_low"].min() and high > summary["mr_high"].max()
    mpl.pyplot.close(figure)


def test_cost_lists_every_run(runs):
    frame = comparison.cost(runs)
    assert len(frame) == len(runs)
    assert frame.loc[1, "Images per second"] == 40.0


def test_learning_rates_are_chosen_on_validation_alone(tmp_path):
    slow, fast = (
        [fake_run(tmp_path, rate_of_hits, method="mrs", seed=seed, learning_rate=rate) for seed in (2, 3)]
        for rate, rate_of_hits in ((1e-4, 0.9), (1e-3, 0.1))
    )
    for run in fast:
        run.metrics["history"][1]["validation_mr"] = 50.0  # better on validation, worse on test
    other = fake_run(tmp_path, 0.5, method="full", seed=2)
    assert comparison.choose_learning_rates([*slow, other, *fast]) == [*fast, other]


def test_costs_are_printed_with_units_and_without_nan(runs):
    table = comparison.readable_cost(comparison.cost(runs)).set_index("Method")
    zero_shot, trained = table.iloc[0], table.iloc[1]
    assert zero_shot["Seconds per epoch"] == zero_shot["Validation mR"] == "–"
    assert (trained["Trained parameters"], trained["Seconds per epoch"], trained["Images per second"]) == (
        "1,000",
        "2",
        "40",
    )
