"""``python -m petl_core search``: the arguments, and what is printed."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from petl_core.errors import ConfigError
from petl_core.search.options import STRETCHES, IndexOptions

if TYPE_CHECKING:  # torch takes seconds to import, and --help needs none
    from petl_core.adapters import AdaptedCLIP
    from petl_core.search.gallery import Gallery, Hit

ZERO_SHOT = "zero-shot"
MODEL, PRETRAINED = "ViT-B-32-quickgelu", "openai"
DESCRIPTION = """Find the images in FOLDER that fit a text, or that are like an image.

The first search encodes every image and stores the result under --index-root; later ones encode only new or changed
files. JPEG, PNG and TIFF are read directly; GeoTIFF needs rasterio (.venv/bin/python -m pip install -e '.[raster]')
and gives hits with coordinates."""
EXAMPLES = """examples:
  python -m petl_core search imagery "a harbor with many boats" --run runs/HASH
  python -m petl_core search imagery "two planes" --model embedded --top 3 --json
  python -m petl_core search imagery imagery/port_12.png --image
  python -m petl_core search sentinel "a river delta" --bands 4 3 2 --tile 256"""


def add_to(commands: "argparse._SubParsersAction") -> None:
    """Add the command to those of the program."""
    defaults = IndexOptions()
    parser = commands.add_parser(
        "search",
        help="find images in a folder, by text or by image",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=search)
    parser.add_argument("folder", metavar="FOLDER", help="of images, at any depth")
    parser.add_argument("query", metavar="QUERY", help="what to look for: a text; with --image, an image file")
    parser.add_argument("--image", action="store_true", help="look for images like the one that QUERY names")
    parser.add_argument("--top", type=int, default=10, metavar="K", help="hits to print; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")

    model = parser.add_argument_group("the model")
    model.add_argument(
        "--run", default=ZERO_SHOT, help=f"a finished run, its name or folder; or {ZERO_SHOT} (the default)"
    )
    model.add_argument(
        "--model", help=f"for {ZERO_SHOT}: an open_clip model, a folder, or embedded; default: {MODEL}, {PRETRAINED}"
    )
    model.add_argument("--pretrained", default="", help="for an open_clip model: a tag or weights file")
    model.add_argument("--device", default="auto", help='cpu, cuda, cuda:1; default: "%(default)s"')

    cutting = parser.add_argument_group("how images are read")
    cutting.add_argument("--tile", type=int, default=defaults.tile, help="larger images are cut; default: %(default)s")
    cutting.add_argument(
        "--overlap", type=float, default=defaults.overlap, help="of tiles, as a fraction; default: %(default)s"
    )
    cutting.add_argument(
        "--bands",
        type=int,
        nargs=3,
        default=defaults.bands,
        metavar=("RED", "GREEN", "BLUE"),
        help="of rasters; default: 1 2 3",
    )
    cutting.add_argument(
        "--stretch",
        choices=STRETCHES,
        default=defaults.stretch,
        help="of rasters; auto: 8-bit as they are, others by percentiles",
    )
    cutting.add_argument(
        "--limits",
        type=float,
        nargs=2,
        default=defaults.limits,
        metavar=("LOW", "HIGH"),
        help="percentiles, or pixel values (range), that become black and white; default: 2 98",
    )

    folders = parser.add_argument_group("folders")
    folders.add_argument("--index-root", default="runs/search", help="of all indexes; default: %(default)s")
    folders.add_argument("--runs-root", default="runs", help="of runs and default backbones; default: %(default)s")
    folders.add_argument("--data-root", default="data", help="of data sets; default: %(default)s")


def search(args: argparse.Namespace) -> int:
    """Exit code of the command."""
    if args.top < 1:
        raise ConfigError(f"--top {args.top} must be at least 1")
    options = IndexOptions(args.tile, args.overlap, tuple(args.bands), args.stretch, tuple(args.limits))
    folder = Path(args.folder).resolve()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name one that holds images")

    from petl_core.search.gallery import Gallery

    gallery = Gallery.of_folder(folder, _model(args), args.index_root, options)
    if args.image:
        hits = gallery.search_image(Path(args.query).resolve(), args.top)
    else:
        hits = gallery.search_text(args.query, args.top)
    if args.json:
        print(json.dumps(_as_json(gallery, hits), indent=1))
        return 0
    for path, reason in gallery.unreadable.items():
        print(f"left out {path}: {reason}", file=sys.stderr)
    print(f"{len(gallery.embeddings):,} images and tiles, {gallery.encoded:,} of them new", file=sys.stderr)
    for hit in hits:
        print(_line(hit, Path(args.folder), folder))
    return 0


def _model(args: argparse.Namespace) -> "AdaptedCLIP":
    from petl_core.search import models

    places = (args.runs_root, args.data_root, args.device)
    if args.run == ZERO_SHOT:
        name, pretrained = (args.model, args.pretrained) if args.model else (MODEL, args.pretrained or PRETRAINED)
        return models.zero_shot(name, pretrained, *places)
    if args.model or args.pretrained:
        raise ConfigError(f"--run {args.run} has a model of its own; leave --model and --pretrained out")
    return models.of_run(args.run, *places)


def _line(hit: "Hit", given: Path, folder: Path) -> str:
    """A hit for people: score, path as they would write it, window, and coordinates if it has any."""
    parts = [f"{hit.score:.3f}", str(given / hit.path.relative_to(folder))]
    if hit.window:
        parts.append("x {} y {} {}x{}".format(*hit.window))
    if hit.lon is not None:
        parts.append(f"lon {hit.lon:.5f} lat {hit.lat:.5f}")
    return "\t".join(parts)


def _as_json(gallery: "Gallery", hits: "list[Hit]") -> dict:
    """A search and its results for programs."""
    return {
        "embeddings": len(gallery.embeddings),
        "encoded": gallery.encoded,
        "unreadable": gallery.unreadable,
        "hits": [
            {**hit._asdict(), "path": str(hit.path), "window": hit.window and hit.window._asdict()} for hit in hits
        ],
    }
