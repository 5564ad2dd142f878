"""Runs whose process dies after training: LoRA's once, BitFit's always."""

import os

from petl_core.files import resolve
from petl_core.runs import batch


def run(config, location, threads):
    """Replaces ``batch._run``, as a function that the fork server can import."""
    from petl_core.runs import experiment

    died = resolve(location.runs_root) / f"{config.method}.died"

    def die(*_):
        died.touch()
        os._exit(137)

    if config.method == "bitfit" or (config.method == "lora" and not died.exists()):
        experiment.score_test_split = die
    RUN(config, location, threads)


RUN = batch._run
