"""Draw a data set: ``python -m drawn_scenes mine --domain aerial --train 800 --test 300``."""

import argparse

from .dataset import RENDERERS, write


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, draw, and say where the data set is."""
    parser = argparse.ArgumentParser(
        prog="python -m drawn_scenes",
        description="Draw a captioned data set in the layout of the PE-RSITR release (see data/README.md).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("name", help="its folder will be ROOT/NAME_precomp")
    parser.add_argument("--root", default="data", help="folder of data sets")
    parser.add_argument("--domain", default="aerial", choices=sorted(RENDERERS), help="from above or from the side")
    parser.add_argument("--train", default=1200, type=int, help="images for training and validation")
    parser.add_argument("--test", default=200, type=int, help="test images")
    parser.add_argument("--size", default=64, type=int, help="width and height of an image in pixels")
    parser.add_argument("--seed", default=0, type=int, help="the same seed draws the same scenes")
    parser.add_argument("--workers", default=argparse.SUPPRESS, type=int, help="processes (default: one per core)")
    options = vars(parser.parse_args(arguments))
    try:
        print(write(options.pop("root"), options.pop("name"), **options))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
