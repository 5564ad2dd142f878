"""The study from a shell: ``python -m petl_core study`` and others; ``python -m petl_core --help`` lists them."""

import argparse
import os
import sys
from pathlib import Path

from petl_core.data import DataError
from petl_core.data import command as data_command
from petl_core.errors import ConfigError
from petl_core.paper import command as paper_command
from petl_core.runs import graph, progress, study
from petl_core.runs.folder import find_run, open_run
from petl_core.search import command as search_command

EXPORTS = """kinds:
  embeddings   of a split, as OUT.parquet or OUT.npz
  open_clip    a folder that open_clip loads by itself (local-dir:OUT), for methods that fold into their backbone
  hub          a folder with adapter, configuration and model card, which petl_core.export.load(OUT) loads"""


def main(arguments: list[str] | None = None) -> int:
    """Exit code of a command."""
    args = _parser().parse_args(arguments)
    try:
        return args.command(args)
    except (ConfigError, DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m petl_core", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("study", _study, "make a section: runs, then tables and figures; finished runs are not trained again"),
        ("plan", _plan, "say what is left of a section, and how many minutes of training"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        sub.add_argument("section", nargs="?", default="study", help="of study.yaml; default: %(default)s")
        sub.add_argument("--cores", type=graph.cores, default=os.cpu_count() or 1, help="default: all, %(default)s")
        if name == "study":
            sub.add_argument("--redraw", action="store_true", help="draw tables and figures again")
            sub.add_argument(
                "--no-training", action="store_true", help="draw from finished runs, and name missing ones"
            )
            sub.add_argument("--unlock", action="store_true", help="after a power cut: remove the stale lock")
    paper_command.add_to(commands)
    search_command.add_to(commands)
    data_command.add_to(commands)
    _add_export(commands)
    return parser


def _add_export(commands: "argparse._SubParsersAction") -> None:
    text = "write a finished run's embeddings, or its model for open_clip or the hub"
    form = argparse.RawDescriptionHelpFormatter
    sub = commands.add_parser("export", help=text, description=text, epilog=EXPORTS, formatter_class=form)
    sub.set_defaults(command=_export)
    sub.add_argument("run", metavar="RUN", help="its folder, such as runs/HASH, or its name, HASH")
    sub.add_argument("kind", metavar="KIND", choices=("embeddings", "open_clip", "hub"), help="see below")
    sub.add_argument("out", metavar="OUT", help="file or folder to write")
    sub.add_argument("--split", default="test", help="for embeddings: train, validation or test; default: %(default)s")
    sub.add_argument("--data-root", default="data", help="folder of data sets; default: %(default)s")
    sub.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; default: %(default)s")


def _study(args: argparse.Namespace) -> int:
    section = study.load(args.section)
    if args.unlock:
        return graph.unlock(args.section)
    gpus = section.options["gpus"]
    trains = not args.no_training and bool(progress.unfinished(section))  # finished runs are drawn without a GPU
    if gpus and trains and not graph.has_gpu():
        raise ConfigError(
            f"study.yaml: {args.section}.gpus = {gpus}, but no CUDA device is visible here; set it to 0 for CPUs"
        )
    options = ["--cores", str(args.cores), *(["--forcerun", "notebook", "report"] if args.redraw else [])]
    return graph.make(section, args.section, args.cores, options, train=not args.no_training)


def _plan(args: argparse.Namespace) -> int:
    section = study.load(args.section)
    left = progress.estimate(section, section.workers(args.cores))
    print(f"{args.section}: {left}; {len(section.notebooks)} notebooks and a report")
    return 0


def _export(args: argparse.Namespace) -> int:
    run, out = open_run(find_run(args.run)), Path(args.out).absolute()  # from where the shell is
    from petl_core import export  # imports torch
    from petl_core.runs.experiment import load_model

    if args.kind == "embeddings":
        written = export.export_embeddings(run, out, args.split, args.data_root, args.device)
    elif args.kind == "open_clip":
        written = export.export_open_clip(load_model(run, args.data_root, args.device), out)
    else:
        written = export.export_hub(run, out, args.data_root)
    print(written, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
