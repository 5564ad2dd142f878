"""``python -m petl_core paper rsitmd``: checks, then settings chosen on validation, then the published tables' runs."""

import argparse
import os
import re
import shlex
import sys
from typing import Any

import yaml
from tabulate import tabulate

from petl_core.errors import ConfigError
from petl_core.files import resolve, write_text
from petl_core.paper import sections
from petl_core.runs import graph, study
from petl_core.runs.study import DEFAULT_OPTIONS

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
        "--gpus", type=int, choices=(0, 1), help="for each run; default: 1 if one is visible, or on a cluster"
    )
    text = "train on a cluster, one run per job, with these Snakemake options, as in '--executor slurm --jobs 100'"
    sub.add_argument("--cluster", metavar="OPTIONS", type=shlex.split, help=text)
    text = "file with the sections paper_tuning and paper; default: %(default)s"
    sub.add_argument("--study", default="study.yaml", help=text)
    sub.add_argument("--dry-run", action="store_true", help="only check, and say how long it would take")


def make_tables(args: argparse.Namespace) -> int:
    """Exit code of ``paper``; 2 if a check fails, before anything is trained."""
    settings = settings_of(args)
    if not settings["gpus"]:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the checks measure on what the runs will use
    filled = sections.fill(study.load_sections(resolve(args.study)), settings)
    if not _check(args, filled):
        return 2
    if args.dry_run:
        return 0

    # Snakemake and each of its jobs read the sections from one file; the second section once the first has tuned it.
    *_, last = filled.values()
    file = resolve(last.get("runs_root", DEFAULT_OPTIONS["runs_root"])) / "notebooks" / f"paper_{args.dataset}.yaml"
    write_text(file, yaml.safe_dump(filled))
    options = [*(args.cluster or ["--cores", str(args.cores)]), "--configfile", str(file)]
    for name, section in filled.items():
        code = graph.make(study.read(section, name), name, args.cores, options)
        if code:
            return code
    print((resolve(settings["figures"]) / "paper.md").read_text(encoding="utf-8"))
    return 0


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Fields and options that replace the templates' own.

    Raises:
        ConfigError: the data set is not a name, or a GPU is wanted and none is visible.
    """
    if not re.fullmatch(r"[\w-]+", args.dataset):
        raise ConfigError(f"data set {args.dataset!r}: give its name, and the folder that holds it by --data-root")
    gpus = args.gpus
    if gpus is None:
        gpus = 1 if args.cluster or graph.has_gpu() else 0
    elif gpus and not args.cluster and not graph.has_gpu():
        raise ConfigError(f"--gpus {gpus}: no CUDA device is visible here; use --gpus 0, or --cluster")
    default_tag = "" if "/" in args.backbone else TAG
    settings = {
        "dataset": args.dataset,
        "backbone": args.backbone,
        "pretrained": default_tag if args.pretrained is None else args.pretrained,
        "figures": args.figures or f"figures/paper/{args.dataset}",
        "gpus": gpus,
        "runs_per_job": 1 if args.cluster else 0,
    }
    places = {"data_root": args.data_root, "runs_root": args.runs_root}
    return settings | {name: place for name, place in places.items() if place}


def _check(args: argparse.Namespace, filled: dict[str, dict]) -> bool:
    """Whether all checks pass; they are printed as a table, one line each."""
    from petl_core.paper import checks  # imports torch

    foreseen = [sections.foresee(section, name) for name, section in filled.items()]
    options = foreseen[0].options
    plan = checks.Plan(
        runs=foreseen[0].runs | foreseen[1].runs,
        data_root=options["data_root"],
        runs_root=options["runs_root"],
        gpus=options["gpus"],
        workers=foreseen[0].workers(args.cores),
    )
    found = checks.check_all(plan, measured=not args.cluster)
    rows = [(check.name, "ok" if check.passed else "FAILS", check.found) for check in found]
    print(tabulate(rows, tablefmt="plain", disable_numparse=True), flush=True)
    failed = [check.name for check in found if not check.passed]
    if failed:
        print(f"error: {', '.join(failed)}: nothing was trained", file=sys.stderr)
    return not failed
