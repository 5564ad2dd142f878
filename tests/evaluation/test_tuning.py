"""Settings are chosen on validation, by the seeds at which they can be compared."""

import json

import pytest
from fake_runs import fake_run

from petl_core.config import RunConfig
from petl_core.errors import ConfigError
from petl_core.evaluation import tuning
from petl_core.evaluation.tuning import choose_settings
from petl_core.runs import tuned


def test_learning_rates_are_chosen_on_validation_alone(tmp_path):
    slow, fast = (
        [fake_run(tmp_path, rate_of_hits, method="mrs", seed=seed, learning_rate=rate) for seed in (2, 3)]
        for rate, rate_of_hits in ((1e-4, 0.9), (1e-3, 0.1))
    )
    for run in fast:
        run.metrics["history"][1]["validation_mr"] = 50.0  # better on validation, worse on test
    other = fake_run(tmp_path, 0.5, method="full", seed=2)
    assert choose_settings([*slow, other, *fast]) == [other, *fast]


def test_settings_are_compared_at_the_seeds_at_which_several_were_tried(tmp_path):
    runs = [
        fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=rate) for rate in (1e-3, 1e-2) for seed in (2, 3)
    ]
    for run in runs[2:]:
        run.metrics["history"][1]["validation_mr"] = 20.0
    later = [fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=1e-2) for seed in (4, 5)]
    for run in later:
        run.metrics["history"][1]["validation_mr"] = 0.0  # at seeds at which nothing is compared
    assert choose_settings([*runs, *later]) == [*runs[2:], *later]


def test_a_run_that_is_given_twice_counts_once(tmp_path):
    """As in tables with a row for each way to test a run."""
    slow = [fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=1e-3) for seed in (2, 3, 4)]
    fast = [fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=1e-2) for seed in (2, 3)]
    for run in fast:
        run.metrics["history"][1]["validation_mr"] = 20.0
    assert choose_settings([*slow, *slow, *fast, *fast]) == [*fast, *fast]


def test_options_and_temperatures_are_settings_too(tmp_path):
    settings = [
        {"method_options": {"scale": 1.0}}, {}, {"temperature": 0.01}, {"learn_temperature": True},
        {"method_options": {"share": 16}},
    ]  # fmt: skip
    runs = [fake_run(tmp_path, 0.5, seed=seed, **fields) for fields in settings for seed in (2, 3)]
    for run in runs[6:8]:
        run.metrics["history"][1]["validation_mr"] = 30.0
    assert choose_settings(runs) == runs[6:]  # another share is another method, not another setting


def test_a_learning_rate_that_lost_a_seed_is_not_chosen(tmp_path):
    runs = [fake_run(tmp_path, 0.5, method="mrs", seed=seed, learning_rate=1e-3) for seed in (2, 3)]
    runs.append(fake_run(tmp_path, 0.5, method="mrs", seed=2, learning_rate=1e-2))
    runs[-1].metrics["history"][-1]["validation_mr"] = 99.0  # and the other seed diverged
    assert {run.config.learning_rate for run in choose_settings(runs)} == {1e-3}


@pytest.fixture
def grid(tmp_path):
    """Three rates of one method at two seeds, of which the largest is best, and a zero-shot run."""
    runs = [
        fake_run(tmp_path, 0.5, learning_rate=rate, seed=seed, epochs=2)
        for rate in (1e-4, 1e-3, 1e-2) for seed in (2, 3)
    ]  # fmt: skip
    for place, run in enumerate(runs):
        run.metrics["history"][1]["validation_mr"] = 10.0 + place
    return [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0), *runs]


def test_the_table_names_what_was_chosen_and_what_lies_at_an_edge(grid):
    frame = tuning.compared_settings(grid)
    assert frame["learning_rate"].tolist() == [1e-2, 1e-3, 1e-4]
    assert frame["validation_mr"].tolist() == [14.5, 12.5, 10.5]
    assert frame["at_edge"].tolist() == [("learning_rate",), (), ()]
    shown = tuning.readable_settings(frame)
    assert shown["Chosen"].tolist() == ["yes", "–", "–"]
    assert shown["At an edge"].tolist() == ["learning rate", "–", "–"]
    assert shown["Best epoch last"].tolist() == ["0 of 2"] * 3


