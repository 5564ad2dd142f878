"""Models and embeddings of finished runs, for other programs.

    export_open_clip    a method folded into its backbone (LoRA, BitFit, full fine-tuning), as open_clip loads it
    export_hub, load    an adapter for the Hugging Face hub, with configuration and model card; and the model again
    export_embeddings   of a split, as Parquet

From a shell: ``python -m petl_core export RUN KIND OUT``. Nothing that is written is pickled. Importable without torch.
"""

import argparse
import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from petl_core.data import default_data
from petl_core.errors import ConfigError
from petl_core.files import read_json, resolve, write_atomically, write_json, write_text
from petl_core.runs.archive import Run, open_run

if TYPE_CHECKING:
    from petl_core.adapters import AdaptedCLIP
    from petl_core.backbone import Backbone

HUB_FILES = ["*.json", "adapter.safetensors", "backbone/*.json", "backbone/*.safetensors", "backbone/*.txt"]
KINDS = """kinds:
  embeddings   of a split, as OUT.parquet
  open_clip    a folder that open_clip loads by itself (local-dir:OUT), for methods that fold into their backbone
  hub          a folder with adapter, configuration and model card, which petl_core.export.load(OUT) loads"""
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


def export_open_clip(model: "AdaptedCLIP", folder: str | Path) -> Path:
    """A folder for ``open_clip.create_model_and_transforms("local-dir:OUT")``, with the same embeddings.

    Raises:
        ConfigError: open_clip's towers cannot compute what the method does.
    """
    return _write_clip(model.backbone, model.method.fold(model.clip), resolve(folder))


def _write_clip(frozen: "Backbone", weights: dict, folder: Path) -> Path:
    from safetensors.torch import save_file

    contiguous = {name: weight.contiguous() for name, weight in weights.items()}
    write_atomically(folder / "open_clip_model.safetensors", partial(save_file, contiguous))
    if hasattr(frozen.tokenizer, "save_pretrained"):  # of Hugging Face: open_clip looks for it in the folder
        frozen.tokenizer.save_pretrained(folder)
    config = {
        "model_cfg": {**frozen.config, "custom_text": True},  # a separate text tower, as in backbone.load
        "preprocess_cfg": frozen.clip.visual.preprocess_cfg,
    }
    write_json(folder / "open_clip_config.json", config)  # last: it makes the folder valid
    return folder


def export_hub(run: Run, folder: str | Path) -> Path:
    """A finished run's adapter with what is needed to load it elsewhere::

        config.json            method, options, backbone with its fingerprint, preprocessing
        adapter.safetensors    what was trained
        README.md              the model card
        backbone/              an open_clip folder, if others could not load the backbone by its name

    Raises:
        ConfigError: the adapter was not archived, or the backbone has changed since the run.
    """
    import open_clip

    from petl_core import backbone
    from petl_core.runs.run import load_model

    folder, config, model = resolve(folder), run.config, load_model(run, "cpu")
    tags = open_clip.list_pretrained_tags_by_model(config.backbone)
    public = config.backbone.startswith("hf-hub:") or config.pretrained in tags
    if not public:
        frozen = backbone.load(config.backbone, config.pretrained)
        _write_clip(frozen, frozen.clip.state_dict(), folder / "backbone")
    names = {"name": _plain(config.backbone), "pretrained": _plain(config.pretrained)}
    about = {
        "method": config.method,
        "options": run.metrics["method"]["options"],
        "backbone": {**names, "fingerprint": model.backbone_fingerprint, "carried": not public},
        "preprocessing": _preprocessing(model),
    }
    model.save(folder / "adapter.safetensors")
    write_text(folder / "README.md", model_card(run, model.backbone_fingerprint, carried=not public))
    write_json(folder / "config.json", about)
    return folder


