"""Embeddings of a split by a finished run's model, with the images and captions they belong to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from petl_core.data import Split, default_data
from petl_core.errors import ConfigError
from petl_core.files import resolve, write_atomically
from petl_core.runs.experiment import load_model, splits_of
from petl_core.runs.folder import Run
from petl_core.training import encoding


@dataclass(frozen=True)
class EmbeddedSplit:
    """A split's N images and M captions, embedded by the model of a run."""

    run: str  # hash
    name: str  # "train", "validation" or "test"
    split: Split
    paths: list[str]  # (N,) of the images, relative to the data root
    images: np.ndarray  # (N, d) float32, normalised
    texts: np.ndarray  # (M, d) float32, normalised

    def write_parquet(self, path: Path) -> None:
        """One row per image, then one row per caption."""
        split = self.split
        images = {
            "kind": "image",
            "image": range(len(self.paths)),
            "path": self.paths,
            "caption": None,
            "scene": split.scenes,
            "embedding": list(self.images),
        }
        captions = {
            "kind": "caption",
            "image": split.image_of,
            "path": [self.paths[i] for i in split.image_of],
            "caption": split.captions,
            "scene": [split.scenes[i] for i in split.image_of],
            "embedding": list(self.texts),
        }
        frame = pd.concat([pd.DataFrame(images), pd.DataFrame(captions)], ignore_index=True)
        frame.attrs = {"run": self.run, "split": self.name}
        frame.to_parquet(path, index=False)

    def write_npz(self, path: Path) -> None:
        """Plain arrays, which numpy loads without pickle."""
        np.savez(
            path,
            images=self.images,
            paths=np.array(self.paths),
            scenes=np.array([scene or "" for scene in self.split.scenes]),
            texts=self.texts,
            captions=np.array(self.split.captions),
            image_of=self.split.image_of,
            run=self.run,
            split=self.name,
        )


WRITERS: dict[str, Callable[[EmbeddedSplit, Path], None]] = {
    ".parquet": EmbeddedSplit.write_parquet,
    ".npz": EmbeddedSplit.write_npz,
}


def export_embeddings(
    run: Run, out: str | Path, split: str = "test", data_root: str | Path = "data", device: str = "auto"
) -> Path:
    """Write the normalised float32 embeddings of a split.

    A ``.parquet`` file has one row per image, then one row per caption, each with ``kind`` ("image", "caption"),
    ``image`` (index within the split), ``path`` (relative to the data root), ``caption`` and ``scene`` (null if there
    is none) and ``embedding``. An ``.npz`` file has the arrays ``images`` (N, d), ``paths`` (N,), ``scenes`` (N,), ""
    if there is none, ``texts`` (M, d), ``captions`` (M,), ``image_of`` (M,). Both name their ``run`` and ``split``.

    Args:
        run: which made the model.
        out: a file whose name ends in ``.parquet`` or ``.npz``.
        split: "train" or "validation", as in the run, or "test".
        data_root: folder of the data sets.
        device: "cpu", "cuda", "cuda:1", or "auto".

    Raises:
        ConfigError: another ending or split, or the data set has changed since the run.
    """
    out = resolve(out)
    if out.suffix not in WRITERS:
        raise ConfigError(f"{out}: embeddings go to a file that ends in {' or '.join(WRITERS)}")
    dataset = default_data.load_or_draw(run.config.dataset, data_root)
    if dataset.fingerprint() != run.metrics["inputs"]["data"]:
        raise ConfigError(f"data set {dataset.root} has changed since run {run.folder} was made; run it again")
    splits = splits_of(run.config, dataset)
    if split not in splits:
        raise ConfigError(f"split {split!r} must be one of {', '.join(splits)}")
    chosen = splits[split]

    model = load_model(run, data_root, device)
    images, texts = encoding.embed(model, encoding.prepare(chosen, model.backbone))
    paths = [path.relative_to(dataset.root.parent).as_posix() for path in chosen.images]
    embedded = EmbeddedSplit(run.config.hash, split, chosen, paths, images, texts)
    return write_atomically(out, lambda temporary: WRITERS[out.suffix](embedded, temporary))
