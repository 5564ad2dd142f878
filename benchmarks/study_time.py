"""Where the time of a study went: imports, decoding, training, testing, drawing.

    python benchmarks/study_time.py                    # of the default section, from what `make study` left
    python benchmarks/study_time.py --section full

Seconds are those of the machine that made the study; another machine's cannot be compared with them.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from petl_core.runs.folder import is_finished, open_run

from petl_core.data import DataError
from petl_core.errors import ConfigError
from petl_core.files import ROOT, resolve
from petl_core.runs import study

IMPORTS = {
    "torch": "torch",
    "torch, torchvision, open_clip": "open_clip",
    "what trains a run": "petl_core.runs.experiment",
    "what reads a run": "petl_core.evaluation.comparison",
}


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", default="study", help="of study.yaml; default: %(default)s")
    args = parser.parse_args()
    try:
        print_tables(args.section)
    except (ConfigError, DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def print_tables(name: str) -> None:
    """All that is known about a section's time."""
    section = study.load(name)
    root = resolve(section.options["runs_root"])
    print_table("Imports, in a fresh process (s)", imports())
    print_table("Runs (s, summed over runs)", runs(section, root))
    print_table("Pre-training (s)", pretraining(root))
    print_table("Notebooks (s)", notebooks(root / "notebooks" / name))


def print_table(title: str, table: pd.DataFrame) -> None:
    print(f"\n{title}\n{table.to_string(index=False, float_format='{:.1f}'.format)}")


def imports() -> pd.DataFrame:
    """Each module imported twice; the faster time counts, since the first import fills the disk's cache."""
    rows = []
    for title, module in IMPORTS.items():
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, check=True)
            seconds.append(time.perf_counter() - started)
        rows.append({"import": title, "seconds": min(seconds)})
    return pd.DataFrame(rows)


def runs(section: study.Section, root: Path) -> pd.DataFrame:
    """What finished runs of the section spent on each of their steps."""
    spent = [open_run(root / name).metrics["seconds"] for name in section.runs if is_finished(root / name)]
    total = pd.DataFrame(spent).sum().rename_axis("step").reset_index(name="seconds")
    total["per run"] = total["seconds"] / len(spent)
    return total


def pretraining(root: Path) -> pd.DataFrame:
    """Seconds of each default backbone that was pre-trained."""
    reports = sorted(root.glob("backbones/*/pretrain.json"))
    return pd.DataFrame([{"backbone": path.parent.name, **_seconds(path)} for path in reports])


def _seconds(report: Path) -> dict:
    return {"seconds": json.loads(report.read_text(encoding="utf-8"))["seconds"]}


def notebooks(folder: Path) -> pd.DataFrame:
    """Seconds of each executed notebook: all cells, those that import, the others."""
    rows = []
    for path in sorted(folder.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        spent = [(("import " in "".join(cell["source"])), _duration(cell)) for cell in cells]
        rows.append(
            {
                "notebook": path.stem,
                "whole": notebook["metadata"]["papermill"]["duration"],
                "importing": sum(seconds for imports_something, seconds in spent if imports_something),
                "the rest": sum(seconds for imports_something, seconds in spent if not imports_something),
            }
        )
    return pd.DataFrame(rows)


def _duration(cell: dict) -> float:
    return cell["metadata"].get("papermill", {}).get("duration") or 0.0


if __name__ == "__main__":
    sys.exit(main())