def load(place: str | Path, device: str = "auto") -> "AdaptedCLIP":
    """The model of a folder that :func:`export_hub` wrote, in evaluation mode.

    Args:
        place: the folder, or if there is none of that name, a repository on the Hugging Face hub ("org/name").
        device: "cpu", "cuda", "cuda:1", or "auto".

    Raises:
        ConfigError: there is nothing, or not an exported adapter; or the backbone has changed under its name.
    """
    from petl_core import adapters, backbone
    from petl_core.runs.run import find_device

    folder = resolve(place)
    if not folder.is_dir():
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(place)):
            raise ConfigError(f"{folder} is not a folder, and {str(place)!r} is not a repository's name (org/name)")
        import huggingface_hub  # only if something is fetched

        try:
            folder = Path(huggingface_hub.snapshot_download(str(place), allow_patterns=HUB_FILES))
        except (OSError, ValueError) as error:  # no network, no such repository
            raise ConfigError(f"{folder} is no folder, and {str(place)!r} cannot be fetched ({error})") from error
    try:
        about = read_json(folder / "config.json")
        named, preprocessing = about["backbone"], about["preprocessing"]
        name, pretrained = (str(folder / "backbone"), "") if named["carried"] else (named["name"], named["pretrained"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{folder / 'config.json'} does not describe an exported adapter ({problem})") from error
    frozen = backbone.load(name, pretrained, device=find_device(device))
    model = adapters.load(frozen, folder / "adapter.safetensors").eval()
    if _preprocessing(model) != preprocessing:
        raise ConfigError(
            f"{folder}: its images were preprocessed as {preprocessing}, but backbone {name!r} now says "
            f"{_preprocessing(model)}; use the open_clip version it was exported with"
        )
    return model


def model_card(run: Run, fingerprint: str, carried: bool) -> str:
    """Markdown with the hub's metadata at the top; all its numbers come from the run's metrics.

    Args:
        run: which trained the adapter.
        fingerprint: of its backbone.
        carried: whether the backbone is exported with the adapter.
    """
    from petl_core.published import training_data_warning
    from petl_core.tables import METRICS, name

    config, metrics = run.config, run.metrics
    weights = _plain(config.backbone) + (f" ({_plain(config.pretrained)})" if config.pretrained else "")
    recalls = pd.DataFrame(
        {
            kind: ["{:.2f} [{:.2f}, {:.2f}]".format(scores[key], *metrics["intervals"][kind][key]) for key in METRICS]
            for kind, scores in metrics["scores"].items()
        },
        METRICS.values(),
    )
    images, made = metrics["images"], metrics["environment"]
    named = ("dataset", "backbone", "pretrained", "method", "method_options", "seed")
    settings = {key: value for key, value in config.changed().items() if key not in named}
    chosen = "by mR on the validation images" if config.select == "validation" else "the last"
    facts = {
        "Method": f"{run.title}, {json.dumps(metrics['method']['options'])}",
        "Trained": f"{metrics['parameters']['trained']:,} parameters; the backbone has "
        f"{metrics['parameters']['backbone']:,}",
        "Backbone": f"{weights}, fingerprint {fingerprint}{'; it is in this folder, too' if carried else ''}",
        "Data": f"{_plain(config.dataset)}: {images['train']:,} images to train on, {images['validation']:,} for "
        f"validation, {images['test']:,} to test on; digest {metrics['inputs']['data'][:16]}",
        "Epoch": f"{metrics['chosen_epoch']} of {config.epochs}, {chosen}; the test split was read afterwards",
        "Seed": str(config.seed),
        "Settings": f"{json.dumps(settings)}; others at their defaults",
        "Made with": f"revision {made['revision']}, "
        + ", ".join(f"{made_by} {made[made_by]}" for made_by in ("python", "torch", "open_clip_torch")),
        "Run": run.hash,
    }
    if warning := training_data_warning(config.pretrained or config.backbone):
        facts["Beware"] = warning
    return CARD.format(
        method=config.method,
        title=name(config, run.title),
        backbone=weights,
        dataset=_plain(config.dataset),
        recalls=recalls.to_markdown(),
        facts="\n".join(f"* {fact}: {text}" for fact, text in facts.items()),
    )


def export_embeddings(
    run: Run,
    out: str | Path,
    split: str = "test",
    data_root: str | Path = "data",
    runs_root: str | Path = "runs",
    device: str = "auto",
) -> Path:
    """Write the normalised float32 embeddings of a split as Parquet: a row per image, then a row per caption.

    Columns: ``kind`` ("image", "caption"), ``image`` (index within the split), ``path`` (relative to the data root),
    ``caption`` and ``scene`` (null if there is none), ``embedding``.

    Args:
        run: which made the model.
        out: a file whose name ends in ``.parquet``.
        split: "train" or "validation", as in the run, or "test".
        data_root: folder of the data sets.
        runs_root: folder of the cache.
        device: "cpu", "cuda", "cuda:1", or "auto".

    Raises:
        ConfigError: another ending or split, or the data set has changed since the run.
    """
    from petl_core.inputs import embed, prepare
    from petl_core.runs.run import load_model, splits_of

    out = resolve(out)
    if out.suffix != ".parquet":
        raise ConfigError(f"{out}: embeddings go to a file that ends in .parquet")
    dataset = default_data.load_or_draw(run.config.dataset, data_root)
    if dataset.fingerprint() != run.metrics["inputs"]["data"]:
        raise ConfigError(f"data set {dataset.root} has changed since run {run.hash} was made; run it again")
    splits = splits_of(run.config, dataset)
    if split not in splits:
        raise ConfigError(f"split {split!r} must be one of {', '.join(splits)}")
    chosen = splits[split]
    model = load_model(run, device)
    images, texts = embed(model, prepare(chosen, model, resolve(runs_root) / "cache").part(chosen))
    paths = [path.relative_to(dataset.root.parent).as_posix() for path in chosen.images]
    rows = [
        ("image", i, path, None, scene, embedding)
        for i, (path, scene, embedding) in enumerate(zip(paths, chosen.scenes, images, strict=True))
    ]
    rows += [
        ("caption", i, paths[i], caption, chosen.scenes[i], embedding)
        for i, caption, embedding in zip(chosen.image_of.tolist(), chosen.captions, texts, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["kind", "image", "path", "caption", "scene", "embedding"])
    frame.attrs = {"run": run.hash, "split": split}
    return write_atomically(out, lambda temporary: frame.to_parquet(temporary, index=False))


def add_command(commands: "argparse._SubParsersAction") -> None:
    """Add ``export`` to the commands of the program."""
    text = "write a finished run's embeddings, or its model for open_clip or the hub"
    form = argparse.RawDescriptionHelpFormatter
    sub = commands.add_parser("export", help=text, description=text, epilog=KINDS, formatter_class=form)
    sub.set_defaults(command=_command)
    sub.add_argument("run", metavar="RUN", help="its folder, such as runs/HASH, or its name, HASH")
    sub.add_argument("kind", metavar="KIND", choices=("embeddings", "open_clip", "hub"), help="see below")
    sub.add_argument("out", metavar="OUT", help="file or folder to write")
    sub.add_argument("--split", default="test", help="for embeddings: train, validation or test; default: %(default)s")
    sub.add_argument("--data-root", default="data", help="folder of data sets; default: %(default)s")
    sub.add_argument("--runs-root", default="runs", help="folder of runs and caches; default: %(default)s")
    sub.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; default: %(default)s")


def _command(args: argparse.Namespace) -> int:
    run, out = open_run(args.run, args.runs_root), Path(args.out).absolute()  # from where the shell is
    from petl_core.runs.run import load_model

    if args.kind == "embeddings":
        written = export_embeddings(run, out, args.split, args.data_root, args.runs_root, args.device)
    elif args.kind == "open_clip":
        written = export_open_clip(load_model(run, args.device), out)
    else:
        written = export_hub(run, out)
    print(written, file=sys.stderr)
    return 0


def _plain(name: str) -> str:
    """A name, or the last part of a path: local folders are not published."""
    return name if name.startswith("hf-hub:") else Path(name).name


def _preprocessing(model: "AdaptedCLIP") -> dict:
    return json.loads(json.dumps(model.clip.visual.preprocess_cfg))
