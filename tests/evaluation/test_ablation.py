import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from test_comparison import fake_run

from petl_core import retrieval
from petl_core.config import RunConfig
from petl_core.data import default_data
from petl_core.evaluation import ablation, comparison, queue_cost
from petl_core.evaluation.ablation import Labelled
from petl_core.plots import ablation_plots
from petl_core.runs import experiment
from petl_core.training import default_backbones
from petl_core.training.pretraining import PretrainConfig
from petl_core.validation import ConfigError

mpl.use("agg")

QUEUE = ["queue_size", "queue_warmup"]
FULL = "image–text + image–image + text–text"


@pytest.fixture
def queue_runs(tmp_path):
    return [
        fake_run(tmp_path, 0.2, method="zero_shot", epochs=0),
        *(fake_run(tmp_path, 0.5, seed=seed) for seed in (3, 2)),
        *(
            fake_run(tmp_path, rate, queue_size=64, queue_warmup=steps, seed=seed)
            for steps, rate in ((0, 0.5), (8, 0.7))
            for seed in (2, 3)
        ),
    ]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_groups_are_named_by_their_factors_and_hold_their_seeds(queue_runs):
    groups = ablation.by_factors(queue_runs, QUEUE)
    assert list(groups) == [
        "Zero-shot CLIP",
        "queue size 0",
        "queue size 64 · queue warmup 0",
        "queue size 64 · queue warmup 8",
    ]
    assert [[run.config.seed for run in runs] for runs in groups.values()] == [[2], [2, 3], [2, 3], [2, 3]]


def test_words_stand_for_themselves_and_switches_are_named_where_they_are_on(tmp_path):
    runs = [
        fake_run(tmp_path, 0.5, w_image=weight, contrast=contrast, mask_false_negatives=mask)
        for weight, contrast, mask in ((1.0, "infonce", False), (0.0, "triplet", True))
    ]
    groups = ablation.by_factors(runs, ["terms", "contrast", "mask_false_negatives"])
    assert list(groups) == [f"{FULL} · InfoNCE", "image–text + text–text · triplet · mask false negatives"]


def test_a_factor_may_be_an_option_left_at_its_default(tmp_path):
    run = fake_run(tmp_path, 0.5, method_options={"bottleneck": 8})
    assert [ablation.value(run, name) for name in ("bottleneck", "share")] == [8, 64]
    with pytest.raises(ValueError, match="bottle is neither a field of RunConfig nor an option of mrs"):
        ablation.value(run, "bottle")


def test_all_training_images_are_a_number(tmp_path):
    assert ablation.value(fake_run(tmp_path, 0.5), "train_images") == 80


def test_settings_without_effect_have_no_value(queue_runs):
    assert [ablation.value(run, "queue_warmup") for run in queue_runs] == [None, None, None, 0, 0, 8, 8]
    assert ablation.value(queue_runs[0], "learning_rate") is None
    assert ablation.value(queue_runs[1], "scene_template") is None


def test_runs_that_differ_in_more_than_factors_and_seed_are_refused(queue_runs, tmp_path):
    with pytest.raises(ValueError, match="queue size 0: runs differ in learning_rate"):
        ablation.by_factors([*queue_runs, fake_run(tmp_path, 0.5, learning_rate=1e-4)], QUEUE)
    with pytest.raises(ValueError, match=r"queue size 64: runs differ in queue_warmup"):
        ablation.by_factors(queue_runs, ["queue_size"])
    with pytest.raises(ValueError, match="different data sets"):
        ablation.by_factors([*queue_runs, fake_run(tmp_path, 0.5, dataset="scenes")], QUEUE)


def test_captions_say_what_else_varies(queue_runs, tmp_path):
    groups = ablation.by_factors(queue_runs, QUEUE)
    assert ablation.conditions(groups, QUEUE).endswith("All else is equal.")
    other = fake_run(tmp_path, 0.5, queue_size=16, epochs=3, method_options={"share": 16})
    groups = ablation.by_factors([*queue_runs, other], QUEUE)
    assert ablation.conditions(groups, QUEUE).endswith("runs differ in epochs, share.")
    terms = [fake_run(tmp_path, 0.5, w_image=weight, seed=9) for weight in (0.0, 1.0)]
    assert "All else is equal" in ablation.conditions(ablation.by_factors(terms, ["terms"]), ["terms"])


