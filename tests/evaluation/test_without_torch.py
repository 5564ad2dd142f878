"""Reading finished runs needs no torch, and numbers need no plots."""

import subprocess
import sys

import pytest

NUMBERS = [
    f"petl_core.evaluation.{name}"
    for name in (
        "names", "grouping", "comparison", "captions", "per_run", "factors", "labelled_queries", "queue_drift",
        "ablation", "cmer", "published", "paper", "training_data", "by_scene", "learning_curves", "selection",
    )
]  # fmt: skip
OF_FINISHED_RUNS = ["petl_core.runs.collecting", *NUMBERS] + [
    f"petl_core.plots.{name}"
    for name in ("recalls", "trade_offs", "forest", "history", "ablation", "drift", "outputs", "report")
]
TRAINING, PLOTS = {"torch", "open_clip", "torchvision", "transformers"}, {"matplotlib", "seaborn"}


@pytest.mark.parametrize(
    ("modules", "unwanted"), [(NUMBERS, TRAINING | PLOTS), (OF_FINISHED_RUNS, TRAINING)], ids=["numbers", "plots"]
)
def test_imports(modules, unwanted):
    program = f"""
import importlib, sys
for module in {modules}:
    importlib.import_module(module)
    assert not (found := {unwanted} & sys.modules.keys()), f"{{module}} imports {{found}}"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
