"""Where the time of a study went: imports, the acts of its runs, its notebooks.

    python benchmarks/study_time.py                    # of the default section, from what `make study` left
    python benchmarks/study_time.py --section cmer

Seconds are those of the machine that made the study; another machine's cannot be compared with them.
"""

import argparse
import subprocess
import sys
import time

import nbformat
import pandas as pd

from petl_core.files import read_json, resolve
from petl_core.runs import study
from petl_core.runs.archive import is_finished

IMPORTS = ("torch", "open_clip", "petl_core.runs.run", "petl_core.tables")


def seconds_to_import(module: str) -> float:
    """The faster of two fresh processes, since the first import fills the disk's cache."""
    spent = []
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import petl_core, {module}"], check=True)
        spent.append(time.perf_counter() - started)
    return min(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", default="study", help="of study.yaml; default: %(default)s")
    name = parser.parse_args().section
    section = study.load(name)
    root = resolve(section.options.runs_root)

    found = [root / run for run in section.runs if is_finished(root / run)]
    acts = pd.DataFrame([read_json(folder / "metrics.json")["seconds"] for folder in found]).sum()
    executed = {}
    for path in sorted((root / "notebooks" / name).glob("*.ipynb")):
        executed[path.stem] = nbformat.read(path, 4).metadata.get("papermill", {}).get("duration")
    tables = {
        "Imports (s)": pd.Series({module: seconds_to_import(module) for module in IMPORTS}),
        f"{len(found)} of {len(section.runs)} runs (s, summed)": acts,
        "Notebooks (s)": pd.Series(executed, dtype=float),
    }
    for title, table in tables.items():
        print(f"\n{title}\n{table.round(1).to_string()}")


if __name__ == "__main__":
    main()
