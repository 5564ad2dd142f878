"""A data set of drawn scenes on disk, in the layout of the PE-RSITR release, so that the same code reads both."""

import contextlib
import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from . import aerial, natural
from .captions import describe, describe_target
from .classes import RECIPES
from .plan import Scene
from .random_scenes import random_scene

VERSION = 2  # raise when any picture or caption changes
RENDERERS = {"aerial": aerial.draw, "natural": natural.draw}
SPLITS = ("train", "test")
CLASSES = tuple(RECIPES)
TARGET_CAPTIONS = "target_captions.csv"
WORTH_A_POOL = 256  # fewer images are drawn before worker processes have started

Job = tuple[str, int]  # split, and number of an image in it


@dataclass(frozen=True)
class Settings:
    """What decides every byte of a data set.

    Raises:
        ValueError: an unknown domain, or a count or size below 1.
    """

    domain: str
    train: int  # images for training and validation
    test: int
    size: int  # width and height of an image in pixels
    seed: int

    def __post_init__(self) -> None:
        if self.domain not in RENDERERS:
            raise ValueError(f"domain {self.domain!r} is unknown: choose one of {', '.join(sorted(RENDERERS))}")
        for name in ("train", "test", "size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1")

    def record(self) -> dict[str, Any]:
        """The content of ``scenes.json``."""
        return {"version": VERSION, **asdict(self)}


class Drawn(NamedTuple):
    """What the lists of a data set say about one image."""

    filename: str
    captions: list[str]
    targets: list[tuple[object, ...]]  # rows of targets.csv


