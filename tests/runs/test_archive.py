"""Finished runs: read alike from their folders and from the archive, trained where they are missing."""

import json
import shutil

import numpy as np
import pytest
from small_worlds import elsewhere, killed_in_epoch, small_run, small_world

from petl_core.__main__ import main
from petl_core.errors import ConfigError
from petl_core.runs import archive, study
from petl_core.runs import run as run_module
from petl_core.runs.archive import Failure, add_to_archive, failure_of, find_runs, open_run, open_runs
from petl_core.runs.run import load_model, run


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield small_world(tmp_path_factory.mktemp("world"), patch)


@pytest.fixture(scope="module")
def trained(world):
    """Zero-shot, two seeds of one configuration, and one of another."""
    probe = small_run(world, method="linear_probe", epochs=1)
    configs = (probe.zero_shot(), probe.replace(seed=3), probe, probe.replace(batch_size=4))
    return [run(config, **world) for config in configs]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty archive."""
    monkeypatch.setattr(archive, "ARCHIVE", tmp_path / "results")
    monkeypatch.setattr(archive, "ROOT", tmp_path)
    return tmp_path / "results"


def check_equal(one, other):
    assert (one.config, one.metrics, one.title) == (other.config, other.metrics, other.title)
    assert np.array_equal(one.hits, other.hits)
    assert one.scene_hits.keys() == other.scene_hits.keys() and len(one.scene_hits) == 3
    assert all(np.array_equal(hits, other.scene_hits[mode]) for mode, hits in one.scene_hits.items())


def test_an_archived_run_opens_equal_to_the_one_that_was_trained(world, trained, place, tmp_path):
    assert add_to_archive("mine", trained) == place / "mine.parquet"
    for original in trained:
        archived = open_run(original.hash, tmp_path / "nothing")
        check_equal(archived, original)
        assert archived.adapter is None or archived.adapter.parent == place
    model = load_model(open_run(trained[2].hash, tmp_path / "nothing"))
    for name, weight in load_model(trained[2]).trainable().items():
        assert (model.trainable()[name] == weight).all()
    assert {found.hash for found in find_runs(tmp_path / "nothing")} == {one.hash for one in trained}


def test_the_adapter_of_the_first_seed_is_kept_unless_it_is_large(trained, place, monkeypatch):
    def kept():
        return {path.stem for path in place.glob("*.safetensors")}

    add_to_archive("mine", trained)
    zero_shot, later, first, other = (one.hash for one in trained)
    assert kept() == {zero_shot, first, other}
    assert open_run(later, place / "nothing").adapter is None
    shutil.rmtree(place)
    monkeypatch.setattr(archive, "ADAPTER_LIMIT", trained[2].adapter.stat().st_size - 1)
    add_to_archive("mine", trained)
    assert kept() == {zero_shot}


def test_a_section_is_written_anew_from_the_archive_itself_and_shares_runs_with_others(trained, place, tmp_path):
    add_to_archive("mine", trained)
    archived = [open_run(one.hash, tmp_path / "nothing") for one in trained]
    add_to_archive("mine", archived[1:])
    add_to_archive("another", archived[:2])
    for original in trained:
        check_equal(open_run(original.hash, tmp_path / "nothing"), original)
    rows = archive.archived(place)
    assert {name: rows[one.hash]["section"] for name, one in zip("abc", trained, strict=False)} == {
        "a": "another", "b": "another", "c": "mine",
    }  # fmt: skip


def test_a_folder_comes_before_the_archive(world, trained, place):
    add_to_archive("mine", trained)
    assert open_run(trained[1].hash, world["runs_root"]).adapter.parent.name == trained[1].hash


def test_a_run_is_named_by_its_hash_or_by_its_folder(world, trained, tmp_path, monkeypatch):
    name = trained[1].hash
    monkeypatch.chdir(world["runs_root"])
    for named in (world["runs_root"] / name, str(world["runs_root"] / name), name):
        check_equal(open_run(named, tmp_path), trained[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"config": {"lr": 1.0}}', "is of another version .*unknown|lr"),
        ('{"scores": {}}', r"is of another version \('config'\); run its configuration again"),
        ('{"config": {"seed": 9}}', "this version names its configuration [0-9a-f]{16}; run it again"),
        ("{", r"metrics\.json, line 1: not valid JSON"),
    ],
)
def test_a_run_of_another_version_is_refused_and_not_listed(tmp_path, content, message):
    folder = tmp_path / "runs" / "0123456789abcdef"
    folder.mkdir(parents=True)
    np.savez(folder / "hits.npz", strict=np.zeros((1, 7)))
    (folder / "metrics.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        open_run(folder)
    assert find_runs(tmp_path / "runs") == []


def test_what_is_archived_is_opened_without_training_and_what_is_missing_is_trained(
    world, trained, tmp_path, monkeypatch
):
    add_to_archive("mine", trained)
    there = elsewhere(world, tmp_path / "runs")
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "run", lambda *_: pytest.fail("trained"))
        runs, failed = open_runs([one.config for one in trained] + [trained[0].hash], **there)
    assert [one.hash for one in runs] == [one.hash for one in trained] + [trained[0].hash] and not failed
    missing = trained[1].config.replace(seed=9)
    runs, failed = open_runs([missing, trained[1].config], **there)
    assert [one.config for one in runs] == [missing, trained[1].config] and not failed
    assert (tmp_path / "runs" / missing.hash / "metrics.json").exists()


def test_the_others_are_named_with_their_reasons(world, trained, tmp_path):
    there = elsewhere(world, tmp_path)
    add_to_archive("mine", trained)
    killed, diverging = (trained[1].config.replace(seed=seed, learning_rate=1e30, batch_size=4) for seed in (8, 9))
    with killed_in_epoch(1):
        run(killed, **there)
    runs, failed = open_runs(
        [killed.hash, trained[1].config, diverging.replace(method="full"), "0123456789abcdef"], **there
    )
    assert [one.config for one in runs] == [trained[1].config]
    assert [failure.config for failure in failed] == [killed, diverging.replace(method="full"), None]
    assert failed[0] == Failure(
        killed.hash, killed, "stopped before its end: killed, out of memory, or out of disk space"
    )
    assert "FloatingPointError: loss is" in failed[1].reason
    assert "holds no metrics.json" in failed[2].reason
    assert failure_of(tmp_path / "0123456789abcdef").reason == "not run yet"
    with pytest.raises(ConfigError, match=f"no finished run .*{killed.hash}: stopped before its end"):
        open_runs([killed.hash], **there)


def test_a_run_without_a_folder_fails_with_its_own_reason(world, trained, tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match=r"no finished run .*(NotADirectoryError|FileExistsError)"):
        open_runs([trained[1].config], **elsewhere(world, tmp_path / "runs"))


def test_a_notebook_opens_the_runs_of_its_section(world, trained, tmp_path, monkeypatch):
    add_to_archive("mine", trained)
    asked = []
    monkeypatch.setattr(study, "runs_of", lambda *names: asked.append(names) or [one.config for one in trained])
    runs, _ = open_runs([], "mine", "04_benchmark", **elsewhere(world, tmp_path))
    assert asked == [("mine", "04_benchmark")] and [one.hash for one in runs] == [one.hash for one in trained]


def test_the_command_adds_a_sections_finished_runs_and_lists_them(world, trained, place, monkeypatch, capsys):
    fields = {**trained[1].config.changed(), "epochs": 1, "seed": [2, 3, 77], "runs_root": str(world["runs_root"])}
    section = study.read({**fields, "notebooks": {"04_benchmark": {"runs": [{}]}}}, "mine")
    monkeypatch.setattr(study, "load", lambda name: section)
    assert main(["results", "mine"]) == 0
    assert "results/mine.parquet: 3 of 4 runs" in capsys.readouterr().err
    assert main(["results"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["mine", one.hash, one.config.method] for one in (trained[0], trained[2], trained[1])
    ]
    assert json.loads(archive.archived(place)[trained[0].hash]["metrics"])["config"]["method"] == "zero_shot"
