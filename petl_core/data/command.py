"""``python -m petl_core data``: list the known data sets, verify one, or convert one to the release's layout."""

import argparse
import sys
from pathlib import Path

from petl_core.data.catalogue import CATALOGUE
from petl_core.data.converting import convert
from petl_core.data.layouts import locate
from petl_core.data.verifying import verify
from petl_core.errors import DataError
from petl_core.files import resolve


def add_to(commands: "argparse._SubParsersAction") -> None:
    """Add the command to those of the program."""
    text = "list the data sets that are known by name; verify or convert one"
    parser = commands.add_parser("data", help=text, description=f"{text}. data/README.md has the layouts.")
    parser.set_defaults(command=list_sets)
    parser.add_argument("--data-root", default="data", help="folder of data sets; default: %(default)s")
    acts = parser.add_subparsers(metavar="COMMAND")

    text = "check layout, counts, caption lists and images of a data set; exit code 1 if anything is wrong"
    sub = acts.add_parser("verify", help=text, description=text)
    sub.set_defaults(command=verify_set)
    sub.add_argument("folder", metavar="FOLDER", help="of the data set, or its JSON file, or its name")
    sub.add_argument("--data-root", default=argparse.SUPPRESS, help="folder of data sets, for a name")
    sub.add_argument("--captions-only", action="store_true", help="skip the images")

    text = "convert a data set from its original distribution to NAME_precomp, the layout of the PE-RSITR release"
    sub = acts.add_parser("convert", help=text, description=text)
    sub.set_defaults(command=convert_set)
    sub.add_argument("source", metavar="SOURCE", help="folder or JSON file of the original distribution")
    sub.add_argument("target", metavar="TARGET", help="the folder to create, such as data/rsicd_precomp")
    sub.add_argument("--images", metavar="FOLDER", help="where the images are, if not next to the captions")
    sub.add_argument("--link", action="store_true", help="link to the images instead of copying them")


def list_sets(args: argparse.Namespace) -> int:
    """Exit code of ``data``."""
    for known in CATALOGUE.values():
        here = "here" if _is_here(known.name, args.data_root) else "not here"
        print(f"{known.name}: {known.train:,} / {known.test:,} images in train / test; {here}")
        for title in ("source", "layout", "licence", "citation"):
            print(f"    {title:9}{getattr(known, title)}")
    return 0


def verify_set(args: argparse.Namespace) -> int:
    """Exit code of ``data verify``."""
    verdict = verify(_place(args.folder), resolve(args.data_root), not args.captions_only, progress=True)
    print(verdict.line)
    return 1 if verdict.problems else 0


def convert_set(args: argparse.Namespace) -> int:
    """Exit code of ``data convert``."""
    made = convert(args.source, args.target, args.images, args.link, progress=True)
    print(f"{made.root}: {len(made.train.images):,} / {len(made.test.images):,} images", file=sys.stderr)
    return 0


def _is_here(name: str, root: str) -> bool:
    try:
        return bool(locate(Path(name), resolve(root)))
    except DataError:
        return False


def _place(folder: str) -> str | Path:
    """An existing path, relative to the working directory; otherwise a name."""
    return Path(folder).absolute() if Path(folder).exists() else folder