def test_a_rate_is_at_an_edge_of_those_tried_with_the_same_other_settings(tmp_path):
    rates = {0.1: (1e-2, 3e-2), 1.0: (1e-3, 3e-3)}
    runs = [
        fake_run(tmp_path, 0.5, learning_rate=rate, method_options={"scale": scale}, epochs=2)
        for scale, tried in rates.items()
        for rate in tried
    ]
    runs[-1].metrics["history"][1]["validation_mr"] = 99.0
    assert tuning.compared_settings(runs)["at_edge"][0] == ("learning_rate", "scale")


def test_runs_take_the_settings_of_their_method_and_loss(grid, tmp_path):
    hmmc = fake_run(tmp_path, 0.5, w_image=1.0, w_text=1.0, learning_rate=5e-3, method_options={"scale": 2.0})
    hmmc.metrics["method"]["options"]["scale"] = 2.0
    path = str(tuned.write(tuning.choices([*grid, hmmc]), tmp_path / "tuned.json"))
    assert tuned.fill({"method": "mrs"}, path)["learning_rate"] == 1e-2
    with_terms = {"method": "mrs", "w_image": 1.0, "w_text": 1.0, "method_options": {"share": 16}}
    assert tuned.fill(with_terms, path)["learning_rate"] == 5e-3
    assert tuned.fill(with_terms, path)["method_options"] == {"scale": 2.0, "share": 16}
    assert tuned.fill({"method": "mrs", "w_image": 1.0}, path)["learning_rate"] == 1e-2  # not tuned: the same contrast
    assert tuned.fill({"method": "mrs", "learning_rate": 1.0}, path) == {"method": "mrs", "learning_rate": 1.0}
    assert RunConfig(**tuned.fill({"method": "mrs"}, path)).temperature == 0.07


@pytest.mark.parametrize(
    ("named", "handed_on"), [({}, {}), ({"scale": 1.0}, {"method_options": {"scale": 0.1}})], ids=["no", "yes"]
)
def test_an_option_is_handed_on_if_it_was_compared(tmp_path, named, handed_on):
    """Else a run would name its method's own scale, and be another run than the one that was compared."""
    best = fake_run(tmp_path, 0.5, method="mrs", learning_rate=1e-2)
    other = fake_run(tmp_path, 0.5, method="mrs", learning_rate=1e-3, method_options=named)
    for run, scale in ((best, 0.1), (other, named.get("scale", 0.1))):
        run.metrics["method"]["options"]["scale"] = scale
    best.metrics["history"][1]["validation_mr"] = 99.0
    (choice,) = tuning.choices([best, other])
    assert choice.settings == {"learning_rate": 1e-2, "temperature": 0.07, "learn_temperature": False, **handed_on}


def test_a_method_with_other_options_takes_settings_that_were_tuned_with_them(tmp_path):
    runs = []
    for bottleneck, rate in ((64, 1e-3), (256, 1e-2)):
        options = {"bottleneck": bottleneck}
        runs.append(fake_run(tmp_path, 0.5, method="mrs", method_options=options, learning_rate=rate))
    path = str(tuned.write(tuning.choices(runs), tmp_path / "tuned.json"))
    for bottleneck, rate in ((64, 1e-3), (256, 1e-2), (16, 1e-3)):  # the last was not tuned: the first counts
        fields = {"method": "mrs", "method_options": {"bottleneck": bottleneck}}
        assert tuned.fill(fields, path)["learning_rate"] == rate


def test_tuned_settings_that_do_not_fit_are_refused(grid, tmp_path):
    path = tuned.write(tuning.choices(grid), tmp_path / "tuned.json")
    with pytest.raises(ConfigError, match=r"made on dataset scenes-tiny, not scenes"):
        tuned.fill({"method": "mrs", "dataset": "scenes"}, str(path))
    with pytest.raises(ConfigError, match=r"no settings of lora \(infonce\)"):
        tuned.fill({"method": "lora"}, str(path))
    with pytest.raises(ConfigError, match="run the section that tunes first"):
        tuned.fill({"method": "mrs"}, str(tmp_path / "absent.json"))
    for broken in ("{", "[]", json.dumps({"chosen_on": {}}), json.dumps({"chosen_on": {}, "choices": [1]})):
        path.write_text(broken)
        with pytest.raises(ConfigError, match=r"tuned.json cannot be read"):
            tuned.fill({"method": "mrs"}, str(path))
