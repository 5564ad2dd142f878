"""Convert a data set from its original distribution to ``NAME_precomp/``, the layout of the PE-RSITR release."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from petl_core.data.errors import broken
from petl_core.data.layouts import CAPTIONS_PER_IMAGE, RELEASE_FILES, locate, plain_name
from petl_core.data.loading import load
from petl_core.data.split import RetrievalData, Split
from petl_core.errors import ConfigError


def convert(
    source: str | Path, target: str | Path, images: str | Path | None = None, link: bool = False, progress: bool = False
) -> RetrievalData:
    """Write a data set in the layout of the release, completely or not at all.

    The release's own lists are copied byte by byte; those made from JSON have the same captions in the same order.
    ``val`` joins ``train``, as in the release.

    Args:
        source: the data set's folder, or its JSON file, in one of the layouts of data/README.md.
        target: the folder to create, ``NAME_precomp``.
        images: where the images are, if not next to the captions.
        link: link to the images instead of copying them.
        progress: show a bar on stderr.

    Returns:
        The new data set.

    Raises:
        DataError: the source is broken, lacks an image, or has more captions per image than the layout holds.
        ConfigError: the target exists already, or is not called NAME_precomp.
        OSError: the disk is full.
    """
    target = Path(target).absolute()
    if not target.name.endswith("_precomp"):
        raise ConfigError(f"{target} must be called NAME_precomp, as in {target / 'rsicd_precomp'}")
    if target.exists():
        raise ConfigError(f"{target} exists already; remove it, or name another folder")
    source = locate(Path(source).absolute(), Path())
    data = load(source, check_images=images is None)
    wanted = _images(data, None if images is None else Path(images).absolute())

    # Write to a draft folder first; renaming it is the last step.
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        if source.is_dir():
            _copy(data.root, draft, *RELEASE_FILES)
        else:
            _write_lists(draft, data)
        _copy(data.root, draft, "scene_classes.txt")
        _write_images(draft / f"{plain_name(target.name)}_images", wanted, link, progress)
        draft.chmod(0o755)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return load(target)


def _images(data: RetrievalData, folder: Path | None) -> dict[str, Path]:
    """The path of each image, by its name in the lists."""
    names = {data.image_name(path): path for path in (*data.train.images, *data.test.images)}
    if folder is None:
        return names
    found = {name: folder / name for name in names}
    missing = [name for name, path in found.items() if not os.path.isfile(path)]
    if missing:
        problem = f"lacks {len(missing):,} of {len(found):,} images, first {', '.join(missing[:3])}"
        raise broken(folder, problem, "Name the folder that holds the images themselves")
    return found


def _copy(source: Path, target: Path, *files: str) -> None:
    """Copy those of the files that exist."""
    for file in files:
        if (source / file).exists():
            shutil.copyfile(source / file, target / file)


def _write_lists(folder: Path, data: RetrievalData) -> None:
    for split, part, times in (("train", data.train, 1), ("test", data.test, CAPTIONS_PER_IMAGE)):
        names = [data.image_name(path) for path in part.images]
        _write_lines(folder / f"{split}_filename.txt", [name for name in names for _ in range(times)])
        _write_lines(folder / f"{split}_caps.txt", _five_each(part))


def _five_each(split: Split) -> list[str]:
    """The captions of each image on five lines, with blank lines if it has fewer: readers drop those."""
    lines: list[list[str]] = [[] for _ in split.images]
    for caption, image in zip(split.captions, split.image_of, strict=True):
        lines[image].append(" ".join(caption.split("\n")))
    for path, captions in zip(split.images, lines, strict=True):
        if len(captions) > CAPTIONS_PER_IMAGE:
            problem = f"has {len(captions)} captions, but the layout holds {CAPTIONS_PER_IMAGE} per image"
            raise broken(path, problem, "Leave the data set as it is: its JSON can be read, too")
        captions += [""] * (CAPTIONS_PER_IMAGE - len(captions))
    return [caption for captions in lines for caption in captions]


def _write_lines(file: Path, lines: list[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _write_images(folder: Path, images: dict[str, Path], link: bool, progress: bool) -> None:
    def write(name: str) -> None:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if link:
            place.symlink_to(images[name].resolve())
        else:
            shutil.copyfile(images[name], place)

    with ThreadPoolExecutor() as pool:
        list(tqdm(pool.map(write, images), "images", len(images), disable=not progress))
