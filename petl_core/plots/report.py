"""All outputs of a folder on one page, from its manifest."""

import base64
import html
import json
import os
import re
from pathlib import Path

import pandas as pd
from PIL import Image

from petl_core.evaluation.comparison import counted
from petl_core.files import sha256
from petl_core.paths import ROOT, resolve
from petl_core.plots.outputs import read_manifest
from petl_core.validation import ConfigError


def outputs_by_notebook(folder: str | Path) -> dict[str, dict[str, dict]]:
    """The manifest's outputs by notebook, notebooks in their order.

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
    """Files that are missing or no longer what their notebook wrote."""
    files = {file: sha for record in read_manifest(folder)["outputs"].values() for file, sha in record["files"].items()}
    paths = {file: resolve(folder) / file for file in files}
    return [file for file, sha in files.items() if not paths[file].exists() or sha256(paths[file]) != sha]


def sources_table(folder: str | Path) -> pd.DataFrame:
    """One row a plot or table: where it came from."""
    rows = [
        {"File": main, "Notebook": record["notebook"], "Runs": len(record["runs"]), "Revision": record["revision"]}
        for outputs in outputs_by_notebook(folder).values()
        for main, record in outputs.items()
    ]
    return pd.DataFrame(rows)


def section_html(folder: str | Path, notebook: str, outputs: dict[str, dict], executed: str = "") -> str:
    """One notebook's plots and tables as HTML: pictures embedded, links relative to the folder.

    Args:
        folder: of the outputs.
        notebook: its name.
        outputs: of the manifest, by main file.
        executed: folder of executed notebooks, to link to; empty for none.
    """
    folder = resolve(folder)
    link = ""
    if executed:
        target = os.path.relpath(resolve(executed) / f"{notebook}.ipynb", folder)
        link = f' <small><a href="{target}">executed notebook</a></small>'
    parts = [f'<h2 id="{notebook}">{html.escape(_first_heading(notebook))}{link}</h2>']
    for main, record in _answers_first(outputs):
        if main.endswith(".md"):
            parts.append(f"<p>{html.escape(record['caption'])}</p>")
            continue
        shown = _table_html(folder / main) if main.endswith(".csv") else _picture_html(folder / main, _alt(record))
        links = ", ".join(f'<a href="{file}">{Path(file).suffix[1:]}</a>' for file in record["files"])
        runs = f"{counted(len(record['runs']), 'run')}, " if record["runs"] else ""
        parts.append(
            f'<figure style="margin: 1em 0">{shown}<figcaption>{html.escape(record["caption"])} '
            f"<small>({links}; {runs}revision {record['revision']})</small></figcaption></figure>"
        )
    return "\n".join(parts)


def page_markdown(folder: str | Path) -> str:
    """The whole folder as a page that a git host renders: answers, pictures, tables, and, folded away, their runs."""
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
            shown = f"![{_alt(record)}]({main})\n\n{record['caption']}"
            if main.endswith(".csv"):
                shown = (folder / main).with_suffix(".md").read_text(encoding="utf-8").strip()
            links = ", ".join(f"[{Path(file).suffix[1:]}]({file})" for file in record["files"])
            parts.append(f"{shown}\n\n<sub>{links}; revision {record['revision']}</sub>")
            if runs := record["runs"]:
                parts.append(
                    f"<details><summary>{counted(len(runs), 'run')}</summary><sub>{', '.join(runs)}</sub></details>"
                )
    return "\n\n".join(parts) + "\n"


def _answers_first(outputs: dict[str, dict]) -> list[tuple[str, dict]]:
    return sorted(outputs.items(), key=lambda item: not item[0].endswith(".md"))


def contents_html(notebooks: dict[str, dict[str, dict]]) -> str:
    """Links to the sections, as HTML."""
    lines = [f'<li><a href="#{name}">{html.escape(_first_heading(name))}</a></li>' for name in notebooks]
    return f'<ul style="list-style: none; padding: 0">{"".join(lines)}</ul>'


def _first_heading(notebook: str) -> str:
    """The first heading of a notebook of the project; its name where it has none."""
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
    lines = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]) if path.exists() else ""
    return next((line[2:] for line in lines.splitlines() if line.startswith("# ")), notebook)


def _alt(record: dict) -> str:
    """The text instead of a picture: what its caption says first."""
    return re.sub(r"[][]", "", re.split(r"(?<=\.) ", record["caption"])[0])


def _picture_html(path: Path, alt: str) -> str:
    with Image.open(path) as picture:
        inches = picture.width / picture.info.get("dpi", (300,))[0]
    data = base64.b64encode(path.read_bytes()).decode()
    style = f"max-width: 100%; width: {1.25 * inches:.2f}in"
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" style="{style}">'


def _table_html(path: Path) -> str:
    """The table beside a CSV that is Markdown, and so knows what is bold."""
    lines = path.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    header, _, *rows = [
        [html.escape(cell.strip()) for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")
    ]
    table = pd.DataFrame(rows, columns=header).replace(r"^\*\*(.+?)\*\*", r"<b>\1</b>", regex=True)
    return f'<div style="overflow-x: auto">{table.to_html(index=False, border=0, escape=False)}</div>'