def test_the_table_has_a_column_for_each_factor(queue_runs):
    groups = ablation.by_factors(queue_runs, QUEUE)
    frame = ablation.table(groups, QUEUE)
    assert frame["queue_size"].tolist() == [None, 0, 64, 64]
    assert frame["queue_warmup"].tolist() == [None, None, 0, 8]
    assert ((frame["mr_low"] <= frame["mr"]) & (frame["mr"] <= frame["mr_high"])).all()
    printed = ablation.readable(frame, QUEUE)
    assert printed["Queue size"].tolist() == ["Zero-shot CLIP", "0", "64", "64"]
    assert printed["Queue warmup"].tolist() == ["–", "–", "0", "8"]
    assert "Method" not in printed


def test_differences_refer_to_the_first_trained_group(queue_runs):
    frame = ablation.differences(ablation.by_factors(queue_runs, QUEUE))
    assert set(frame["Compared with"]) == {"queue size 0"}
    found = frame.set_index("Method")["Distinguishable"]
    assert found.to_dict() == {
        "Zero-shot CLIP": "yes",
        "queue size 64 · queue warmup 0": "no",
        "queue size 64 · queue warmup 8": "yes",
    }
    assert comparison.sentence(frame).endswith("Intervals are not adjusted for 3 comparisons.")


def test_differences_within_factors_take_the_first_of_each(tmp_path):
    runs = [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)] + [
        fake_run(tmp_path, 0.5, w_image=weight, contrast=contrast)
        for weight in (1.0, 0.0)
        for contrast in ("infonce", "triplet")
    ]
    groups = ablation.by_factors(runs, ["terms", "contrast"])
    frame = ablation.differences(groups, ["contrast"], ["terms"])
    less = "image–text + text–text"
    assert list(zip(frame["Method"], frame["Compared with"], strict=True)) == [
        (f"{less} · InfoNCE", f"{FULL} · InfoNCE"),
        ("Zero-shot CLIP", f"{FULL} · InfoNCE"),
        (f"{less} · triplet", f"{FULL} · triplet"),
        ("Zero-shot CLIP", f"{FULL} · triplet"),
        (f"{FULL} · triplet", f"{FULL} · InfoNCE"),
        (f"{less} · triplet", f"{less} · InfoNCE"),
    ]


def test_drift_keeps_runs_and_factors_apart(queue_runs):
    for run in queue_runs[3:]:
        run.metrics["history"][-1]["drift"] = [
            {"modality": modality, "age_from": 1, "age_to": 4, "cosine": 0.9, "count": 3}
            for modality in ("image", "text")
        ]
    frame = ablation.drift(ablation.by_factors(queue_runs, QUEUE), QUEUE)
    assert frame["run"].nunique() == 4 and len(frame) == 8
    assert frame["age"].eq(2.5).all() and set(frame["queue_warmup"]) == {0, 8}
    images, texts = ablation_plots.plot_drift(frame, "queue_warmup").axes
    assert len(images.lines) == len(texts.lines) == 4
    assert ablation.drift(ablation.by_factors(queue_runs[:3], QUEUE), QUEUE).empty


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_lines_show_every_point_and_what_has_none_as_a_reference(queue_runs):
    frame = ablation.table(ablation.by_factors(queue_runs, QUEUE), QUEUE)
    figure = ablation_plots.plot_lines(frame, {"queue_size": "entries", "parameters": "parameters"}, "queue_warmup")
    assert legend(figure) == ["0", "8", "Zero-shot CLIP", "queue size 0"]
    for axes in figure.axes:
        points = [line.get_ydata() for line in axes.lines if line.get_marker() not in ("None", None)]
        assert np.concatenate(points) == pytest.approx(frame["mr"][2:].to_numpy())
        low, high = axes.get_ylim()
        assert low < frame["mr_low"].min() and frame["mr_high"].max() < high
    assert [axes.get_xlabel() for axes in figure.axes] == ["entries", "parameters"]


