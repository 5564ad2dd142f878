"""Numbers do not import plots, and neither imports torch except where a model is run."""

import subprocess
import sys
from pathlib import Path

import petl_core

ROOMS = Path(petl_core.__file__).parent
NUMBERS, PLOTS = ({path.stem for path in (ROOMS / room).glob("[!_]*.py")} for room in ("evaluation", "plots"))
RUN_A_MODEL = {"activation_memory", "efficiency", "embedding", "queue_cost"}


def imported_with(modules: list[str], unwanted: tuple[str, ...]) -> str:
    """Which of the unwanted come with one of the modules, imported in this order in a separate process."""
    code = f"""
import importlib, sys
for module in {modules}:
    importlib.import_module(module)
    if found := [name for name in {unwanted} if name in sys.modules]:
        sys.exit(f"{{module}} imports {{', '.join(found)}}")
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr


def test_numbers_are_imported_without_plots_or_torch():
    modules = ["petl_core.data.audit", *(f"petl_core.evaluation.{name}" for name in sorted(NUMBERS - RUN_A_MODEL))]
    assert imported_with(modules, ("matplotlib", "seaborn", "umap", "sklearn", "torch", "open_clip")) == ""


def test_measurements_are_imported_without_plots():
    modules = [f"petl_core.evaluation.{name}" for name in sorted(RUN_A_MODEL)]
    assert imported_with(modules, ("matplotlib", "seaborn", "umap", "sklearn")) == ""


def test_finished_runs_are_read_and_plotted_without_torch():
    modules = ["petl_core.runs.collecting", *(f"petl_core.plots.{name}" for name in sorted(PLOTS))]
    assert imported_with(modules, ("torch", "torchvision", "open_clip", "transformers")) == ""
