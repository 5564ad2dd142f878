"""The study as a graph: papermill runs -> tables -> figures. ``make study`` calls it; study.yaml lists the runs."""

import base64
import itertools

import yaml

from petl_core.config import RunConfig


configfile: "study.yaml"


SECTION = config.get("section", "study")
STUDY = config[SECTION]
RUNS, FIGURES, DATA_ROOT = "runs", STUDY.pop("figures"), STUDY.pop("data_root", "data")
NOTEBOOKS = f"{RUNS}/notebooks/{SECTION}"


def grid(section: dict) -> list[RunConfig]:
    """Every combination of a section's lists, for each of its runs."""
    shared = {key: value for key, value in section.items() if key != "runs"}
    configs = []
    for run in section["runs"]:
        lists = {key: value if isinstance(value, list) else [value] for key, value in {**shared, **run}.items()}
        configs += [RunConfig(**dict(zip(lists, values))) for values in itertools.product(*lists.values())]
    return [run if run.epochs else run.zero_shot() for run in configs]


def as_parameters(**values) -> str:
    """Parameters as one shell-safe word for ``papermill --parameters_base64``."""
    return base64.b64encode(yaml.safe_dump(values).encode()).decode()


RUN_OF = {run.hash: run for run in grid(STUDY)}
ALL_METRICS = [f"{RUNS}/{name}/metrics.json" for name in RUN_OF]
SHOWN = f"{RUNS}/{next(name for name, run in RUN_OF.items() if run.method == 'mrs')}"  # the run of the gallery
PLACES = {"data_root": DATA_ROOT, "progress": False}


rule study:
    input:
        expand(f"{NOTEBOOKS}/{{name}}.ipynb", name=["01_data", "02_pretrain", "04_benchmark", "10_gallery"]),


# Training only *follows* the backbone (ancient): a newer notebook must not delete finished runs.
rule train:
    input:
        ancient(f"{NOTEBOOKS}/02_pretrain.ipynb"),
    output:
        f"{RUNS}/{{hash}}/metrics.json",
    wildcard_constraints:
        hash="[0-9a-f]{16}",
    log:
        f"{NOTEBOOKS}/03_train_{{hash}}.ipynb",
    params:
        values=lambda wildcards: as_parameters(**vars(RUN_OF[wildcards.hash]), **PLACES),
    shell:
        "papermill --no-progress-bar notebooks/03_train.ipynb {log} -b {params.values}"


def notebook_parameters(wildcards) -> str:
    """What each notebook is asked for."""
    values = {
        "01_data": {"dataset": STUDY["dataset"], "data_root": DATA_ROOT},
        "02_pretrain": {"backbone": STUDY["backbone"], "aerial": STUDY["dataset"], **PLACES},
        "04_benchmark": {"runs": list(RUN_OF), "runs_root": RUNS, **PLACES},
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
        name="(01|02|04|10)_[a-z]+",
    params:
        values=notebook_parameters,
    threads: lambda wildcards: workflow.cores if wildcards.name == "02_pretrain" else 1
    shell:
        "papermill --no-progress-bar {input[0]} {output} -b {params.values}"
