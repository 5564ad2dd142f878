"""Check that a data set on disk is complete, and whether it is the published one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from petl_core.data.catalogue import CATALOGUE, RELEASE
from petl_core.data.images import pixel_digest
from petl_core.data.layouts import load, locate
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
    """Check a data set: counts, caption lists, and every image; a DataError if its lists cannot be read.

    Lists that differ from those of the PE-RSITR release are reported, but not as a problem: other releases differ, too.
    """
    data = load(name, root, check_images=False)
    known = CATALOGUE.get(data.name)
    in_release = locate(Path(name), Path(root)).is_dir()
    verdict = Verdict(data.name, [f"{'release layout' if in_release else 'JSON layout'} in {data.root}"])
    facts, problems = verdict.facts, verdict.problems

    # Counts, and the caption lists of the release.
    train, test = len(data.train.images), len(data.test.images)
    blank = data.train.blank + data.test.blank
    captions = f"{len(data.train.captions):,} / {len(data.test.captions):,} captions"
    facts.append(f"{captions}, {blank} blank ones dropped" if blank else captions)
    counts = f"{train:,} / {test:,} images"
    if known is None:
        facts.append(f"{counts}, not in the catalogue")
    elif (train, test) == (known.train, known.test):
        facts.append(f"{counts}, as in the catalogue")
    else:
        problems.append(f"{counts}, but {known.train:,} / {known.test:,} in the catalogue")
    if in_release and known and known.captions:
        other = [file for file, digest in known.captions.items() if sha256(data.root / file) != digest]
        facts.append(f"{', '.join(other)} not as in {RELEASE}" if other else f"lists as in {RELEASE}")
    else:
        facts.append("caption lists not known")
    if not check_images:
        return verdict

    # Every image, and those that are in both splits.
    paths = [*data.train.images, *data.test.images]
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        digests = list(tqdm(pool.map(_digest_or_error, paths), "images", len(paths), disable=not progress))
    missing = [path.name for path in paths if not path.exists()]
    broken = [
        str(found) for path, found in zip(paths, digests, strict=True) if type(found) is not str and path.exists()
    ]
    if missing:
        problems.append(f"{len(missing):,} images missing, first {', '.join(missing[:NAMED])}")
    if broken:
        problems.append(f"{len(broken):,} images unreadable, first {broken[0]}")
    in_train = {found for found in digests[:train] if type(found) is str}
    facts.append(f"{sum(found in in_train for found in digests[train:])} test images also in train")
    return verdict


def _digest_or_error(path: Path) -> str | DataError:
    try:
        return pixel_digest(path)
    except DataError as error:
        return error
