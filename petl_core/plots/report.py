"""All outputs of a folder on one page, from its manifest."""

import base64
import html
import json
import os
import re
from pathlib import Path

import pandas as pd
from PIL import Image

from petl_core.errors import ConfigError
from petl_core.evaluation.comparison import counted
from petl_core.files import ROOT, resolve, sha256
from petl_core.plots.outputs import read_manifest


def outputs_by_notebook(folder: str | Path) -> dict[str, dict[str, dict]]:
    """The outputs in the manifest by notebook, in the order of the notebooks.

    Raises:
        ConfigError: the folder has no manifest.
    """
    outputs = read_manifest(folder)["outputs"]
    if not outputs:
        raise ConfigError(f"{resolve(folder)} holds no manifest.json: run `make study`, or another section, first")
    notebooks: dict[str, dict[str, dict]] = {}
    for main, record in sorted(outputs.items(), key=lambda item: item[1]["notebook"]):
        notebooks.setdefault(record["notebook"], {})[main] = record
    return notebooks


def changed_files(folder: str | Path) -> list[str]:
    """Files that are missing or no longer as their notebook wrote them."""
    changed = []
    for record in read_manifest(folder)["outputs"].values():
        for file, sha in record["files"].items():
            path = resolve(folder) / file
            if not path.exists() or sha256(path) != sha:
                changed.append(file)
    return changed


def sources_table(folder: str | Path) -> pd.DataFrame:
    """One row per output: where it came from."""
    rows = []
    for notebook, outputs in outputs_by_notebook(folder).items():
        for main, record in outputs.items():
            runs, revision = len(record["runs"]), record["revision"]
            rows.append({"File": main, "Notebook": notebook, "Runs": runs, "Revision": revision})
    return pd.DataFrame(rows)


def section_html(folder: str | Path, notebook: str, outputs: dict[str, dict], executed: str = "") -> str:
    """The figures and tables of a notebook as HTML, with embedded pictures and links relative to the folder.

    Args:
        folder: of the outputs.
        notebook: its name.
        outputs: of the notebook, from the manifest, by main file.
        executed: folder of executed notebooks to link to; "" for no link.
    """
    # The heading.
    folder = resolve(folder)
    link = ""
    if executed:
        target = os.path.relpath(resolve(executed) / f"{notebook}.ipynb", folder)
        link = f' <small><a href="{target}">executed notebook</a></small>'
    parts = [f'<h2 id="{notebook}">{html.escape(_first_heading(notebook))}{link}</h2>']

    # Answers as paragraphs, then tables and pictures with their captions.
    for main, record in _answers_first(outputs):
        if main.endswith(".md"):
            parts.append(f"<p>{html.escape(record['caption'])}</p>")
            continue
        shown = _table_html(folder / main) if main.endswith(".csv") else _picture_html(folder / main, _alt(record))
        links = ", ".join(f'<a href="{file}">{Path(file).suffix[1:]}</a>' for file in record["files"])
        parts.append(
            f'<figure style="margin: 1em 0">{shown}<figcaption>{html.escape(record["caption"])} '
            f"<small>({links}; {_counted_runs(record)}revision {record['revision']})</small></figcaption></figure>"
        )
    return "\n".join(parts)


def page_markdown(folder: str | Path) -> str:
    """The whole folder as Markdown: answers, pictures and tables; runs are folded away at the end of each notebook."""
    folder = resolve(folder)
    parts = [
        "<!-- Written by notebooks/14_report.ipynb: do not edit. -->",
        "Results of the study, with the runs and the revision behind each; `manifest.json` has their configurations.",
    ]
    for notebook, outputs in outputs_by_notebook(folder).items():
        parts.append(f"## {_first_heading(notebook)}")
        for main, record in _answers_first(outputs):
            if main.endswith(".md"):
                parts.append(record["caption"])
                continue
            if main.endswith(".csv"):
                shown = (folder / main).with_suffix(".md").read_text(encoding="utf-8").strip()
            else:
                shown = f"![{_alt(record)}]({main})\n\n{record['caption']}"
            links = ", ".join(f"[{Path(file).suffix[1:]}]({file})" for file in record["files"])
            parts.append(f"{shown}\n\n<sub>{links}; {_counted_runs(record)}revision {record['revision']}</sub>")
        for runs in dict.fromkeys(tuple(record["runs"]) for record in outputs.values() if record["runs"]):
            parts.append(
                f"<details><summary>{counted(len(runs), 'run')}</summary><sub>{', '.join(runs)}</sub></details>"
            )
    return "\n\n".join(parts) + "\n"


def _answers_first(outputs: dict[str, dict]) -> list[tuple[str, dict]]:
    """Outputs by main file, answers before all others."""
    return sorted(outputs.items(), key=lambda item: not item[0].endswith(".md"))


def _counted_runs(record: dict) -> str:
    """The number of runs behind an output, as in ``91 runs; ``; empty if there are none."""
    return f"{counted(len(record['runs']), 'run')}; " if record["runs"] else ""


def contents_html(notebooks: dict[str, dict[str, dict]]) -> str:
    """Links to the sections, as HTML."""
    lines = [f'<li><a href="#{name}">{html.escape(_first_heading(name))}</a></li>' for name in notebooks]
    return f'<ul style="list-style: none; padding: 0">{"".join(lines)}</ul>'


def _first_heading(notebook: str) -> str:
    """The heading in the first cell of a notebook in the project; the notebook's name if there is none."""
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    if path.exists():
        first_cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
        for line in "".join(first_cell["source"]).splitlines():
            if line.startswith("# "):
                return line.removeprefix("# ")
    return notebook


def _alt(record: dict) -> str:
    """The alternative text of a picture: the first sentence of its caption, without brackets."""
    first_sentence = re.split(r"(?<=\.) ", record["caption"])[0]
    return re.sub(r"[][]", "", first_sentence)


def _picture_html(path: Path, alt: str) -> str:
    with Image.open(path) as picture:
        inches = picture.width / picture.info.get("dpi", (300,))[0]
    data = base64.b64encode(path.read_bytes()).decode()
    style = f"max-width: 100%; width: {1.25 * inches:.2f}in"
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" style="{style}">'


def _table_html(path: Path) -> str:
    """The table of a CSV, read from the Markdown file of the same name, which marks what is bold."""
    lines = path.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    table_rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    header, _, *rows = [[html.escape(cell.strip()) for cell in row] for row in table_rows]
    table = pd.DataFrame(rows, columns=header).replace(r"^\*\*(.+?)\*\*", r"<b>\1</b>", regex=True)
    return f'<div style="overflow-x: auto">{table.to_html(index=False, border=0, escape=False)}</div>'
