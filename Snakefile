"""The study as a graph: papermill runs -> tables -> figures. ``make study`` calls it; study.yaml lists the runs."""

import base64
import itertools
import sys

import yaml

from petl_core.config import RunConfig


configfile: "study.yaml"


SECTION = config.get("section", "study")
STUDY = config[SECTION]
RUNS, FIGURES, DATA_ROOT = "runs", STUDY.pop("figures"), STUDY.pop("data_root", "data")
MORE = STUDY.pop("notebooks", [])  # beside those of every section
NOTEBOOKS = f"{RUNS}/notebooks/{SECTION}"


def grid(section: dict) -> list[RunConfig]:
    """Every combination of a section's lists, for each of its runs."""
    shared = {key: value for key, value in section.items() if key != "runs"}
    configs = []
    for run in section["runs"]:
        lists = {key: value if isinstance(value, list) else [value] for key, value in {**shared, **run}.items()}
        configs += [RunConfig(**dict(zip(lists, values))) for values in itertools.product(*lists.values())]
    return configs


def title(run: RunConfig) -> str:
    """What distinguishes a run, for the progress line."""
    return f"{run.method} {run.contrast}, learning rate {run.learning_rate:g}, seed {run.seed}"


def as_parameters(**values) -> str:
    """Parameters as one shell-safe word for ``papermill --parameters_base64``."""
    return base64.b64encode(yaml.safe_dump(values).encode()).decode()


# The untouched backbone is the baseline of every run, so it is always there, and first.
RUN_OF = {run.hash: run for trained in grid(STUDY) for run in (trained.zero_shot(), trained)}
ALL_METRICS = [f"{RUNS}/{name}/metrics.json" for name in RUN_OF]
SHOWN = f"{RUNS}/{next(name for name, run in RUN_OF.items() if run.method == 'mrs')}"  # the run of the gallery
PAPERMILL = f"{sys.executable} -m papermill --no-progress-bar"
PLACES = {"data_root": DATA_ROOT, "progress": False}


# A published backbone is loaded, not pre-trained.
PRETRAIN = ["02_pretrain"] if STUDY["backbone"].startswith("embedded") else []


rule study:
    input:
        expand(f"{NOTEBOOKS}/{{name}}.ipynb", name=["01_data", *PRETRAIN, "04_benchmark", *MORE, "10_gallery"]),


def baseline(wildcards) -> list[str]:
    """The zero-shot run that a training run is compared with."""
    run = RUN_OF[wildcards.hash]
    return ancient([f"{RUNS}/{run.zero_shot().hash}/metrics.json"] if run.epochs else [])


# Training only *follows* the backbone (ancient): a newer notebook must not delete finished runs.
rule train:
    input:
        ancient(expand(f"{NOTEBOOKS}/{{name}}.ipynb", name=PRETRAIN)),
        baseline,
    output:
        f"{RUNS}/{{hash}}/metrics.json",
    wildcard_constraints:
        hash="[0-9a-f]{16}",
    log:
        f"{NOTEBOOKS}/03_train_{{hash}}.log",
    message:
        "training {wildcards.hash}: {params.title}"
    params:
        title=lambda wildcards: title(RUN_OF[wildcards.hash]),
        notebook=f"{NOTEBOOKS}/03_train_{{hash}}.ipynb",
        values=lambda wildcards: as_parameters(**vars(RUN_OF[wildcards.hash]), **PLACES),
    shell:
        "{PAPERMILL} notebooks/03_train.ipynb {params.notebook} -b {params.values} > {log} 2>&1"


def notebook_parameters(wildcards) -> str:
    """What each notebook is asked for."""
    values = {
        "01_data": {"dataset": STUDY["dataset"], "data_root": DATA_ROOT},
        "02_pretrain": {"backbone": STUDY["backbone"], "aerial": STUDY["dataset"], **PLACES},
        "04_benchmark": {"runs": list(RUN_OF), "runs_root": RUNS, **PLACES},
        "05_efficiency": {"model": "ViT-B-32-quickgelu", "batch_size": 64, "rounds": 5},
        "06_cmer": {
            "dataset": STUDY["dataset"],
            "backbone": STUDY["backbone"],
            "epochs": STUDY["epochs"],
            "batch_size": STUDY["batch_size"],
            "seeds": STUDY["seed"] if isinstance(STUDY["seed"], list) else [STUDY["seed"]],
            "queue_size": 16 * STUDY["batch_size"],
            **PLACES,
        },
        "10_gallery": {"run": SHOWN, **PLACES},
    }
    return as_parameters(**values[wildcards.name], figures=FIGURES)


def notebook_inputs(wildcards) -> list[str]:
    """The runs that a notebook reads."""
    return {"04_benchmark": ALL_METRICS, "10_gallery": [f"{SHOWN}/metrics.json"]}.get(wildcards.name, [])


rule notebook:
    input:
        "notebooks/{name}.ipynb",
        notebook_inputs,
    output:
        f"{NOTEBOOKS}/{{name}}.ipynb",
    wildcard_constraints:
        name="(01|02|04|05|06|10)_[a-z]+",
    log:
        f"{NOTEBOOKS}/{{name}}.log",
    message:
        "notebook {wildcards.name}"
    params:
        values=notebook_parameters,
    threads: lambda wildcards: workflow.cores if wildcards.name in ("02_pretrain", "05_efficiency") else 1
    shell:
        "{PAPERMILL} {input[0]} {output} -b {params.values} > {log} 2>&1"
