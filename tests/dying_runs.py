"""Runs whose process dies before its test: LoRA's once, BitFit's always."""

import os

from petl_core.files import resolve
from petl_core.runs import batch


def run(config, data_root, runs_root, *rest):
    """Replaces ``batch._run``, as a function that the fork server can import."""
    from petl_core.runs import run as run_module

    died = resolve(runs_root) / f"{config.method}.died"
    if config.method == "bitfit" or (config.method == "lora" and not died.exists()):
        died.touch()
        run_module.mean_recall = lambda *_: os._exit(137)  # after training, as the kernel does where memory is short
    RUN(config, data_root, runs_root, *rest)


RUN = batch._run
