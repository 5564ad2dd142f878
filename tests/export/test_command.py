"""``python -m petl_core export``."""

import pandas as pd
import pytest

from petl_core import export
from petl_core.__main__ import main


def test_each_kind_is_written(lora, data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # OUT is where the shell is
    common = ["--data-root", str(data_root), "--device", "cpu"]
    assert main(["export", str(lora.folder), "embeddings", "val.parquet", "--split", "validation", *common]) == 0
    assert main(["export", str(lora.folder), "open_clip", "folded", *common]) == 0
    assert main(["export", str(lora.folder), "hub", "hub/", *common]) == 0
    assert pd.read_parquet("val.parquet").attrs["split"] == "validation"
    assert (tmp_path / "folded" / "open_clip_config.json").is_file()
    assert export.load(tmp_path / "hub", "cpu").name == "lora"


@pytest.mark.parametrize(
    ("kind", "out", "message"),
    [("open_clip", "out", "does not fold"), ("embeddings", "out.txt", "embeddings go to a file that ends in")],
)
def test_what_cannot_be_written_is_one_line(mrs, data_root, tmp_path, capsys, kind, out, message):
    arguments = ["export", str(mrs.folder), kind, str(tmp_path / out), "--data-root", str(data_root)]
    assert main([*arguments, "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_no_run_no_export(tmp_path, capsys):
    assert main(["export", str(tmp_path), "hub", "out"]) == 2
    assert "not a finished run" in capsys.readouterr().err
