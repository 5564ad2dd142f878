"""How a run is named to a command or a function."""

from petl_core.runs.folder import find_run

from petl_core.files import resolve


def test_a_run_is_an_existing_path_or_one_from_the_root_or_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").mkdir()
    assert find_run("exported") == tmp_path / "exported"
    assert find_run("runs/0123456789abcdef") == resolve("runs/0123456789abcdef")
    assert find_run("0123456789abcdef", tmp_path / "elsewhere") == tmp_path / "elsewhere" / "0123456789abcdef"
