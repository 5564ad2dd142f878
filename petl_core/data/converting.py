"""Convert a data set from its original distribution to ``NAME_precomp/``, the layout of the PE-RSITR release."""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from petl_core.data.layouts import CAPTIONS_PER_IMAGE, RELEASE_FILES, load, locate, plain_name
from petl_core.data.split import RetrievalData
from petl_core.errors import ConfigError, DataError


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
    place_of = {data.image_name(path): path for path in (*data.train.images, *data.test.images)}
    if images is not None:
        place_of = {name: Path(images).absolute() / name for name in place_of}
        missing = [name for name, path in place_of.items() if not os.path.isfile(path)]
        if missing:
            problem = f"lacks {len(missing):,} of {len(place_of):,} images, first {', '.join(missing[:3])}"
            raise DataError(f"{images}: {problem}. Name the folder that holds the images themselves")

    # Write to a draft folder first; renaming it is the last step.
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for file in (*RELEASE_FILES, "scene_classes.txt"):
            if (data.root / file).exists() and (source.is_dir() or file not in RELEASE_FILES):
                shutil.copyfile(data.root / file, draft / file)
        if not source.is_dir():
            _write_lists(draft, data)
        _write_images(draft / f"{plain_name(target.name)}_images", place_of, link, progress)
        draft.chmod(0o755)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return load(target)


def _write_lists(folder: Path, data: RetrievalData) -> None:
    """Five lines for each image, blank ones if it has fewer captions: readers drop those."""
    for split, part, times in (("train", data.train, 1), ("test", data.test, CAPTIONS_PER_IMAGE)):
        lines: list[list[str]] = [[] for _ in part.images]
        for caption, image in zip(part.captions, part.image_of, strict=True):
            lines[image].append(" ".join(caption.split("\n")))
        for path, captions in zip(part.images, lines, strict=True):
            if len(captions) > CAPTIONS_PER_IMAGE:
                problem = f"has {len(captions)} captions, but the layout holds {CAPTIONS_PER_IMAGE} per image"
                raise DataError(f"{path}: {problem}. Leave the data set as it is: its JSON can be read, too")
            captions += [""] * (CAPTIONS_PER_IMAGE - len(captions))
        names = [data.image_name(path) for path in part.images for _ in range(times)]
        for kind, content in (("filename", names), ("caps", [caption for group in lines for caption in group])):
            text = "".join(f"{line}\n" for line in content)
            (folder / f"{split}_{kind}.txt").write_text(text, encoding="utf-8", newline="\n")


def _write_images(folder: Path, place_of: dict[str, Path], link: bool, progress: bool) -> None:
    def write(name: str) -> None:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if link:
            place.symlink_to(place_of[name].resolve())
        else:
            shutil.copyfile(place_of[name], place)

    with ThreadPoolExecutor() as pool:
        list(tqdm(pool.map(write, place_of), "images", len(place_of), disable=not progress))
