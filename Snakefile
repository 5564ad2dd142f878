"""The study as a graph: papermill runs -> tables and figures -> report. ``make study`` calls it; study.yaml lists it."""

import base64
import sys
from pathlib import Path

import yaml

from petl_core.runs import study


configfile: "study.yaml"


SECTION = config.get("section", "study")
TRAIN = config.get("train", True)
STUDY = study.read(config[SECTION])
RUNS, FIGURES = STUDY.places["runs_root"], STUDY.places["figures"]
NOTEBOOKS = f"{RUNS}/notebooks/{SECTION}"
PAPERMILL = f"{sys.executable} -m papermill --no-progress-bar"
REPORT = "14_report"


def attempt(name: str) -> str:
    """The executed training notebook of a run, which may have failed: only metrics.json is proof of success."""
    return f"{RUNS}/{name}/03_train.ipynb"


def outcome(name: str) -> str:
    """What shows that a run needs no more training: its metrics, or else an attempt at it."""
    return f"{RUNS}/{name}/metrics.json" if study.finished(name, RUNS) else attempt(name)


def as_parameters(values: dict) -> str:
    """Parameters as one shell-safe word for ``papermill --parameters_base64``."""
    return base64.b64encode(yaml.safe_dump(values).encode()).decode()


CORES = workflow.resource_settings.cores or 8
LOOKING = {"-n", "--dry-run", "--dryrun", "--unlock"} & set(sys.argv)


if workflow.is_main_process:
    at_once = workflow.resource_settings.cores or workflow.resource_settings.nodes or 1
    print(f"{SECTION}: {study.estimate(STUDY, at_once)}", file=sys.stderr)
    for name in STUDY.runs:
        if not study.finished(name, RUNS) and not LOOKING:  # what failed is tried again
            Path(attempt(name)).unlink(missing_ok=True)


rule study:
    input:
        f"{FIGURES}/report.html",


def precedents(wildcards) -> list[str]:
    """What a run follows: the backbone and the zero-shot baseline. Newer ones must not delete finished runs."""
    run = STUDY.runs[wildcards.hash]
    made = [f"{NOTEBOOKS}/02_pretrain.ipynb"] if "02_pretrain" in STUDY.notebooks else []
    return ancient(made + ([outcome(run.zero_shot().hash)] if run.epochs else []))


# A run that raises has left its reason in failed.json, and the tables will say so. A kernel that died is started once
# more, and resumes; if it dies again, the rest goes on without it.
rule train:
    input:
        precedents,
    output:
        f"{RUNS}/{{hash}}/03_train.ipynb",
    wildcard_constraints:
        hash="[0-9a-f]{16}",
    log:
        f"{RUNS}/{{hash}}/03_train.log",
    message:
        "training {wildcards.hash}: {params.title}"
    params:
        title=lambda wildcards: study.title(STUDY.runs[wildcards.hash]),
        values=lambda wildcards: as_parameters(
            {**vars(STUDY.runs[wildcards.hash]), "data_root": STUDY.places["data_root"], "runs_root": RUNS, "progress": False}
        ),
    retries: 1
    resources:
        attempt=lambda wildcards, attempt: attempt,
        gpu=STUDY.places["gpus"],
    shell:
        "rm -f {RUNS}/{wildcards.hash}/failed.json; "
        "({PAPERMILL} notebooks/03_train.ipynb {output} -b {params.values} > {log} 2>&1 "
        "|| test -f {RUNS}/{wildcards.hash}/failed.json || test {resources.attempt} = 2) && touch {output}"


def notebook_inputs(wildcards) -> list[str]:
    """The runs that a notebook reads; with ``--config train=False`` those of them that are there."""
    wanted = [name for name in STUDY.reads[wildcards.name] if TRAIN or study.finished(name, RUNS)]
    return [outcome(name) for name in wanted]


rule notebook:
    input:
        "notebooks/{name}.ipynb",
        notebook_inputs,
    output:
        f"{NOTEBOOKS}/{{name}}.ipynb",
    wildcard_constraints:
        name="|".join(STUDY.notebooks),
    log:
        f"{NOTEBOOKS}/{{name}}.log",
    message:
        "notebook {wildcards.name}"
    params:
        values=lambda wildcards: as_parameters(STUDY.notebooks[wildcards.name]),
    # What is timed runs alone.
    threads: lambda wildcards: CORES if wildcards.name in ("05_efficiency", "08_queue") else 1
    shell:
        "{PAPERMILL} {input[0]} {output} -b {params.values} > {log} 2>&1"


rule report:
    input:
        f"notebooks/{REPORT}.ipynb",
        expand(f"{NOTEBOOKS}/{{name}}.ipynb", name=STUDY.notebooks),
    output:
        f"{FIGURES}/report.html",
    log:
        f"{NOTEBOOKS}/{REPORT}.log",
    message:
        "report {output}"
    params:
        executed=f"{NOTEBOOKS}/{REPORT}.ipynb",
        values=as_parameters({"figures": FIGURES, "executed": NOTEBOOKS}),
    shell:
        "({PAPERMILL} {input[0]} {params.executed} -b {params.values} && "
        "{sys.executable} -m nbconvert --to html --no-input --output-dir $(dirname {output}) --output report "
        "{params.executed}) > {log} 2>&1"
