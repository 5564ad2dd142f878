"""``python -m petl_core paper rsitmd``: checks, settings chosen on validation, then the runs of the published tables.

It fills two sections of study.yaml, ``paper_tuning`` and ``paper``, for one data set and backbone. Importable without
torch.
"""

import argparse
import json
import logging
import math
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml
from tqdm.auto import tqdm

from petl_core.config import RunConfig
from petl_core.data import RetrievalData, default_data, scene_labels
from petl_core.data.catalogue import CATALOGUE
from petl_core.errors import ConfigError
from petl_core.files import resolve, write_text
from petl_core.runs import make, study
from petl_core.runs.archive import is_finished
from petl_core.runs.batch import cores as usable_cores

if TYPE_CHECKING:
    from petl_core.backbone import Backbone

BACKBONE, TAG = "ViT-B-32-quickgelu", "openai"  # as in the published tables
TEMPLATES = ("paper_tuning", "paper")  # sections of study.yaml: the first finds the settings that the second uses
USABLE_GPU_FRACTION = 0.9  # of its memory; the CUDA context and fragmentation take the rest
# What a step costs depends on these fields of a run, and on the options of its method that are not tuned.
COSTLY = ("method", "batch_size", "gradient_cache", "cache_features", "w_image", "w_text", "queue_size", "queue_keys")
COSTLY += ("scene_probability", "scene_weight")
TUNED = ("scale", "alpha", "ratio")

Check = tuple[str, bool, str]  # its name, whether it passed, and what was found: where it failed, with the remedy


def add_command(commands: "argparse._SubParsersAction") -> None:
    """Add ``paper`` to the commands of the program."""
    text = "check everything, choose each method's settings, then train and draw the published tables of a data set"
    sub = commands.add_parser("paper", help=text, description=f"{text}. Paths are relative to the project's root.")
    sub.set_defaults(command=_command)
    sub.add_argument("dataset", help="rsicd, rsitmd, ucm, or another data set's name")
    sub.add_argument("--backbone", default=BACKBONE, help="open_clip's name or folder; default: %(default)s")
    sub.add_argument("--pretrained", help=f"tag or weights file; default: {TAG}, or none for a folder")
    sub.add_argument("--data-root", help="folder of data sets; default: data")
    sub.add_argument("--runs-root", help="folder of runs and caches; default: runs")
    sub.add_argument("--figures", help="folder of tables and figures; default: figures/paper/DATASET")
    sub.add_argument("--cores", type=int, default=usable_cores(), help="default: all, %(default)s")
    sub.add_argument("--gpus", type=int, choices=(0, 1), help="for each run; default: 1 if visible, or on a cluster")
    text = "train on a cluster, one run per job, with these Snakemake options, as in '--executor slurm --jobs 100'"
    sub.add_argument("--cluster", metavar="OPTIONS", type=shlex.split, help=text)
    text = "file with the sections paper_tuning and paper; default: %(default)s"
    sub.add_argument("--study", default="study.yaml", help=text)
    sub.add_argument("--dry-run", action="store_true", help="only check, and say how long it would take")