def write(
    root: str | Path,
    name: str,
    *,
    domain: str = "aerial",
    train: int = 1200,
    test: int = 200,
    size: int = 64,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Draw a data set under ``root/NAME_precomp``.

    The same settings give the same bytes, whatever the number of worker processes. A folder drawn with the same
    settings is left alone. Files are written to a temporary sibling, which is renamed when complete.

    Besides the release's files there are ``targets.csv`` (the box of each small target in pixels of the written image;
    in the natural domain something may be in front of it), ``target_captions.csv`` (see below), ``scene_classes.txt``
    (file-name prefix, tab, words) and ``scenes.json`` (the settings).

    ``target_captions.csv`` has, for each test image in which one or two small things stand apart, a caption about these
    alone, with their noun, colour and count. A folder drawn before there were such captions gets them.

    Args:
        root: folder of data sets.
        name: of the data set.
        domain: "aerial" or "natural".
        train: images for training and validation.
        test: test images.
        size: width and height of an image in pixels.
        seed: the same seed draws the same scenes.
        workers: processes, by default one per core. They are spawned: a script that uses more than one must keep its
            own code under ``if __name__ == "__main__":``.
        progress: show a bar.

    Returns:
        The folder of the data set.

    Raises:
        ValueError: an unknown domain, a count or size below 1, or a folder that was drawn with other settings.
    """
    settings = Settings(domain, train, test, size, seed)
    folder = Path(root) / f"{name}_precomp"
    if folder.exists():
        return _check_same(folder, settings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        drawn = _draw_images(draft, name, settings, workers or os.cpu_count() or 1, progress)
        _write_lists(draft, drawn, settings)
        _write_target_captions(draft, settings)
        draft.chmod(0o755)
        os.rename(draft, folder)
    except OSError:
        if not folder.exists():
            raise
        return _check_same(folder, settings)  # another process was first
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def sketch(index: int, split: str, domain: str, seed: int) -> tuple[Scene, list[str], np.random.Generator]:
    """The plan and captions of one image, from the arguments alone, and the generator to draw its picture with."""
    rng = np.random.default_rng((seed, sorted(RENDERERS).index(domain), SPLITS.index(split), index))
    scene = random_scene(CLASSES[index % len(CLASSES)], rng)
    return scene, describe(scene, domain, rng), rng


def _check_same(folder: Path, settings: Settings) -> Path:
    """The folder, if these settings drew it."""
    record = folder / "scenes.json"
    found = json.loads(record.read_text()) if record.exists() else None
    if found != settings.record():
        raise ValueError(
            f"{folder} holds another data set ({found or 'not drawn here'}), not {settings.record()}: "
            "delete that folder, or choose another name or root"
        )
    if not (folder / TARGET_CAPTIONS).exists():
        with contextlib.suppress(OSError):  # in a read-only folder, the data set works without them
            _write_target_captions(folder, settings)
    return folder


def _draw_images(folder: Path, name: str, settings: Settings, workers: int, progress: bool) -> dict[str, list[Drawn]]:
    """Draw all images; returns what the lists say about them, by split."""
    images = folder / f"{name}_images"
    images.mkdir()
    jobs = [(split, index) for split in SPLITS for index in range(getattr(settings, split))]
    results = _map(partial(_draw_image, images, settings), jobs, workers)
    bar = tqdm(results, f"drawing {name}", len(jobs), disable=not progress, mininterval=1)
    drawn: dict[str, list[Drawn]] = {split: [] for split in SPLITS}
    for (split, _), one in zip(jobs, bar, strict=True):
        drawn[split].append(one)
    return drawn


def _map(draw: Callable[[Job], Drawn], jobs: list[Job], workers: int) -> Iterator[Drawn]:
    """Results in the order of the jobs, from this process or from several."""
    if workers == 1 or len(jobs) < WORTH_A_POOL:
        return map(draw, jobs)
    return Parallel(workers, return_as="generator", batch_size=16)(delayed(draw)(job) for job in jobs)


def _draw_image(folder: Path, settings: Settings, job: Job) -> Drawn:
    """Write one image."""
    split, index = job
    scene, captions, rng = sketch(index, split, settings.domain, settings.seed)
    picture, boxes = RENDERERS[settings.domain](scene, settings.size, rng)
    filename = _filename(scene, split, index, settings)
    picture.save(folder / filename)
    targets = [(filename, thing.noun, thing.colour, *(round(edge, 2) for edge in box)) for thing, box in boxes]
    return Drawn(filename, captions, targets)


def _filename(scene: Scene, split: str, index: int, settings: Settings) -> str:
    number = index + 1 + (settings.train if split == "test" else 0)
    return f"{scene.kind}_{number}.png"


def _write_lists(folder: Path, drawn: dict[str, list[Drawn]], settings: Settings) -> None:
    """Write everything but the images."""
    # The release's own files: in test, a file name is listed once for each of its captions.
    for split, images in drawn.items():
        repeats = 5 if split == "test" else 1
        _write_lines(folder / f"{split}_caps.txt", (caption for image in images for caption in image.captions))
        _write_lines(folder / f"{split}_filename.txt", (image.filename for image in images for _ in range(repeats)))

    # Ours.
    _write_lines(folder / "scene_classes.txt", (f"{kind}\t{recipe.words}" for kind, recipe in RECIPES.items()))
    targets = (target for images in drawn.values() for image in images for target in image.targets)
    _write_table(folder / "targets.csv", ("filename", "noun", "colour", "x0", "y0", "x1", "y1"), targets)
    (folder / "scenes.json").write_text(json.dumps(settings.record(), indent=2) + "\n")


def _write_target_captions(folder: Path, settings: Settings) -> None:
    """Write captions of what stands apart in the test images, atomically: others may be reading the folder."""
    rows = []
    for index in range(settings.test):
        scene, _, _ = sketch(index, "test", settings.domain, settings.seed)
        if scene.extra:
            caption = describe_target(scene.extra, settings.domain)
            name = _filename(scene, "test", index, settings)
            rows.append((name, scene.extra.noun, scene.extra.colour, scene.extra.count, caption))
    _write_table(folder / TARGET_CAPTIONS, ("filename", "noun", "colour", "count", "caption"), rows)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file, atomically."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        with open(draft, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(columns)
            table.writerows(rows)
        os.replace(draft, path)
