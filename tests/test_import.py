"""``import petl_core`` costs nothing, and makes threads wait without spinning."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, sys
import petl_core
heavy = [name for name in ("torch", "pandas", "matplotlib", "open_clip") if name in sys.modules]
print(json.dumps([heavy, os.environ["OMP_WAIT_POLICY"]]))
"""


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_do_not_spin_unless_asked_to_and_nothing_heavy_is_imported(before, after):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if before:
        environment["OMP_WAIT_POLICY"] = before
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == [[], after]


def test_a_plan_needs_no_torch():
    script = "import sys; from petl_core.__main__ import main; main(['plan']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("study: ") and "to train" in done.stdout