def _command(args: argparse.Namespace) -> int:
    """Exit code; 2 if a check fails, before anything is trained."""
    settings = settings_of(args)
    if not settings["gpus"]:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the checks measure on what the runs will use
    sections = fill(study.load_sections(resolve(args.study)), settings)

    # Before the first section has tuned the second, the number and cost of its runs are known, but not their settings.
    foreseen = []
    for name, section in sections.items():
        try:
            foreseen.append(study.read(section, name))
        except ConfigError:  # no settings yet, or those of another backbone
            foreseen.append(study.read({**section, "tuned": ""}, name))
    failed = []
    for check, passed, found in checks(foreseen, args.cores, measured=not args.cluster):
        print(f"{check:8} {'ok   ' if passed else 'FAILS'} {found}", flush=True)
        failed += [] if passed else [check]
    if failed:
        print(f"error: {', '.join(failed)}: nothing was trained", file=sys.stderr)
        return 2
    if args.dry_run:
        return 0

    # Snakemake and each of its jobs read the sections from one file; the second section once the first has tuned it.
    file = resolve(foreseen[0].options.runs_root) / "notebooks" / f"paper_{args.dataset}.yaml"
    write_text(file, yaml.safe_dump(sections))
    options = [*(args.cluster or ["--cores", str(args.cores)]), "--configfile", str(file)]
    for name, section in sections.items():
        if code := make.make(study.read(section, name), name, args.cores, options):
            return code
    from petl_core import tables

    print(tables.markdown(pd.read_csv(resolve(settings["figures"]) / "paper.csv")))
    return 0


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Fields and options that replace the templates' own.

    Raises:
        ConfigError: the data set is not a name, or a GPU is wanted and none is visible.
    """
    if not re.fullmatch(r"[\w-]+", args.dataset):
        raise ConfigError(f"data set {args.dataset!r}: give its name, and the folder that holds it by --data-root")
    if args.cores < 1:
        raise ConfigError(f"--cores {args.cores} must be at least 1")
    gpus = args.gpus
    if gpus is None or (gpus and not args.cluster):
        import torch  # takes seconds

        if gpus and not torch.cuda.is_available():
            raise ConfigError(f"--gpus {gpus}: no CUDA device is visible here; use --gpus 0, or --cluster")
        gpus = gpus or int(bool(args.cluster) or torch.cuda.is_available())
    settings = {
        "dataset": args.dataset,
        "backbone": args.backbone,
        "pretrained": ("" if "/" in args.backbone else TAG) if args.pretrained is None else args.pretrained,
        "figures": args.figures or f"figures/paper/{args.dataset}",
        "gpus": gpus,
        "runs_per_job": 1 if args.cluster else 0,
    }
    places = {"data_root": args.data_root, "runs_root": args.runs_root}
    return settings | {name: place for name, place in places.items() if place}


def fill(templates: Any, settings: dict[str, Any]) -> dict[str, dict]:
    """Both sections, as study.yaml would hold them, by new names.

    Raises:
        ConfigError: a template is missing or wrong, or a setting is.
    """
    for name in TEMPLATES:
        study.read(study.find_section(templates, name), name)
    tuning, tables = (templates[name] for name in TEMPLATES)
    name, figures = f"paper_{settings['dataset']}", f"{settings['figures']}/tuning"
    return {
        f"{name}_tuning": {**tuning, **settings, "figures": figures},
        name: {**tables, **settings, "tuned": f"{figures}/tuned.json"},
    }


def checks(sections: list[study.Section], cores: int, measured: bool = True) -> Iterator[Check]:
    """What must be right before anything is trained; ends at the first failure that others depend on.

    Args:
        sections: all on one data set and backbone.
        cores: of this machine that runs may take.
        measured: whether this machine is the one that trains, so that steps are tried on it.
    """
    options, workers = sections[0].options, sections[0].workers(cores)
    runs = {name: run for section in sections for name, run in section.runs.items()}
    left = [run for name, run in runs.items() if not is_finished(resolve(options.runs_root) / name)]
    first = next(iter(runs.values()))

    # Data and weights.
    dataset = frozen = None
    try:
        dataset = default_data.load_or_draw(first.dataset, options.data_root)
        counts = f"{len(dataset.train.images):,} / {len(dataset.test.images):,}"
        captions = f"{len(dataset.train.captions):,} / {len(dataset.test.captions):,}"
        found = f"{first.dataset}: {counts} images, {captions} captions in {dataset.root}"
        if (known := CATALOGUE.get(first.dataset)) and f"{known.train:,} / {known.test:,}" != counts:
            found += f"; NOT the published split of {known.train:,} / {known.test:,}"
        yield "data", True, found
    except (ValueError, OSError) as error:
        yield "data", False, str(error)
    from petl_core import backbone
    from petl_core.runs.run import check

    try:
        check(first)
        logging.disable(logging.CRITICAL)  # a failing download would report each of its attempts
        frozen = backbone.load(first.backbone, first.pretrained, device="cuda" if options.gpus else "cpu")
        parameters = sum(parameter.numel() for parameter in frozen.clip.parameters())
        yield "weights", True, f"{first.backbone} {first.pretrained}".strip() + f": {parameters:,} parameters"
    except (ValueError, OSError) as error:
        remedy = "name weights that exist here (--pretrained FILE.pt, or --backbone FOLDER), or connect to a network"
        yield "weights", False, f"{' '.join(str(error).split())}; {remedy}"
    finally:
        logging.disable(logging.NOTSET)
    if not left:
        yield "time", True, "nothing is left to train"
    if dataset is None or frozen is None or not left:
        return
    if not measured:
        yield "cluster", True, "methods, memory and time are not checked here: other machines train"
        return

    # A step of each kind of run.
    import torch

    kinds = {_kind(run): run for run in left}
    seconds, mib, failures = {}, {}, {}
    for kind, run in tqdm(kinds.items(), "trying each method", unit="method"):
        try:
            seconds[kind], mib[kind] = measure(run, frozen, dataset)
        except torch.OutOfMemoryError:
            failures[run.method] = f"a batch of {run.batch_size} does not fit the GPU; lower batch_size"
        except (ValueError, RuntimeError, FloatingPointError) as error:
            failures[run.method] = " ".join(str(error).split()).removeprefix(f"method {run.method}: ")
    if failures:
        reasons = "; ".join(f"{method}: {reason}" for method, reason in failures.items())
        yield "methods", False, f"{reasons}; change study.yaml's sections paper_tuning and paper"
        return
    yield "methods", True, f"a batch of each of {len(kinds)} kinds of run was trained"

    # Memory and time.
    on = f"this CPU, {torch.get_num_threads()} threads"
    if options.gpus:
        on, total = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory / 2**20
        kind = max(mib, key=lambda kind: mib[kind])
        found = (
            f"at most {f'{workers} times ' if workers > 1 else ''}{mib[kind]:,.0f} MiB ({kinds[kind].method}, batch "
        )
        found += f"size {kinds[kind].batch_size}) of {total:,.0f} MiB on {on}"
        fits = workers * mib[kind] <= USABLE_GPU_FRACTION * total
        remedy = "" if fits else "; lower batch_size in the sections paper_tuning and paper of study.yaml"
        yield "memory", fits, found + remedy
    hours = sum(seconds[_kind(run)] * run.epochs * _steps(run, dataset) for run in left) / 3600
    took = f"{hours:,.1f} hours" if hours > 1 else f"{60 * hours:,.0f} minutes"
    found = f"{len(left)} of {len(runs)} runs are left: about {took} of training on {on}, by a step of each kind"
    yield "time", True, found


def measure(run: RunConfig, frozen: "Backbone", dataset: RetrievalData) -> tuple[float, float]:
    """Seconds of a training step of ``run``, and the most MiB that it takes on a GPU.

    Raises:
        ConfigError: the method cannot adapt this backbone, or the data set lacks scene labels that it needs.
        torch.OutOfMemoryError: the GPU is too small.
    """
    import copy

    import torch

    from petl_core import adapters
    from petl_core.inputs import embed_text_rows, prepare
    from petl_core.runs.run import check
    from petl_core.training import TrainState, train_epoch

    check(run)
    labelled = run.scene_probability > 0
    if labelled and not scene_labels.scene_classes(dataset.train.scenes):
        raise ConfigError("scene_probability: no training image has a scene label; take these runs out of the sections")
    torch.use_deterministic_algorithms(True)
    model = adapters.attach(copy.deepcopy(frozen), run.method, **run.method_options)
    cuda = model.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    captioned = np.random.default_rng(0).permutation(np.unique(dataset.train.image_of))  # files are sorted by class
    sample = dataset.train.subset(captioned[: run.batch_size])
    with tempfile.TemporaryDirectory() as folder:
        train = prepare(sample, model, Path(folder), run.cache_features, labelled).part(sample, labelled)
        once = run.replace(epochs=max(1, run.epochs), pairs="images", train_images=0, learning_rate=1e-9)
        width = embed_text_rows(model, train, train.caption_rows[:1]).shape[1]
        if not model.trainable():
            return 0.0, 0.0
        state = TrainState.start(once, model, width)
        for epoch in (1, 2):  # of one batch; the second is timed
            started = time.perf_counter()
            train_epoch(state, train, epoch)
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - started, torch.cuda.max_memory_allocated() / 2**20 if cuda else 0.0


def _kind(run: RunConfig) -> str:
    """The same for runs whose steps cost the same."""
    options = {name: value for name, value in run.method_options.items() if name not in TUNED}
    return json.dumps([options, *(getattr(run, field) for field in COSTLY)])


def _steps(run: RunConfig, dataset: RetrievalData) -> int:
    """Of an epoch; a fifth of the images is for validation."""
    images = run.train_images or round(0.8 * len(dataset.train.images))
    per_image = 1 if run.pairs == "images" else len(dataset.train.captions) / len(dataset.train.images)
    return math.ceil(images * per_image / run.batch_size)
