"""Variants of CMER's parts that were tried and not kept, compared with the parts that were: five seeds on drawn scenes.

    python benchmarks/variants.py                      # all
    python benchmarks/variants.py stale sigmoid        # some
    python benchmarks/variants.py --csv variants.csv   # the table as a file, too

Negative sample recycling (petl_core/recycling.py), with own and with slow keys:

    stale      the positive, too, comes from the queue where it holds the pair: as old as the negatives, as in XBM
    centred    what is queued is moved by the drift of the mean
    joint      one softmax over the negatives of batch and queue, instead of a term of the loss for each

The focus (petl_core/adapters/focus.py), or how far a patch passes:

    sigmoid    a gate with parameters of its own
    depthwise  the same, behind a depthwise convolution over the patches
    nearest    attention is that of nearly one patch, the best

The settings of the Focus-Adapter are the tuned ones; finished runs under runs/ are read and not trained again.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import gelu, normalize

from petl_core import retrieval, statistics
from petl_core.adapters import focus
from petl_core.config import RunConfig
from petl_core.data import DataError, default_data
from petl_core.errors import ConfigError
from petl_core.evaluation.embedding import focus_maps_of, target_hits
from petl_core.evaluation.focus import by_layer, target_boxes, target_focus, target_queries
from petl_core.losses import Contrast, infonce_to_queue
from petl_core.recycling import Pairs, Queue
from petl_core.runs import experiment, tuned
from petl_core.runs.folder import Run
from petl_core.training import default_backbones, state

SEEDS = (2, 3, 4, 5, 6)
GATE_START = 2.0  # bias of a gate: sigmoid(2) = 0.88 passes at first


class StalePositives(Queue):
    """The key of a positive is the newest one that the queue holds of the same image."""

    def loss(self, batch: Pairs, keys: Pairs, contrast: Contrast = infonce_to_queue) -> torch.Tensor:
        same_image = batch.image_ids[:, None] == self.image_ids[: len(self)]  # (B, K)
        held = same_image.any(dim=1)
        if held.any():
            newest = (same_image * (self.stored_at[: len(self)] + 1)).argmax(dim=1)
            images = torch.where(held[:, None], self.images[newest], keys.images)
            texts = torch.where(held[:, None], self.texts[newest], keys.texts)
            keys = replace(keys, images=images, texts=texts)
        return super().loss(batch, keys, contrast)


class CentredKeys(Queue):
    """What is queued has the mean of the newest keys."""

    def loss(self, batch: Pairs, keys: Pairs, contrast: Contrast = infonce_to_queue) -> torch.Tensor:
        count = len(self)
        if count:
            for name in ("images", "texts"):
                stored, fresh = getattr(self, name), getattr(keys, name).detach()
                stored[:count] = normalize(stored[:count] + fresh.mean(dim=0) - stored[:count].mean(dim=0), dim=1)
        return super().loss(batch, keys, contrast)


class JointSoftmax(Queue):
    """L_batch and L_queue as one: negatives are the batch's, with gradients to both sides, and the queue's."""

    def loss(self, batch: Pairs, keys: Pairs, contrast: Contrast = infonce_to_queue) -> torch.Tensor:
        count = len(self)
        queued = {"images": self.images[:count].clone(), "texts": self.texts[:count].clone()}
        itself = torch.eye(len(batch.images), dtype=torch.bool)
        exclude = torch.cat([itself, self._same(batch)], dim=1)
        losses = []
        for anchors, partners in (("images", "texts"), ("texts", "images")):
            scores = getattr(batch, anchors) @ getattr(batch, partners).T  # (B, B)
            negatives = torch.cat([scores, getattr(batch, anchors) @ queued[partners].T], dim=1)
            losses.append(contrast(scores.diagonal(), negatives, exclude))
        return sum(losses) / 2


class Gated(focus.FocusLayer):
    """A patch passes by a gate with parameters of its own, instead of its attention."""

    def __init__(self, r: int, attention: str):
        super().__init__(r, attention)
        if attention == "focus":
            self.gate = nn.Linear(r, 1)
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, GATE_START)

    def forward(self, s: torch.Tensor, at_query: torch.Tensor, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.attention != "focus":
            return super().forward(s, at_query, keys)
        a = self._attend(s, at_query, keys)
        w = torch.where(keys, self.gate(self.read(s)).squeeze(-1).sigmoid(), torch.ones_like(a))
        s = w.unsqueeze(-1) * s
        s = s + at_query.unsqueeze(-1) * self.value(a.unsqueeze(1) @ s)
        return s + self.narrow(gelu(self.widen(s))), w

    def read(self, s: torch.Tensor) -> torch.Tensor:
        """What the gate reads of the states (B, 1 + N, r)."""
        return s


class DepthwiseGated(Gated):
    """The gate reads the neighbourhood of a patch."""

    def __init__(self, r: int, attention: str):
        super().__init__(r, attention)
        if attention == "focus":
            self.mix = nn.Conv2d(r, r, 3, padding=1, groups=r)

    def read(self, s: torch.Tensor) -> torch.Tensor:
        side = round((s.shape[1] - 1) ** 0.5)
        grid = s[:, 1:].transpose(1, 2).unflatten(2, (side, side))  # (B, r, side, side)
        return torch.cat([s[:, :1], gelu(self.mix(grid)).flatten(2).transpose(1, 2)], dim=1)


class NearestPatch(focus.FocusLayer):
    """Attention eight times as sharp."""

    def _attend(self, s: torch.Tensor, at_query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        a = super()._attend(s, at_query, keys)
        if self.attention != "focus":
            return a
        return a**8 / (a**8).sum(dim=1, keepdim=True).clamp(min=1e-12)


@dataclass(frozen=True)
class Variant:
    """What takes the place of a class of ours, in the module that makes it."""

    module: object
    replaces: str
    by: type


VARIANTS = {
    "stale": Variant(state, "Queue", StalePositives),
    "centred": Variant(state, "Queue", CentredKeys),
    "joint": Variant(state, "Queue", JointSoftmax),
    "sigmoid": Variant(focus, "FocusLayer", Gated),
    "depthwise": Variant(focus, "FocusLayer", DepthwiseGated),
    "nearest": Variant(focus, "FocusLayer", NearestPatch),
}


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"{', '.join(VARIANTS)}; default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="default: 2 to 6")
    parser.add_argument("--csv", type=Path, help="also write the table there")
    args = parser.parse_args()
    if unknown := sorted(set(args.variants) - VARIANTS.keys()):
        parser.error(f"no variant {', '.join(unknown)}; known: {', '.join(VARIANTS)}")
    torch.set_num_threads(1)  # as in the runs of a study
    try:
        table = compare(args.variants or list(VARIANTS), args.seeds)
    except (ConfigError, DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"Test mR (%), and paired differences from the Focus-Adapter alone; {len(args.seeds)} seeds, 95% intervals")
    print(table.to_string(index=False))
    if args.csv:
        table.to_csv(args.csv, index=False)
    return 0


def compare(names: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """One row for what is kept, with each kind of keys, and for each variant."""
    alone, recycled = configurations()
    reference = runs(alone, seeds)
    rows = [table_row("Focus-Adapter", reference)]
    rows += [table_row(f"queue, {keys} keys", runs(config, seeds), reference) for keys, config in recycled.items()]
    for name in names:
        of_queue = {f"{name}, {keys} keys": config for keys, config in recycled.items()}
        for title, config in (of_queue if VARIANTS[name].replaces == "Queue" else {name: alone}).items():
            if name == "joint":  # its one term is the queue's; the weight of the batch's must not be 0
                config = config.replace(w_cross=1e-6, queue_weight=1.0)
            rows.append(table_row(title, runs(config, seeds, name), reference, name))
    return pd.DataFrame(rows)


def configurations() -> tuple[RunConfig, dict[str, RunConfig]]:
    """The Focus-Adapter alone as in section "cmer", and with a queue of each kind of keys."""
    fields = {"dataset": "scenes", "backbone": "embedded", "method": "focus", "cache_features": True}
    fields |= {"epochs": 30, "patience": 12, "batch_size": 32}
    alone = RunConfig(**tuned.fill(fields, "figures/tuning/tuned.json"))
    queue = alone.replace(queue_size=640, queue_weight=0.1)
    return alone, {"own": queue, "slow": queue.replace(queue_keys="ema")}


def runs(config: RunConfig, seeds: Sequence[int], variant: str = "") -> list[Run]:
    """Finished runs at these seeds; those of a variant have their own folder, since configurations do not name it."""
    root = f"runs/variants/{variant}" if variant else "runs"
    backbone = default_backbones.find_or_pretrain(config.backbone) if variant else config.backbone
    with patched(variant):
        return [experiment.run(config.replace(seed=seed, backbone=backbone), runs_root=root) for seed in seeds]


def patched(variant: str) -> AbstractContextManager:
    """Within this context the variant, if there is one, replaces what is kept."""
    if not variant:
        return nullcontext()
    return mock.patch.object(VARIANTS[variant].module, VARIANTS[variant].replaces, VARIANTS[variant].by)


def table_row(title: str, finished: list[Run], reference: Sequence[Run] = (), variant: str = "") -> dict[str, object]:
    """Results of one variant; for a focus, also where it looks and whether small targets are found."""
    hits = np.stack([run.test_hits for run in finished])
    row = {"variant": title, "mR": f"{retrieval.metrics(hits)['mr']:.2f}", "difference": ""}
    if reference:
        by_seed = {"variant": dict(enumerate(hits)), "kept": {i: run.test_hits for i, run in enumerate(reference)}}
        found = statistics.compare(by_seed, [("variant", "kept")]).iloc[0]
        row["difference"] = f"{found['difference']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"
    if not finished[0].config.queue_size:
        with patched(variant):
            row |= small_targets(finished)
    return row


def small_targets(finished: list[Run]) -> dict[str, object]:
    """Mean recall of captions of small targets alone (%), and in how many layers targets pass more than background."""
    test = default_data.load_or_draw(finished[0].config.dataset).test
    folder = test.images[0].parent.parent
    queries, boxes = target_queries(folder, test.images), target_boxes(folder)
    recalls, weights = [], []
    for run in finished:
        model = experiment.load_model(run)
        recalls.append(retrieval.metrics(target_hits(model, test, queries))["mr"])
        maps = focus_maps_of(model, test.images)
        weights.append(target_focus(test.images, maps, boxes).assign(seed=run.config.seed))
    layers = by_layer(pd.concat(weights))
    more = (layers["Targets pass"] == "more").sum()
    return {"small targets": f"{np.mean(recalls):.2f}", "targets pass more in": f"{more} of {len(layers)} layers"}


if __name__ == "__main__":
    sys.exit(main())
