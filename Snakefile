"""The study as a graph: runs -> tables and figures, all by papermill. ``make study`` calls it.

study.yaml lists the runs and notebooks of each section. A training job is one execution of 15_batch.ipynb: all runs of
the section side by side, or ``runs_per_job`` of them, for clusters. Finished runs are read, not trained.
"""

import base64
import hashlib
import sys
from pathlib import Path

import yaml

from petl_core.files import resolve, write_text
from petl_core.runs import study
from petl_core.runs.archive import is_finished


configfile: "study.yaml"


NAME = config.get("section", "study")
TRAIN = config.get("train", True)
SECTION = study.read(study.find_section(config, NAME), NAME)
OPTIONS = SECTION.options
DATA, RUNS = OPTIONS.data_root, OPTIONS.runs_root
NOTEBOOKS = f"{RUNS}/notebooks/{NAME}"
PAPERMILL = f"{sys.executable} -m papermill --no-progress-bar"
CORES = workflow.resource_settings.cores or 8
LOOKING = {"-n", "--dry-run", "--dryrun", "--unlock"} & set(sys.argv)
BATCH = "15_batch"
TIMED = ("05_efficiency", "08_queue")  # run alone
WORKERS = SECTION.workers(CORES)  # runs at a time, in a job
THREADS = CORES if OPTIONS.gpus else WORKERS  # of a job; so one job at a time uses the GPU of this machine


def is_there(name: str) -> bool:
    return is_finished(resolve(RUNS) / name)


def job_name(part: list[str]) -> str:
    """The name of a job: that of its only run, or a digest of its runs, which stays the same while runs finish."""
    return part[0] if len(part) == 1 else hashlib.sha256("".join(part).encode()).hexdigest()[:16]


def as_jobs(names: list[str]) -> dict[str, list[str]]:
    """Names of runs by the job that trains them."""
    size = OPTIONS.runs_per_job or len(names) or 1
    jobs = {}
    for start in range(0, len(names), size):
        part = names[start : start + size]
        jobs[job_name(part)] = part
    return jobs


JOBS = as_jobs(list(SECTION.runs))
JOB_OF = {name: job for job, names in JOBS.items() for name in names}


def attempt(job: str) -> str:
    """The executed notebook of a job. Some of its runs may have failed: only metrics.json proves success."""
    return f"{NOTEBOOKS}/{BATCH}-{job}.ipynb"


def parameters_file(job: str) -> Path:
    """The parameters of a job, in a file: a command line has no room for hundreds of configurations."""
    return resolve(NOTEBOOKS) / f"{BATCH}-{job}.yaml"


def outcome(name: str) -> str:
    """The file that shows that a run was tried: its metrics, or else the attempt of its job."""
    return f"{RUNS}/{name}/metrics.json" if is_there(name) else attempt(JOB_OF[name])


def as_parameters(values: dict) -> str:
    """Parameters as one shell-safe word for ``papermill --parameters_base64``."""
    return base64.b64encode(yaml.safe_dump(values).encode()).decode()


def prepare(job: str) -> None:
    """Write the parameters of a job, and forget its last attempt, so that failed runs are tried again."""
    configs = [SECTION.runs[name].changed() for name in JOBS[job]]
    places = {"data_root": DATA, "runs_root": RUNS, "progress": False}
    write_text(parameters_file(job), yaml.safe_dump({"configs": configs, "workers": WORKERS, **places}))
    Path(attempt(job)).unlink(missing_ok=True)
    for name in JOBS[job]:
        (resolve(RUNS) / name / "failed.json").unlink(missing_ok=True)


if workflow.is_main_process and TRAIN and not LOOKING:
    for job in sorted({JOB_OF[name] for name in SECTION.runs if not is_there(name)}):
        prepare(job)


rule study:
    input:
        expand(f"{NOTEBOOKS}/{{name}}.ipynb", name=SECTION.notebooks),


def precedents(wildcards) -> list[str]:
    """What a job waits for: zero-shot runs of other jobs, which prepare what all share."""
    baselines = {SECTION.runs[name].zero_shot().hash for name in JOBS[wildcards.job]}
    elsewhere = baselines - set(JOBS[wildcards.job])
    return sorted(outcome(name) for name in elsewhere)


# A run that raises, or whose process dies twice, leaves its reason and stops no other; a kernel that dies is started
# once more, and its runs resume.
rule train:
    input:
        f"notebooks/{BATCH}.ipynb",
        precedents,
    output:
        attempt("{job}"),
    log:
        f"{NOTEBOOKS}/{BATCH}-{{job}}.log",
    message:
        "training"
    params:
        file=lambda wildcards: parameters_file(wildcards.job),
    retries: 1
    threads: THREADS
    resources:
        gpu=OPTIONS.gpus,
    shell:
        "{PAPERMILL} {input[0]} {output} -f {params.file} > {log} 2>&1"


def notebook_inputs(wildcards) -> list[str]:
    """The runs that a notebook reads; with ``--config train=False`` only the finished ones."""
    return [outcome(name) for name in SECTION.reads[wildcards.name] if TRAIN or is_there(name)]


rule notebook:
    input:
        "notebooks/{name}.ipynb",
        notebook_inputs,
    output:
        f"{NOTEBOOKS}/{{name}}.ipynb",
    wildcard_constraints:
        name="|".join(SECTION.notebooks),
    log:
        f"{NOTEBOOKS}/{{name}}.log",
    message:
        "notebook {wildcards.name}"
    params:
        values=lambda wildcards: as_parameters(SECTION.notebooks[wildcards.name]),
    threads: lambda wildcards: CORES if wildcards.name in TIMED else 1
    shell:
        "{PAPERMILL} {input[0]} {output} -b {params.values} > {log} 2>&1"

