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
    parser.set_defaults(command=_list)
    parser.add_argument("--data-root", default="data", help="folder of data sets; default: %(default)s")
    acts = parser.add_subparsers(metavar="COMMAND")

    text = "check layout, counts, caption lists and images of a data set; exit code 1 if anything is wrong"
    sub = acts.add_parser("verify", help=text, description=text)
    sub.set_defaults(command=_verify)
    sub.add_argument("folder", metavar="FOLDER", help="of the data set, or its JSON file, or its name")
    sub.add_argument("--data-root", default=argparse.SUPPRESS, help="folder of data sets, for a name")
    sub.add_argument("--captions-only", action="store_true", help="skip the images")

    text = "convert a data set from its original distribution to NAME_precomp, the layout of the PE-RSITR release"
    sub = acts.add_parser("convert", help=text, description=text)
    sub.set_defaults(command=_convert)
    sub.add_argument("source", metavar="SOURCE", help="folder or JSON file of the original distribution")
    sub.add_argument("target", metavar="TARGET", help="the folder to create, such as data/rsicd_precomp")
    sub.add_argument("--images", metavar="FOLDER", help="where the images are, if not next to the captions")
    sub.add_argument("--link", action="store_true", help="link to the images instead of copying them")


def _list(args: argparse.Namespace) -> int:
    for known in CATALOGUE.values():
        try:
            here = "here" if locate(Path(known.name), resolve(args.data_root)) else ""
        except DataError:
            here = "not here"
        print(f"{known.name}: {known.train:,} / {known.test:,} images in train / test; {here}")
        for title in ("source", "layout", "licence", "citation"):
            print(f"    {title:9}{getattr(known, title)}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    # An existing path, relative to the working directory; otherwise a name.
    place = Path(args.folder).absolute() if Path(args.folder).exists() else args.folder
    verdict = verify(place, resolve(args.data_root), not args.captions_only, progress=True)
    print(verdict.line)
    return 1 if verdict.problems else 0


def _convert(args: argparse.Namespace) -> int:
    made = convert(args.source, args.target, args.images, args.link, progress=True)
    print(f"{made.root}: {len(made.train.images):,} / {len(made.test.images):,} images", file=sys.stderr)
    return 0
