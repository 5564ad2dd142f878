"""The model card of an exported adapter: all its numbers come from ``metrics.json``."""

import json
from pathlib import Path

import pandas as pd

from petl_core.config import RunConfig
from petl_core.evaluation.names import METRICS, describe
from petl_core.evaluation.training_data import training_data_warning
from petl_core.runs.folder import Run

NAMED = ("dataset", "backbone", "pretrained", "precision", "method", "method_options", "seed")  # apart from settings
CARD = """---
library_name: petl_core
tags: [clip, open_clip, remote-sensing, image-text-retrieval, {method}]
---

# {title}, on {backbone}, for {dataset}

```python
from PIL import Image

from petl_core import export

model = export.load("this folder, or its name on the hub")
image = model.backbone.preprocess(Image.open("scene.png"))
model.encode_image(image[None], normalize=True)
model.encode_text(model.backbone.tokens(["many planes are parked next to a terminal"]), normalize=True)
```

## Recalls on the test split

{recalls}

Percent, with 95% intervals from a bootstrap over the test images; tied scores count by their expectation. Equivalent:
an image whose caption is verbatim the query counts, too. One seed: the intervals do not cover the choice of the seed.

## How it was made

{facts}
"""


def model_card(run: Run, fingerprint: str, carried: bool) -> str:
    """Markdown, with the hub's metadata at the top.

    Args:
        run: which trained the adapter.
        fingerprint: of its backbone.
        carried: whether the backbone is exported with the adapter.
    """
    config = run.config
    backbone = plain(config.backbone) + (f" ({plain(config.pretrained)})" if config.pretrained else "")
    return CARD.format(
        method=config.method,
        title=describe(run),
        backbone=backbone,
        dataset=plain(config.dataset),
        recalls=_recalls(run),
        facts="\n".join(f"* {name}: {text}" for name, text in _facts(run, backbone, fingerprint, carried).items()),
    )


def plain(name: str) -> str:
    """A name, or the last part of a path: local folders are not published."""
    return name if name.startswith("hf-hub:") else Path(name).name


def _recalls(run: Run) -> str:
    scores, intervals = run.metrics["scores"], run.metrics["intervals"]

    def cell(kind: str, metric: str) -> str:
        low, high = intervals[kind][metric]
        return f"{scores[kind][metric]:.2f} [{low:.2f}, {high:.2f}]"

    rows = [{"": name, **{kind: cell(kind, metric) for kind in scores}} for metric, name in METRICS.items()]
    return pd.DataFrame(rows).to_markdown(index=False)


def _facts(run: Run, backbone: str, fingerprint: str, carried: bool) -> dict[str, str]:
    """What a reader must know to trust the table, or to reproduce it."""
    config, metrics = run.config, run.metrics
    images, parameters, made = metrics["images"], metrics["parameters"], metrics["environment"]
    chosen = f"epoch {metrics['chosen_epoch']} of {len(metrics['history']) - 1}, by mR on the validation images"
    facts = {
        "Method": f"{metrics['method']['title']}, {json.dumps(metrics['method']['options'])}",
        "Trained": f"{parameters['trained']:,} parameters; the backbone has {parameters['backbone']:,}",
        "Backbone": f"{backbone}, {config.precision}, fingerprint {fingerprint}"
        + ("; it is in this folder, too" if carried else ""),
        "Data": f"{plain(config.dataset)}: {images['train']:,} images to train on, {images['validation']:,} to choose "
        f"by, {images['test']:,} to test on; digest {metrics['inputs']['data'][:16]}",
        "Chosen": f"{chosen}; the test split was read afterwards" if config.epochs else "nothing was trained",
        "Seed": str(config.seed),
        "Settings": f"{json.dumps(_settings(config))}; others at their defaults",
        "Made with": f"revision {made['revision']}, "
        + ", ".join(f"{name} {made[name]}" for name in ("python", "torch", "open_clip_torch")),
        "Run": config.hash,
    }
    if warning := training_data_warning(config.pretrained or config.backbone):
        facts["Beware"] = warning
    return facts


def _settings(config: RunConfig) -> dict:
    return {name: value for name, value in config.changed().items() if name not in NAMED}
