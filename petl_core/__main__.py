"""The study from a shell: ``python -m petl_core study`` and others; ``python -m petl_core --help`` lists them."""

import argparse
import contextlib
import sys

from petl_core import export, paper
from petl_core.data import command as data_command
from petl_core.errors import ConfigError, DataError
from petl_core.runs import archive, make, study
from petl_core.runs.batch import cores as usable_cores
from petl_core.search import command as search_command


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

    text = "make a section: runs, then tables and figures; finished runs are not trained again"
    sub = commands.add_parser("study", help=text, description=text)
    sub.set_defaults(command=_study)
    sub.add_argument("section", nargs="?", default="study", help="of study.yaml; default: %(default)s")
    sub.add_argument("--cores", type=_at_least_one, default=usable_cores(), help="default: all, %(default)s")
    sub.add_argument("--redraw", action="store_true", help="draw tables and figures again")
    sub.add_argument("--no-training", action="store_true", help="draw from finished and archived runs alone")
    sub.add_argument("--plan", action="store_true", help="only say what is left to train")
    sub.add_argument("--unlock", action="store_true", help="after a power cut: remove the stale lock")

    text = "list the archive of finished runs, or add those of a section to it"
    sub = commands.add_parser("results", help=text, description=text)
    sub.set_defaults(command=_results)
    sub.add_argument("section", nargs="?", help="of study.yaml, whose finished runs are added")

    text = "pre-train a small CLIP on drawn ground-level scenes, as data/small-clip was made"
    sub = commands.add_parser("pretrain", help=text, description=text)
    sub.set_defaults(command=_pretrain)
    sub.add_argument("folder", help="to write, an open_clip folder; relative to the project")
    sub.add_argument("--epochs", type=_at_least_one, default=6, help="default: %(default)s")

    paper.add_command(commands)
    search_command.add_to(commands)
    data_command.add_to(commands)
    export.add_command(commands)
    return parser


def _study(args: argparse.Namespace) -> int:
    section = study.load(args.section)
    if args.unlock:
        return make.unlock(args.section)
    if args.plan:
        print(f"{args.section}: {make.plan(section, args.cores)}; {len(section.notebooks)} notebooks")
        return 0
    trains = not args.no_training and bool(make.unfinished(section))  # finished runs are drawn without a GPU
    if section.options.gpus and trains:
        import torch  # takes seconds, which only sections with GPUs need to wait for

        if not torch.cuda.is_available():
            raise ConfigError(
                f"study.yaml: {args.section}.gpus = {section.options.gpus}, but no CUDA device is visible here; "
                "set it to 0 for CPUs"
            )
    options = ["--cores", str(args.cores), *(["--forcerun", "notebook"] if args.redraw else [])]
    return make.make(section, args.section, args.cores, options, train=not args.no_training)


def _results(args: argparse.Namespace) -> int:
    if args.section:
        section = study.load(args.section)
        runs = []
        for name in section.runs:
            with contextlib.suppress(ConfigError):  # not run yet, neither here nor where the archive was made
                runs.append(archive.open_run(name, section.options.runs_root))
        path = archive.add_to_archive(args.section, runs)
        print(f"{path}: {len(runs)} of {len(section.runs)} runs", file=sys.stderr)
        return 0
    for name, row in archive.archived(archive.ARCHIVE).items():
        print(f"{row['section']:16} {name} {row['method']:14} seed {row['seed']}  mR {row['mr']:.2f}")
    return 0


def _pretrain(args: argparse.Namespace) -> int:
    from petl_core.pretraining import pretrain  # imports torch

    report = pretrain(args.folder, args.epochs)
    print(f"{args.folder}: loss {report['losses'][-1]:.3f}, test mR {report['test_mr']:.1f}", file=sys.stderr)
    return 0


def _at_least_one(text: str) -> int:
    """A number from the command line; argparse adds the option's name to an error."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
