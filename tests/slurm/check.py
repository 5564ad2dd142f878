"""What tests/slurm/run asserts, from what it left: python check.py FOLDER HASH-OF-THE-CANCELLED-RUN."""

import json
import sys
from pathlib import Path

work, cancelled = Path(sys.argv[1]), sys.argv[2]


def results(place: str) -> dict[str, dict]:
    """The scores of every run by its hash, and what it was trained on."""
    found = {path.parent.name: json.loads(path.read_text()) for path in (work / place).glob("runs/*/metrics.json")}
    return {name: {key: metrics[key] for key in ("scores", "inputs")} for name, metrics in found.items()}


def held() -> dict[str, tuple[str, float, float]]:
    """For every job its GPUs, and from when to when it held them."""
    events = [line.split() for line in (work / "gpus.txt").read_text().splitlines()]
    starts = {job: float(when) for when, event, job, _ in events if event == "prolog"}
    return {job: (gpus, starts[job], float(when)) for when, event, job, gpus in events if event == "epilog"}


clustered, local = results("cluster"), results("local")
jobs = [line.split() for line in (work / "jobs.txt").read_text().splitlines()]
training = {job: (state, comment[-16:]) for job, state, comment in jobs if comment[-16:] in clustered}
gpus = {job: interval for job, interval in held().items() if job in training}
states = sorted(state for state, name in training.values() if name == cancelled)

assert len(clustered) > 16, f"only {len(clustered)} runs"
assert states == ["CANCELLED", "COMPLETED"], f"the jobs of the cancelled run {cancelled} ended {states}"
assert len(training) == len(clustered) + 1, f"{len(training)} training jobs for {len(clustered)} runs"
print(f"ok  {len(clustered)} runs finished in {len(training)} training jobs; the cancelled one was tried again")

assert gpus.keys() == training.keys(), f"no record of the GPU of {sorted(training.keys() - gpus.keys())}"
assert {gpu for gpu, _, _ in gpus.values()} == {"0", "1"}, f"GPUs by job: {gpus}"
pairs = [(a, b) for a in gpus.values() for b in gpus.values() if a is not b and a[1] <= b[1] < a[2]]
assert all(a[0] != b[0] for a, b in pairs), "two jobs shared a GPU"
assert pairs, "never did both GPUs work at once"
print("ok  every training job had one GPU to itself, and both worked at once")

assert clustered.keys() == local.keys(), f"in one place only: {sorted(clustered.keys() ^ local.keys())}"
different = [name for name in clustered if clustered[name] != local[name]]
assert not different, f"other scores, or inputs, on the cluster: {different}"
print(f"ok  the scores of all {len(local)} runs are equal with and without the cluster")
