"""The embedded default data: draws a small captioned aerial data set and its natural-domain twin.

Both domains draw the same kind of plan (`plan`, `world`), say the same facts about it (`captions`) and share
their nouns, colours, counts and relations; they differ in viewpoint, shapes, palette, texture and some words
(`aerial`, `natural`). The files are laid out as in the PE-RSITR release: what reads those reads these.
"""

import csv
import json
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from . import aerial, natural
from .captions import describe
from .classes import RECIPES
from .plan import Scene
from .world import imagine

VERSION = 1  # raise when any picture or caption changes
DRAW = {"aerial": aerial.draw, "natural": natural.draw}
SPLITS = ("train", "test")
CLASSES = tuple(RECIPES)
WORTH_A_POOL = 256  # fewer images are drawn sooner than worker processes start


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
    """Draw a data set under root/NAME_precomp and return that folder.

    The same arguments give the same bytes, whatever the number of worker processes (default: one a core).
    An existing folder drawn with the same settings is left alone. Work happens in a temporary sibling,
    renamed when complete. Worker processes are spawned: a script that calls this keeps its own work under
    `if __name__ == "__main__":`, or asks for one worker.

    Besides the release's files there are `targets.csv` (box of each small target in pixels of the written
    image; in the natural domain something may stand before it), `scene_classes.txt` (file-name prefix, tab,
    words) and `scenes.json` (the settings).

    Raises:
        ValueError: unknown domain, a count or size below 1, or a folder there that other settings drew.
    """
    settings = _checked(domain, train, test, size, seed)
    folder = Path(root) / f"{name}_precomp"
    if folder.exists():
        return _same(folder, settings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _fill(draft, name, settings, workers, progress)
        draft.chmod(0o755)
        os.rename(draft, folder)
    except OSError:
        if not folder.exists():
            raise
        return _same(folder, settings)  # another process was first
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def sketch(index: int, split: str, domain: str, seed: int) -> tuple[Scene, list[str], np.random.Generator]:
    """The plan and captions of one image, from the arguments alone, and the generator to draw it with."""
    rng = np.random.default_rng((seed, sorted(DRAW).index(domain), SPLITS.index(split), index))
    scene = imagine(CLASSES[index % len(CLASSES)], rng)
    return scene, describe(scene, domain, rng), rng


def _checked(domain, train, test, size, seed):
    if domain not in DRAW:
        raise ValueError(f"domain {domain!r} is unknown: choose one of {', '.join(sorted(DRAW))}")
    for word, value in (("train", train), ("test", test), ("size", size)):
        if value < 1:
            raise ValueError(f"{word} is {value}: give at least 1")
    return {"version": VERSION, "domain": domain, "train": train, "test": test, "size": size, "seed": seed}


def _same(folder, settings):
    record = folder / "scenes.json"
    found = json.loads(record.read_text()) if record.exists() else None
    if found != settings:
        raise ValueError(
            f"{folder} holds another data set ({found or 'not drawn here'}), not {settings}: "
            "delete that folder, or choose another name or root"
        )
    return folder


def _fill(folder, name, settings, workers, progress):
    images = folder / f"{name}_images"
    images.mkdir()
    jobs = [(split, index) for split in SPLITS for index in range(settings[split])]
    paint = partial(_paint, images, settings)
    drawn = tqdm(_map(paint, jobs, workers), f"drawing {name}", len(jobs), disable=not progress, mininterval=1)
    rows = list(drawn)
    for split in SPLITS:
        mine = [row for row, job in zip(rows, jobs, strict=True) if job[0] == split]
        repeats = 5 if split == "test" else 1  # as the release does
        _write_lines(folder / f"{split}_caps.txt", [caption for row in mine for caption in row[1]])
        _write_lines(folder / f"{split}_filename.txt", [row[0] for row in mine for _ in range(repeats)])
    classes = [f"{kind}\t{recipe.words}" for kind, recipe in RECIPES.items()]
    _write_lines(folder / "scene_classes.txt", classes)
    with open(folder / "targets.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["filename", "noun", "colour", "x0", "y0", "x1", "y1"])
        table.writerows(target for row in rows for target in row[2])
    (folder / "scenes.json").write_text(json.dumps(settings, indent=2) + "\n")


def _write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _map(paint, jobs, workers):
    workers = workers or os.cpu_count()
    if workers == 1 or len(jobs) < WORTH_A_POOL:
        yield from map(paint, jobs)
        return
    yield from Parallel(workers, return_as="generator", batch_size=16)(delayed(paint)(job) for job in jobs)


def _paint(images, settings, job):
    """Write one image; its file name, captions and targets (file name, noun, colour, box)."""
    split, index = job
    scene, captions, rng = sketch(index, split, settings["domain"], settings["seed"])
    picture, boxes = DRAW[settings["domain"]](scene, settings["size"], rng)
    number = index + 1 + (settings["train"] if split == "test" else 0)
    filename = f"{scene.kind}_{number}.png"
    picture.save(images / filename)
    return filename, captions, [(filename, t.noun, t.colour, *(round(e, 2) for e in box)) for t, box in boxes]
