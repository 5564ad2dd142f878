"""``python -m petl_core paper rsitmd``: checks, then settings chosen on validation, then the published tables' runs."""

import argparse
import os
import re
import shlex
import sys
from typing import Any

import yaml
from tabulate import tabulate

from petl_core.files import write_text
from petl_core.paper import sections
from petl_core.paths import resolve
from petl_core.runs import graph, study
from petl_core.runs.study import PLACES
from petl_core.validation import ConfigError

BACKBONE, TAG = "ViT-B-32-quickgelu", "openai"  # as in the published tables


def add_to(commands: "argparse._SubParsersAction") -> None:
    """Add the command to those of the program."""
    text = "check everything, choose each method's settings, then train and draw the published tables of a data set"
    sub = commands.add_parser("paper", help=text, description=f"{text}. Paths are relative to the project's root.")
    sub.set_defaults(command=make_tables)
    sub.add_argument("dataset", help="rsicd, rsitmd, ucm, or another data set's name")
    sub.add_argument("--backbone", default=BACKBONE, help="open_clip's name or folder; default: %(default)s")
    sub.add_argument("--pretrained", help=f"tag or weights file; default: {TAG}, or none for a folder")
    sub.add_argument("--data-root", help="folder of data sets; default: data")
    sub.add_argument("--runs-root", help="folder of runs and caches; default: runs")
    sub.add_argument("--figures", help="folder of tables and figures; default: figures/paper/DATASET")
    sub.add_argument("--cores", type=graph.cores, default=os.cpu_count() or 1, help="default: all, %(default)s")
    sub.add_argument(
        "--gpus", type=int, choices=(0, 1), help="of a run; default: 1 where there is one, or on a cluster"
    )
    text = "one run a job on a cluster, by these options of Snakemake, as in '--executor slurm --jobs 100'"
    sub.add_argument("--cluster", metavar="OPTIONS", type=shlex.split, help=text)
    sub.add_argument("--study", default="study.yaml", help="holds paper_tuning and paper; default: %(default)s")
    sub.add_argument("--dry-run", action="store_true", help="only check, and say how long it would take")


def make_tables(asked: argparse.Namespace) -> int:
    """Exit code of ``paper``; 2 where a check fails, before anything is trained."""
    settings = settings_of(asked)
    if not settings["gpus"]:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # runs take a GPU that they see
    filled = sections.fill(study.load_sections(resolve(asked.study)), settings)
    if not _check(asked, filled):
        return 2
    if asked.dry_run:
        return 0

    # Snakemake, and every job of it, reads the sections from one file; the second once the first has tuned it.
    *_, last = filled.values()
    file = resolve(last.get("runs_root", PLACES["runs_root"])) / "notebooks" / f"paper_{asked.dataset}.yaml"
    write_text(file, yaml.safe_dump(filled))
    options = [*(asked.cluster or ["--cores", str(asked.cores)]), "--configfile", str(file)]
    for name, section in filled.items():
        code = graph.make(study.read(section, name), name, _workers(section, asked), options)
        if code:
            return code
    print((resolve(settings["figures"]) / "paper.md").read_text(encoding="utf-8"))
    return 0


def settings_of(asked: argparse.Namespace) -> dict[str, Any]:
    """What takes the place of the templates' own fields and places."""
    if not re.fullmatch(r"[\w-]+", asked.dataset):
        raise ConfigError(f"data set {asked.dataset!r}: give its name, and its folder's place by --data-root")
    by_itself = "" if "/" in asked.backbone else TAG
    gpus = asked.gpus
    if gpus is None:
        gpus = 1 if asked.cluster else _gpus_here()
    settings = {
        "dataset": asked.dataset,
        "backbone": asked.backbone,
        "pretrained": by_itself if asked.pretrained is None else asked.pretrained,
        "figures": asked.figures or f"figures/paper/{asked.dataset}",
        "gpus": gpus,
        "runs_per_job": 1 if asked.cluster else 0,
    }
    places = {"data_root": asked.data_root, "runs_root": asked.runs_root}
    return settings | {name: place for name, place in places.items() if place}


def _gpus_here() -> int:
    import torch  # takes seconds, and a plan needs none

    return int(torch.cuda.is_available())


def _workers(section: dict, asked: argparse.Namespace) -> int:
    """Runs at a time, as the Snakefile has them."""
    return 1 if section["gpus"] or section["runs_per_job"] else asked.cores


def _check(asked: argparse.Namespace, filled: dict[str, dict]) -> bool:
    """Whether all checks pass; they are printed as a table, a line each."""
    from petl_core.paper import checks  # imports torch

    foreseen = [sections.foresee(section, name) for name, section in filled.items()]
    places = foreseen[0].places
    plan = checks.Plan(
        runs=foreseen[0].runs | foreseen[1].runs,
        data_root=places["data_root"],
        runs_root=places["runs_root"],
        gpus=places["gpus"],
        workers=_workers(places, asked),
    )
    found = checks.check_all(plan, measured=not asked.cluster)
    rows = [(check.name, "ok" if check.passed else "FAILS", check.found) for check in found]
    print(tabulate(rows, tablefmt="plain", disable_numparse=True), flush=True)
    failed = [check.name for check in found if not check.passed]
    if failed:
        print(f"error: {', '.join(failed)}: nothing was trained", file=sys.stderr)
    return not failed
