"""What ``make clean`` and ``make clean-runs`` remove."""

import shutil
import subprocess

import pytest

from petl_core.data import default_data
from petl_core.files import ROOT

DRAWN = ("scenes", "scenes-tiny", "scenes-natural", "scenes-natural-tiny")  # as in the Makefile


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile, and with what it removes or keeps."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    folders = [".snakemake", "runs/0123456789abcdef", "figures/study", "figures/full"]
    folders += [f"data/{name}_precomp" for name in (*DRAWN, "scenes_mine", "rsicd")]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "figures/full/report.html").touch()
    (tmp_path / "figures/full/benchmark.csv").touch()
    return tmp_path


def left_by(target, checkout) -> set[str]:
    """Files, and folders without any, that are there after ``make TARGET``."""
    subprocess.run(["make", target], cwd=checkout, check=True, capture_output=True)
    paths = [path for path in checkout.rglob("*") if not path.is_dir() or not any(path.iterdir())]
    return {path.relative_to(checkout).as_posix() for path in paths} - {"Makefile"}


def test_clean_leaves_runs_data_and_figures(checkout):
    kept = {"runs/0123456789abcdef", "figures/full/benchmark.csv", "data/rsicd_precomp", "data/scenes_mine_precomp"}
    drawn = {f"data/{name}_precomp" for name in DRAWN}
    assert left_by("clean", checkout) == kept | drawn
    assert left_by("clean-runs", checkout) == kept - {"runs/0123456789abcdef"}


def test_the_makefile_knows_every_data_set_that_is_drawn():
    # Fixtures of other tests add small ones.
    assert {name for name in default_data.DRAWN if not name.endswith("-mini")} == set(DRAWN)


def test_help_lists_every_target_and_says_what_is_lost():
    printed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    lines = dict(line.split(maxsplit=1) for line in printed.splitlines())
    assert "EVERY FINISHED RUN" in lines["clean-runs"] and "runs" not in lines["clean"]
