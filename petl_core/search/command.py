"""``python -m petl_core search``: the arguments, and what is printed. Importable without torch, for ``--help``."""

import argparse
import json
import sys
from pathlib import Path

from petl_core.data.images import STRETCHES
from petl_core.errors import ConfigError
from petl_core.search.options import IndexOptions

ZERO_SHOT = "zero-shot"
MODEL, PRETRAINED = "ViT-B-32-quickgelu", "openai"
DESCRIPTION = """Find the images in FOLDER that fit a text, or that are like an image.

The first search encodes every image and stores the result under --index-root; later ones encode only new or changed
files. JPEG, PNG, WebP and TIFF are read directly; GeoTIFF and 16-bit colour need rasterio (.venv/bin/python -m pip
install -e '.[raster]'), and GeoTIFF gives hits with coordinates."""
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
    parser.set_defaults(command=_search)
    parser.add_argument("folder", metavar="FOLDER", help="of images, at any depth")
    parser.add_argument("query", metavar="QUERY", help="what to look for: a text; with --image, an image file")
    parser.add_argument("--image", action="store_true", help="look for images like the one that QUERY names")
    parser.add_argument("--top", type=int, default=10, metavar="K", help="hits to print; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")

    add = parser.add_argument_group("the model").add_argument
    add("--run", default=ZERO_SHOT, help=f"a finished run, its name or folder; or {ZERO_SHOT} (the default)")
    add("--model", help=f"for {ZERO_SHOT}: an open_clip model, a folder, or embedded; default: {MODEL}, {PRETRAINED}")
    add("--pretrained", default="", help="for an open_clip model: a tag or weights file")
    add("--device", default="auto", help='cpu, cuda, cuda:1; default: "%(default)s"')

    add = parser.add_argument_group("how images are read").add_argument
    add("--tile", type=int, default=defaults.tile, help="larger images are cut; default: %(default)s pixels")
    add("--overlap", type=float, default=defaults.overlap, help="of tiles, as a fraction; default: %(default)s")
    colours = ("RED", "GREEN", "BLUE")
    add("--bands", type=int, nargs=3, default=(), metavar=colours, help="default: as the file says, else 1 2 3")
    stretches = "auto (the default): 8-bit pixels as they are, wider ones by percentiles"
    add("--stretch", choices=STRETCHES, default=defaults.stretch, help=stretches)
    limits = "percentiles, or pixel values (range), that become black and white; default: 2 98"
    add("--limits", type=float, nargs=2, default=defaults.limits, metavar=("LOW", "HIGH"), help=limits)

    add = parser.add_argument_group("folders").add_argument
    add("--index-root", default="runs/search", help="of all indexes; default: %(default)s")
    add("--runs-root", default="runs", help="of runs; default: %(default)s")


def _search(args: argparse.Namespace) -> int:
    # Refuse what is wrong before torch is imported and a model loaded.
    if args.top < 1:
        raise ConfigError(f"--top {args.top} must be at least 1")
    options = IndexOptions(tuple(args.bands), args.stretch, tuple(args.limits), args.tile, args.overlap)
    folder = Path(args.folder).resolve()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name one that holds images")

    from petl_core.search import models
    from petl_core.search.gallery import Gallery

    if args.run != ZERO_SHOT and (args.model or args.pretrained):
        raise ConfigError(f"--run {args.run} has a model of its own; leave --model and --pretrained out")
    if args.run != ZERO_SHOT:
        model = models.of_run(args.run, args.runs_root, args.device)
    else:
        pretrained = args.pretrained or ("" if args.model else PRETRAINED)
        model = models.zero_shot(args.model or MODEL, pretrained, args.device)
    gallery = Gallery.of_folder(folder, model, args.index_root, options)
    if args.image:
        hits = gallery.search_image(Path(args.query).resolve(), args.top)
    else:
        hits = gallery.search_text(args.query, args.top)

    if args.json:
        counts = {"embeddings": len(gallery.embeddings), "encoded": gallery.encoded}
        left_out = {"unreadable": gallery.unreadable, "skipped": gallery.skipped}
        found = [
            {**hit._asdict(), "path": str(hit.path), "window": hit.window and hit.window._asdict()} for hit in hits
        ]
        print(json.dumps({**counts, **left_out, "hits": found}, indent=1))
        return 0
    for path, reason in gallery.unreadable.items():
        print(f"left out {path}: {reason}", file=sys.stderr)
    kinds = {"unreadable": len(gallery.unreadable)} | gallery.skipped
    rest = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items() if count)
    summary = f"{len(gallery.embeddings):,} images and tiles, {gallery.encoded:,} of them new"
    print(summary + (f"; left out: {rest}" if rest else ""), file=sys.stderr)
    for hit in hits:  # the path as its user would write it
        parts = [f"{hit.score:.3f}", str(Path(args.folder) / hit.path.relative_to(folder))]
        if hit.window:
            parts.append("x {} y {} {}x{}".format(*hit.window))
        if hit.lon is not None:
            parts.append(f"lon {hit.lon:.5f} lat {hit.lat:.5f}")
        print("\t".join(parts))
    return 0
