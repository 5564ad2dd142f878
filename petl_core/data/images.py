"""Image files, read completely or refused."""

import hashlib
import os
from pathlib import Path

from PIL import Image

from petl_core.data.errors import broken
from petl_core.errors import DataError

MAX_PIXELS = 2**26  # 8,192 x 8,192: far above any image of these data sets, far below what fills memory
WIDE_MODES = {"I", "F"}  # 32-bit pixels; 16-bit modes are named "I;16..."


def read_image(path: str | Path) -> Image.Image:
    """Read an image as RGB, its first frame if it has several.

    Raises:
        DataError: it is missing, cut short or otherwise unreadable, too large, or has pixels wider than 8 bits.
    """
    path = Path(path)
    if not os.path.isfile(path):
        problem = "is a folder, not an image" if os.path.isdir(path) else "image is missing"
        raise broken(path, problem, "Put the image there")
    try:
        with Image.open(path) as image:
            _check_pixels(path, image)
            return image.convert("RGB")
    except DataError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(path) from error
    except Exception as error:  # decoders raise nearly anything on broken files
        raise broken(path, f"cannot be read as an image ({error})", "Fetch the file again") from error


def pixel_digest(path: str | Path) -> str:
    """Digest of a decoded image: the same for equal pixels, whatever the file format.

    Raises:
        DataError: see :func:`read_image`.
    """
    image = read_image(path)
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def _check_pixels(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path)
    if image.mode in WIDE_MODES or image.mode.startswith("I;"):
        raise broken(path, f"has pixels of mode {image.mode}, wider than 8 bits", "Convert it to 8-bit RGB")


def _too_large(path: Path) -> DataError:
    return broken(path, f"has more than {MAX_PIXELS:,} pixels", "Cut or shrink the image")
