"""``python -m petl_core data`` on the command line."""

import subprocess
import sys

import pytest
from data_on_disk import TEST, TRAIN, write_images, write_json

from petl_core.__main__ import main
from petl_core.files import ROOT


@pytest.fixture
def source(tmp_path):
    folder = write_json(tmp_path / "mine" / "dataset_mine.json").parent
    write_images(folder / "images", [*TRAIN, *TEST])
    return folder


def test_the_list_names_source_and_licence_without_torch(tmp_path):
    script = f"""
import sys
from petl_core.__main__ import main
code = main(["data", "--data-root", {str(tmp_path)!r}])
assert "torch" not in sys.modules
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rsicd: 9,828 / 1,093 images in train / test; not here" in done.stdout
    assert done.stdout.count("not stated by the authors") == 3


def test_convert_then_verify(source, tmp_path, capsys):
    assert main(["data", "convert", str(source), str(tmp_path / "mine_precomp"), "--link"]) == 0
    assert "mine_precomp: 3 / 2 images" in capsys.readouterr().err
    assert main(["data", "verify", "mine", "--data-root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("mine: complete; release layout")


def test_what_is_wrong_is_exit_code_1_and_what_cannot_be_checked_2(source, tmp_path, capsys):
    (source / "images" / "pond_0.png").unlink()
    assert main(["data", "verify", str(source)]) == 1
    assert capsys.readouterr().out.startswith("mine: WRONG: 1 images missing, first pond_0.png")
    assert main(["data", "verify", str(source), "--captions-only"]) == 0
    assert main(["data", "verify", str(tmp_path / "nothing")]) == 2
    assert main(["data", "convert", str(source), str(tmp_path / "wrong-name")]) == 2
    assert "error: " in capsys.readouterr().err