def test_rows_show_every_combination(tmp_path):
    runs = [fake_run(tmp_path, 0.2, method="zero_shot", epochs=0)] + [
        fake_run(tmp_path, 0.5, w_image=weight, contrast=contrast, mask_false_negatives=mask)
        for weight in (1.0, 0.0)
        for contrast in ("infonce", "triplet")
        for mask in (False, True)
    ]
    factors = ["terms", "contrast", "mask_false_negatives"]
    frame = ablation.table(ablation.by_factors(runs, factors), factors)
    figure = ablation_plots.plot_rows(frame, "terms", "mask_false_negatives", "contrast")
    assert [axes.get_title() for axes in figure.axes] == ["InfoNCE", "triplet"]
    assert legend(figure) == ["no", "yes", "Zero-shot CLIP"]
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [FULL, "image–text + text–text"]
    for axes in figure.axes:
        assert sum(len(line.get_ydata()) for line in axes.lines if line.get_marker() in ("o", "s")) == 4


def test_labelled_queries_are_runs_of_their_own(tmp_path):
    plain = fake_run(tmp_path, 0.3)
    trained = fake_run(tmp_path, 0.3, scene_probability=0.5)
    hits = np.tile([1.0] * 3 + [2.0] * 4, (150, 1))  # of two captions an image, all found
    for mode in ("predicted", "oracle"):
        np.save(trained.folder / f"test_hits_{mode}.npy", hits)
    again = [Labelled(trained.folder, trained.config, trained.metrics, mode) for mode in ("predicted", "oracle")]
    factors = ["scene_probability", "queries"]
    frame = ablation.table(ablation.by_factors([plain, trained, *again], factors), factors)
    assert frame["configuration"].tolist() == [
        "scene probability 0 · no label",
        "scene probability 0.5 · no label",
        "scene probability 0.5 · predicted label",
        "scene probability 0.5 · oracle label (LEAK)",
    ]
    assert frame["mr"].tolist()[2:] == [100, 100]
    figure = ablation_plots.plot_lines(frame, {"scene_probability": "p"}, "queries", scale="linear")
    assert "oracle label (LEAK)" in legend(figure)


def test_labelled_tests_repeat_what_the_run_measured(tmp_path, monkeypatch):
    sizes = {"train": 24, "test": 10, "size": 32}
    monkeypatch.setitem(default_data.DRAWN, "scenes-mini", {"domain": "aerial", **sizes})
    monkeypatch.setitem(default_data.DRAWN, "natural-mini", {"domain": "natural", **sizes})
    recipe = PretrainConfig("natural-mini", image_size=32, width=64, visual_layers=1, text_layers=1, epochs=1)
    monkeypatch.setitem(default_backbones.BACKBONES, "mini", recipe)
    config = RunConfig("scenes-mini", "mini", method="focus", batch_size=8, scene_probability=0.5, train_images=12)
    places = {"data_root": tmp_path / "data", "runs_root": tmp_path / "runs", "device": "cpu", "progress": False}
    run = experiment.run(config, **places)
    again = ablation.labelled(run)
    assert [labelled.mode for labelled in again] == ["predicted", "oracle"]
    for labelled in again:
        stored = run.metrics["scene_scores"][labelled.mode]["strict"]["mr"]
        assert retrieval.metrics(labelled.test_hits)["mr"] == pytest.approx(stored)
    plain = experiment.run(config.replace(scene_probability=0.0), **places)
    assert ablation.labelled(plain) == []


def test_a_queue_costs_its_entries():
    frame = queue_cost.measure([16, 64], batch_size=4, width=8, steps=2)
    ids, embeddings, similarities = 3 * 8, 2 * 8 * 4, 2 * 4 * 4  # bytes an entry
    assert (frame["stored_mib"] * 2**20).tolist() == [size * (ids + embeddings) for size in (16, 64)]
    # Of each entry a copy is kept, its similarity to every anchor, and whether it is masked; the rest are constants.
    growth = (frame["backward_mib"].diff()[1] * 2**20) / (64 - 16)
    assert embeddings + similarities <= growth <= embeddings + 3 * similarities
    assert (frame["seconds_low"] <= frame["seconds"]).all() and (frame["seconds"] <= frame["seconds_high"]).all()
    assert queue_cost.readable(frame)["Queue size"].tolist() == ["16", "64"]
    assert len(queue_cost.plot(frame).axes) == 2


@pytest.mark.parametrize("arguments", [{"sizes": []}, {"sizes": [0]}, {"sizes": [4], "steps": 0}])
def test_a_measurement_of_nothing_is_an_error(arguments):
    with pytest.raises(ConfigError, match="at least 1"):
        queue_cost.measure(**arguments)
