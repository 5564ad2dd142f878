"""Check that a data set on disk is complete, and whether it is the published one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from petl_core.data.catalogue import CATALOGUE, RELEASE, KnownSet
from petl_core.data.images import pixel_digest
from petl_core.data.layouts import locate
from petl_core.data.loading import load
from petl_core.data.split import RetrievalData
from petl_core.errors import DataError
from petl_core.files import sha256

NAMED = 3  # missing images that are named in the report


@dataclass
class Verdict:
    """What was found, and what is wrong."""

    name: str
    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The report in one line, problems first."""
        said = [f"WRONG: {'; '.join(self.problems)}"] if self.problems else ["complete"]
        return f"{self.name}: {'; '.join([*said, *self.facts])}"


def verify(name: str | Path, root: str | Path = "data", check_images: bool = True, progress: bool = False) -> Verdict:
    """Check a data set: counts, caption lists, and every image.

    Caption lists that differ from those of the PE-RSITR release are reported, but not as a problem: other releases
    differ, too.

    Args:
        name: its name, or the path of its folder or of its JSON file.
        root: folder of data sets.
        check_images: also read every image.
        progress: show a bar on stderr.

    Raises:
        DataError: its lists cannot be read, or do not match.
    """
    data = load(name, root, check_images=False)
    known = CATALOGUE.get(data.name)
    in_release = locate(Path(name), Path(root)).is_dir()
    verdict = Verdict(data.name, [f"{'release layout' if in_release else 'JSON layout'} in {data.root}"])
    _check_counts(verdict, data, known)
    if in_release and known and known.captions:
        _compare_lists(verdict, data.root, known)
    else:
        verdict.facts.append("caption lists not known")
    if check_images:
        _check_images(verdict, data, progress)
    return verdict


def _check_counts(verdict: Verdict, data: RetrievalData, known: KnownSet | None) -> None:
    train, test = len(data.train.images), len(data.test.images)
    captions = f"{len(data.train.captions):,} / {len(data.test.captions):,} captions"
    blank = data.train.blank + data.test.blank
    counts = f"{train:,} / {test:,} images"
    verdict.facts.append(f"{captions}, {blank} blank ones dropped" if blank else captions)
    if known is None:
        verdict.facts.append(f"{counts}, not in the catalogue")
    elif (train, test) == (known.train, known.test):
        verdict.facts.append(f"{counts}, as in the catalogue")
    else:
        verdict.problems.append(f"{counts}, but {known.train:,} / {known.test:,} in the catalogue")


def _compare_lists(verdict: Verdict, folder: Path, known: KnownSet) -> None:
    other = [file for file, digest in known.captions.items() if sha256(folder / file) != digest]
    verdict.facts.append(f"{', '.join(other)} not as in {RELEASE}" if other else f"lists as in {RELEASE}")


def _check_images(verdict: Verdict, data: RetrievalData, progress: bool) -> None:
    """Read every image, and find those that are in both splits."""
    paths = [*data.train.images, *data.test.images]
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        digests = list(tqdm(pool.map(_digest_or_reason, paths), "images", len(paths), disable=not progress))
    missing = [path.name for path in paths if not path.exists()]
    broken = [str(found) for path, found in zip(paths, digests, strict=True) if not _is_digest(found) and path.exists()]
    if missing:
        verdict.problems.append(f"{len(missing):,} images missing, first {', '.join(missing[:NAMED])}")
    if broken:
        verdict.problems.append(f"{len(broken):,} images unreadable, first {broken[0]}")
    train = {found for found in digests[: len(data.train.images)] if _is_digest(found)}
    both = sum(found in train for found in digests[len(data.train.images) :])
    verdict.facts.append(f"{both} test images also in train")


def _digest_or_reason(path: Path) -> str | DataError:
    try:
        return pixel_digest(path)
    except DataError as error:
        return error


def _is_digest(found: str | DataError) -> bool:
    return isinstance(found, str)
