"""Figures and tables that a notebook keeps: files in the folder of a section, and one page that shows them all."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from petl_core import tables
from petl_core.errors import ConfigError
from petl_core.files import read_json, resolve, write_atomically, write_json, write_text

FORMATS = ("png", "csv", "pdf", "tex")
METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}}  # without date and version: same plot, same file


class Outputs:
    """What a notebook keeps of its results.

    The folder's ``manifest.json`` has runs and answer by notebook, caption and notebook by output; its ``README.md``
    shows answers, figures and tables of all notebooks.

    Args:
        folder: where to write; relative to the project's root; "" writes nothing.
        notebook: its name.
        runs: that its outputs are made from.
        formats: of figures, "png" and "pdf", and of tables, "csv" and "tex".

    Raises:
        ConfigError: an unknown format.
    """

    def __init__(
        self, folder: str | Path, notebook: str, runs: Iterable[Any] = (), formats: Sequence[str] = ("png", "csv")
    ):
        if unknown := set(formats) - set(FORMATS):
            raise ConfigError(f"formats: {', '.join(sorted(unknown))}: use {', '.join(FORMATS)}")
        self._folder = resolve(folder) if str(folder) else None
        self._notebook, self._formats = notebook, formats
        self._runs = sorted({run.config.hash for run in runs})

    def save(self, output: Figure | pd.DataFrame, name: str, caption: str) -> Styler | None:
        """Keep a figure, or a table of :mod:`petl_core.tables`.

        Returns:
            The table, to show in the notebook, with its caption.
        """
        if isinstance(output, Figure):
            for kind in [kind for kind in METADATA if kind in self._formats and self._folder]:
                write = partial(output.savefig, metadata=METADATA[kind])
                write_atomically(self._folder / f"{name}.{kind}", write)
            self._record(f"{name}.png", caption)
            return None
        if self._folder and "csv" in self._formats:
            kept = output.drop(columns=[column for column in ("hits", "inputs") if column in output])
            write_text(self._folder / f"{name}.csv", kept.round(6).to_csv(index=False, lineterminator="\n"))
        if self._folder and "tex" in self._formats:
            write_text(self._folder / f"{name}.tex", tables.latex(output, caption, name))
        self._record(f"{name}.csv", caption)
        return tables.show(output, caption)

    def answer(self, text: str) -> Markdown:
        """Keep what the notebook concludes, a paragraph in Markdown; it opens its part of the page."""
        self._record("", text)
        return Markdown(text)

    def _record(self, file: str, caption: str) -> None:
        """Put an output, or, without a file, the answer, into the manifest, and write the page anew."""
        if self._folder is None:
            return
        with filelock.FileLock(self._folder / ".manifest.lock"):  # notebooks write in parallel
            path = self._folder / "manifest.json"
            manifest = read_json(path) if path.exists() else {"notebooks": {}, "outputs": {}}
            notebook = manifest["notebooks"].setdefault(self._notebook, {})
            notebook["runs"] = self._runs
            if file:
                manifest["outputs"][file] = {"notebook": self._notebook, "caption": caption}
            else:
                notebook["answer"] = caption
            there = {name: record for name, record in manifest["outputs"].items() if (self._folder / name).exists()}
            write_json(path, {"notebooks": dict(sorted(manifest["notebooks"].items())), "outputs": there})
            write_text(self._folder / "README.md", _page(self._folder, manifest["notebooks"], there))


def _page(folder: Path, notebooks: dict[str, dict], outputs: dict[str, dict]) -> str:
    """Answers, figures and tables in Markdown, by notebook."""
    parts = ["<!-- Written by the notebooks: do not edit. -->", f"# {folder.name}"]
    for notebook in sorted(notebooks):
        parts.append(f"## [{notebook}](../../notebooks/{notebook}.ipynb)")
        parts.append(notebooks[notebook].get("answer", ""))
        for file, record in outputs.items():
            if record["notebook"] == notebook:
                is_figure = file.endswith(".png")
                alt = record["caption"].translate({ord("["): "(", ord("]"): ")"})
                shown = f"![{alt}]({file})" if is_figure else tables.markdown(pd.read_csv(folder / file))
                parts.append(f"{shown}\n\n*{record['caption']}*")
        if runs := notebooks[notebook]["runs"]:
            parts.append(f"<details><summary>runs: {len(runs)}</summary><sub>{', '.join(runs)}</sub></details>")
    return "\n\n".join(part for part in parts if part) + "\n"
