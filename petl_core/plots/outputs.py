"""Figures and tables as files, each with the notebook, the runs and the git revision that it came from."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from petl_core.evaluation.names import NO_VALUE
from petl_core.files import ROOT, read_json, resolve, sha256, write_atomically, write_json, write_text
from petl_core.plots.latex import latex_table
from petl_core.runs import provenance
from petl_core.runs.folder import Run

MANIFEST = "manifest.json"


class Outputs:
    """What a notebook writes to a folder.

    ``folder/manifest.json`` has a record of each output, under the name of its PNG or CSV or, for an answer, MD file:
    the notebook and its parameters, the runs behind it, git revision, caption, and files with their SHA-256. It also
    has the configuration of each run.

    Args:
        folder: where to write; relative to the project's root; "" writes nothing.
        notebook: name of the notebook.
        parameters: of the notebook.
        runs: those that its outputs are made from.
    """

    def __init__(self, folder: str | Path, notebook: str, parameters: dict, runs: Sequence[Run] = ()):
        self._folder = resolve(folder) if str(folder) else None
        self._source = {
            "notebook": notebook,
            "revision": provenance.revision(),
            "parameters": {name: _relative_to_root(value) for name, value in parameters.items()},
            "runs": [run.config.hash for run in runs],
        }
        self._configs = {run.config.hash: dataclasses.asdict(run.config) for run in runs}

    def figure(self, figure: Figure, name: str, caption: str) -> None:
        """Write ``name.pdf`` and ``name.png``."""
        if self._folder is None:
            return
        # Without the date and the version, the same plot is the same file.
        for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", {"Software": None})):
            write_atomically(self._folder / f"{name}{suffix}", partial(figure.savefig, metadata=metadata))
        self._record(self._folder, name, caption, (".png", ".pdf"))

    def table(self, table: pd.DataFrame, name: str, caption: str, bold: pd.DataFrame | None = None) -> Styler:
        """Write ``name.csv``, ``.md`` and ``.tex``; return the table with its caption, to show in the notebook.

        Args:
            table: to print.
            name: of the files.
            caption: plain text.
            bold: booleans by rows and columns of ``table``: which values are bold; those it lacks are not.
        """
        # The table as the notebook shows it.
        if bold is None:
            bold = pd.DataFrame()
        bold = bold.reindex(index=table.index, columns=table.columns, fill_value=False).astype(bool)
        shown = table.style.hide(axis="index").set_caption(caption)
        shown = shown.apply(lambda _: np.where(bold, "font-weight: bold", ""), axis=None)
        if self._folder is None:
            return shown

        # The same as files.
        cells = table.astype(str).fillna(NO_VALUE)
        marked = cells.where(~bold, cells.replace(r"^(\S+)", r"**\1**", regex=True))
        contents = {
            ".csv": table.to_csv(index=False, lineterminator="\n"),
            ".md": f"{caption}\n\n{marked.to_markdown(index=False, disable_numparse=True)}\n",
            ".tex": latex_table(cells, caption, name, bold),
        }
        for suffix, content in contents.items():
            write_text(self._folder / f"{name}{suffix}", content)
        self._record(self._folder, name, caption, tuple(contents))
        return shown

    def answer(self, text: str, name: str) -> Markdown:
        """Write ``name.md``, text made from the notebook's tables; return it, to show in the notebook."""
        if self._folder is not None:
            write_text(self._folder / f"{name}.md", f"{text}\n")
            self._record(self._folder, name, text, (".md",))
        return Markdown(text)

    def _record(self, folder: Path, name: str, caption: str, suffixes: tuple[str, ...]) -> None:
        """Put an output into the manifest; remove those whose files are gone, and configurations without an output."""
        names = [f"{name}{suffix}" for suffix in suffixes]
        files = {file: sha256(folder / file) for file in names}
        with filelock.FileLock(folder / ".manifest.lock"):  # notebooks write in parallel
            manifest = read_manifest(folder)

            # The outputs: those that are still there, and the new one under the name of its main file.
            outputs = {}
            for main, record in manifest["outputs"].items():
                if main not in files and all((folder / file).exists() for file in record["files"]):
                    outputs[main] = record
            outputs[names[0]] = {**self._source, "caption": caption, "files": files}

            # The configurations of their runs.
            configs = manifest["configs"] | self._configs
            used = {run for record in outputs.values() for run in record["runs"]}
            content = {
                "outputs": dict(sorted(outputs.items(), key=lambda item: item[1]["notebook"])),
                "configs": {run: configs[run] for run in sorted(used)},
            }
            write_json(folder / MANIFEST, content)


def read_manifest(folder: str | Path) -> dict:
    """``outputs`` by main file and ``configs`` by run; both are empty if nothing was written to the folder yet."""
    path = resolve(folder) / MANIFEST
    return read_json(path) if path.exists() else {"outputs": {}, "configs": {}}


def _relative_to_root(value: Any) -> Any:
    """Paths inside the project relative to its root, so that a manifest is the same on every machine."""
    return value.replace(f"{ROOT}/", "") if isinstance(value, str) else value
