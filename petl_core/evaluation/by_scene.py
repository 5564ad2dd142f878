"""Recalls by scene: the queries of a scene's test images and captions, each searched in the whole test split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petl_core.evaluation.comparison import summary
from petl_core.evaluation.grouping import Group
from petl_core.runs.folder import Run


@dataclass(frozen=True)
class RunOnImages(Run):
    """A finished run whose test counts only some of the images."""

    images: tuple[int, ...]  # rows of the test split

    @property
    def test_hits(self) -> np.ndarray:
        return super().test_hits[list(self.images)]


def recalls_by_scene(groups: Sequence[Group], scenes: Sequence[str | None]) -> pd.DataFrame:
    """:func:`comparison.summary` of every group for each scene, with two more columns: scene, and its number of images.

    Args:
        groups: tested on the same split.
        scenes: of that split's images; those without a label are left out.

    Raises:
        ValueError: the groups were tested on a different number of images.
    """
    tested = {run.metrics["images"]["test"] for group in groups for run in group.runs}
    if tested - {len(scenes)}:
        raise ValueError(f"{len(scenes)} scenes, but tests on {', '.join(map(str, sorted(tested)))} images")
    frames = []
    for scene in sorted({scene for scene in scenes if scene}):
        images = tuple(i for i, other in enumerate(scenes) if other == scene)
        parts = [
            Group(group.key, tuple(RunOnImages(run.folder, run.config, run.metrics, images) for run in group.runs))
            for group in groups
        ]
        frames.append(summary(parts).assign(scene=scene, images=len(images)))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
