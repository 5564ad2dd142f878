"""What a section is said to take."""

import json

from petl_core.config import RunConfig
from petl_core.runs import progress, study

TINY = {"dataset": "scenes-tiny", "backbone": "embedded-tiny", "epochs": 1}


def test_cost_is_judged_by_finished_runs_alike(tmp_path):
    section = {**TINY, "runs_root": str(tmp_path), "notebooks": {"04_benchmark": {"runs": [{"seed": [2, 3, 4]}]}}}
    asked = study.read(section, "one")
    assert "minutes unknown" in progress.estimate(asked, 2)
    done = RunConfig(**TINY, seed=2)
    (tmp_path / done.hash).mkdir()
    seconds = {"train": 240.0, "prepare": 60.0, "test": 60.0}
    metrics = {"config": vars(done), "seconds": seconds, "images": {"train": 80}}
    (tmp_path / done.hash / "metrics.json").write_text(json.dumps(metrics))
    assert progress.estimate(asked, 2).startswith("4 runs, 1 finished, 3 to train: about 7 minutes, 2 at once")
