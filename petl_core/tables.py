"""Finished runs as tidy frames: a row a run, a row a method with its intervals, a row a comparison.

A notebook names its rows itself, in a column of :func:`frame`, usually ``row``::

    frame = tables.best_rates(tables.frame(runs))
    frame["row"] = frame["attention"].map({"focus": "Focus-Adapter", "uniform": "uniform attention"})
    summary = tables.summary(frame)
    differences = tables.differences(frame, reference="Focus-Adapter")
    tables.show(summary)
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from petl_core import retrieval, statistics
from petl_core.config import RunConfig

METRICS = {  # in percent, with their titles
    "i2t_r1": "I→T R@1",
    "i2t_r5": "I→T R@5",
    "i2t_r10": "I→T R@10",
    "t2i_r1": "T→I R@1",
    "t2i_r5": "T→I R@5",
    "t2i_r10": "T→I R@10",
    "mr": "mR",
}
TESTS = {  # what a test knows of scene labels: nothing, or a mode of petl_core.scene_tests
    "plain": "no label",
    "gallery_hard": "gallery labels, hard filter",
    "gallery_soft": "gallery labels, soft prior",
    "oracle": "oracle filter (LEAK)",
}
DATASETS = {
    "scenes": "drawn scenes",
    "scenes-tiny": "a few drawn scenes",
    "scenes-natural": "drawn ground-level scenes",
}
DATASETS |= {"rsicd": "RSICD", "rsitmd": "RSITMD", "ucm": "UCM"}
TUNED = ("learning_rate", "temperature", "learn_temperature", "scale", "alpha", "ratio")  # settings, not methods
TERMS = {"cross": "image–text", "image": "image–image", "text": "text–text"}

TITLES = {
    **METRICS,
    "row": "Method",
    "reference": "Compared with",
    "parameters": "Trained parameters",
    "difference": "Difference (points)",
    "p": "p",
    "p_holm": "p (Holm)",
    "validation_mr": "Validation mR",
    "seconds": "Training (s)",
    "peak_mib": "Peak memory (MiB)",
    "images": "Training images",
    "printed": "Published as",
    "printed_mr": "Published mR",
    "apart": "Ours minus published",
    "trainable_params_m": "Parameters (M)",
    "activation_mib": "Activations (MiB)",
    "total_mib": "Total (MiB)",
    "stored_mib": "Stored (MiB)",
    "peak_device_mib": "Peak on the GPU (MiB)",
    "milliseconds": "Step (ms)",
}
POINTS = (*METRICS, "validation_mr", "printed_mr", "apart", "difference", "detectable", "excluded")  # two decimals
HIDDEN = ("method", "inputs", "hits", "hash", "hashes", "settings", "family", "p")  # by :func:`show`
MISSING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def name(config: RunConfig, title: str = "") -> str:
    """A run in a few words, as in "MRS-Adapter, HMMC, triplet, queue 640"; InfoNCE on pairs alone goes unsaid.

    Args:
        config: of the run.
        title: of its method; looked up if empty, which imports torch.
    """
    if not title:
        from petl_core.adapters import METHODS

        title = METHODS[config.method].title
    if not config.epochs:
        return title
    terms = [term for term, weight in config.terms.items() if weight]
    parts = [title, *(f"{option} {value}" for option, value in config.method_options.items())]
    if terms != ["cross"]:
        parts.append("HMMC" if len(terms) == len(TERMS) else " + ".join(TERMS[term] for term in terms))
    if config.contrast != "infonce":
        parts.append(config.contrast)
    if config.queue_size:
        parts.append(f"queue {config.queue_size}" + (", slow keys" if config.queue_keys == "ema" else ""))
    if config.scene_probability:
        parts.append("scene labels")
    if config.scene_weight:
        parts.append("scene cross-entropy")
    if config.scene_balance:
        parts.append("balanced scenes")
    return ", ".join(parts)


def frame(runs: Iterable[Any], tests: Sequence[str] = ("plain",)) -> pd.DataFrame:
    """One row a run and test: every field of its configuration and option of its method, its scores and its costs.

    Args:
        runs: finished ones, :class:`petl_core.runs.archive.Run`.
        tests: keys of ``TESTS``; a run has no row for a test that it lacks.

    Returns:
        Besides fields and options: ``hash``, ``title`` (of the method), ``name``, ``test``, ``parameters`` (trained),
        ``images`` (trained on), ``seconds`` (of training: epochs times their median), ``peak_mib``, ``validation_mr``
        and ``METRICS`` in percent, and ``hits``, the (N, 7) array of :func:`petl_core.retrieval.per_image_hits`.
    """
    rows = []
    for run in runs:
        config, metrics = run.config, run.metrics
        epochs = [epoch["seconds"] for epoch in metrics["history"] if "seconds" in epoch]
        known = {
            **metrics["method"]["options"],
            **dict(config),
            "hash": config.hash,
            "title": run.title,
            "name": name(config, run.title),
            "parameters": metrics["parameters"]["trained"],
            "images": metrics["images"]["train"],
            "seconds": float(np.median(epochs)) * len(epochs) if epochs else 0.0,
            "peak_mib": metrics.get("peak_memory_mib", np.nan) if epochs else np.nan,
            "validation_mr": metrics["validation_mr"],
            "inputs": metrics["inputs"],
        }
        for test, hits in {"plain": run.hits, **run.scene_hits}.items():
            if test in tests:
                rows.append({**known, "test": test, **retrieval.metrics(hits), "hits": hits})
    return pd.DataFrame(rows)


def history(runs: Iterable[Any]) -> pd.DataFrame:
    """One row a run and epoch, from 0, before training: ``hash``, ``name``, ``method``, ``seed``, ``epoch``,
    ``seconds``, ``validation_mr`` (where it was measured) and the terms of the loss as ``loss_*``.
    """
    return pd.DataFrame(
        {
            "hash": run.config.hash,
            "name": name(run.config, run.title),
            "method": run.config.method,
            "seed": run.config.seed,
            **{key: entry.get(key, np.nan) for key in ("epoch", "seconds", "validation_mr")},
            **{f"loss_{term}": value for term, value in entry.get("loss", {}).items()},
        }
        for run in runs
        for entry in run.metrics["history"]
    )


def failures(missing: Iterable[Any]) -> pd.DataFrame:
    """One row a run that was asked for and is not there, with the reason."""
    rows = [(run.name, run.config.method if run.config else MISSING, run.reason) for run in missing]
    return pd.DataFrame(rows, columns=["run", "method", "reason"])


def setting(frame: pd.DataFrame) -> str:
    """Data, backbone and seeds of a frame, for captions: "drawn scenes, 300 test images, small-clip, seeds 2-6"."""
    first, seeds = frame.iloc[0], sorted(frame.loc[frame["epochs"] > 0, "seed"].unique())
    parts = [DATASETS.get(first["dataset"], first["dataset"]), f"{len(first['hits']):,} test images"]
    parts.append(" ".join([first["backbone"].rsplit("/", 1)[-1], first["pretrained"].rsplit("/", 1)[-1]]).strip())
    if seeds:
        parts.append(f"seeds {seeds[0]}\N{EN DASH}{seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}")
    return ", ".join(parts)


# Settings that were tried.


def settings(frame: pd.DataFrame, tuned: Sequence[str] = TUNED) -> pd.DataFrame:
    """One row for each setting of each method that was tried, the best of a method first.

    Best is the highest mean validation mR over the seeds at which several settings were tried. A setting that lacks one
    of these seeds is left out, since a run that diverged is missing; if all lack one, those with most seeds remain.

    Args:
        frame: of :func:`frame`; untrained runs are ignored.
        tuned: fields and options that are settings; runs that differ in anything else are of different families.

    Returns:
        ``family`` (a number), ``name``, ``method``, the settings, ``validation_mr``, ``seeds`` (compared), ``hashes``
        of all runs, ``chosen``, ``at_edge`` (graded settings whose best value is the smallest or largest tried) and
        ``settings``: the fields to hand on to other runs, as :func:`petl_core.runs.tuned.write` takes them.
    """
    runs = frame[frame["epochs"] > 0].drop_duplicates("hash").reset_index(drop=True)
    columns = [column for column in tuned if column in runs]
    values = runs[columns].astype(object)
    if "temperature" in values:  # a learned one has no value, and the triplet has none
        values["temperature"] = values["temperature"].where(
            ~runs["learn_temperature"] & (runs["contrast"] == "infonce")
        )
    runs["family"] = [_family(row, tuned) for row in runs.to_dict("records")]
    runs["setting"] = [json.dumps(row) for row in values.to_dict("records")]

    found = []
    for number, (_, family) in enumerate(runs.groupby("family", sort=False)):
        tried = family.pivot_table(index="setting", columns="seed", values="validation_mr", sort=False)
        several = tried.columns[tried.notna().sum() > 1]
        complete = tried[several if len(several) else tried.columns].dropna()
        if complete.empty:
            counts = tried.notna().sum(axis=1)
            complete = tried[counts == counts.max()]
        ranked = complete.mean(axis=1).sort_values(ascending=False, kind="stable")
        named = {option for options in family["method_options"] for option in options}
        settings_of = {key: family[family["setting"] == key] for key in ranked.index}
        table = pd.concat([values.loc[part.index[:1]] for part in settings_of.values()])
        for place, (key, part) in enumerate(settings_of.items()):
            best = {column: value for column, value in table.iloc[place].items() if not pd.isna(value)}
            fields = {column: value for column, value in best.items() if column in RunConfig.model_fields}
            options = {column: value for column, value in best.items() if column not in fields and column in named}
            found.append(
                {
                    "family": number,
                    **part.iloc[0][["name", "method"]],
                    **table.iloc[place],
                    "validation_mr": ranked[key],
                    "seeds": int(complete.loc[key].notna().sum()),
                    "hashes": list(part["hash"]),
                    "chosen": place == 0,
                    "at_edge": ", ".join(_edges(table)) if place == 0 else "",
                    "settings": fields | ({"method_options": options} if options else {}),
                }
            )
    return pd.DataFrame(found)


def best_rates(frame: pd.DataFrame, tuned: Sequence[str] = TUNED) -> pd.DataFrame:
    """Of runs that differ only in settings and seed, those with the best setting on validation; untrained ones stay."""
    tried = settings(frame, tuned)
    best = {run for runs in tried.loc[tried["chosen"], "hashes"] for run in runs} if len(tried) else set()
    return frame[frame["hash"].isin(best) | (frame["epochs"] == 0)].reset_index(drop=True)


def _family(run: dict[str, Any], tuned: Sequence[str]) -> str:
    """What identifies a method and its loss: all fields and options but the seed and what is tuned."""
    fields = {field: run[field] for field in RunConfig.model_fields if field not in (*tuned, "seed", "method_options")}
    options = {option: value for option, value in run["method_options"].items() if option not in tuned}
    return json.dumps({**fields, "method_options": options}, sort_keys=True)


def _edges(table: pd.DataFrame) -> Iterator[str]:
    """Graded settings of the first row beyond which nothing was tried: a rate among those of equal other settings."""
    for column in [column for column in table if column not in ("temperature", "learn_temperature")]:
        rows = table
        if column == "learning_rate":
            others = table.drop(columns=column).astype(str)
            rows = table[(others == others.iloc[0]).all(axis=1)]
        tried = rows[column].dropna()
        if tried.nunique() > 1 and table[column].iloc[0] in (tried.min(), tried.max()):
            yield column


# Rows with intervals, and comparisons.


def summary(frame: pd.DataFrame, by: str | Sequence[str] = "row") -> pd.DataFrame:
    """One row for each value of a column, or of several: means over seeds, with 95 % intervals over seeds and images.

    Args:
        frame: of :func:`frame`; the runs of a row may differ only in their seed.
        by: columns that tell rows apart.

    Returns:
        The columns of ``by``, in the order of the frame, ``method``, ``parameters``, ``seeds``, ``seconds`` (median)
        and, for each of ``METRICS``, the mean in percent, ``*_low``, ``*_high`` and ``*_leads``: whether the row may be
        the best.

    Raises:
        ValueError: runs on different data or weights, or of one row that differ in more than their seed.
    """
    rows = _rows(frame, by)
    hits = {number: _by_seed(runs) for number, (_, runs) in enumerate(rows)}
    table = pd.DataFrame(
        {
            **values,
            "method": runs["method"].iloc[0],
            "parameters": runs["parameters"].iloc[0],
            "seeds": len(runs),
            "seconds": runs["seconds"].median(),
        }
        for values, runs in rows
    )
    found = statistics.intervals(hits).pivot(index="label", columns="metric", values=["mean", "low", "high"])
    for metric in METRICS:
        table[metric] = found["mean", metric].to_numpy(dtype=float)
        table[f"{metric}_low"], table[f"{metric}_high"] = (
            found[end, metric].to_numpy(dtype=float) for end in ("low", "high")
        )
        table[f"{metric}_leads"] = _leads(hits, metric, table[metric])
    return table


def differences(
    frame: pd.DataFrame,
    by: str = "row",
    reference: Any = None,
    pairs: Iterable[tuple[Any, Any]] | None = None,
    metric: str = "mr",
) -> pd.DataFrame:
    """:func:`petl_core.statistics.compare` of rows: paired differences in points, and a verdict each.

    Args:
        frame, by: as for :func:`summary`.
        reference: the row, or a list of rows, from which all other trained ones differ; the first trained by default.
        pairs: of a row and its reference, instead; all p-values of a frame are one family.
        metric: one of ``METRICS``.

    Returns:
        The column of ``by``, ``reference``, ``method``, and the columns of :func:`petl_core.statistics.judge`.

    Raises:
        ValueError: as :func:`summary`, or a row that is not there.
    """
    rows = {values[by]: runs for values, runs in _rows(frame, by)}
    if pairs is None:
        trained = [label for label, runs in rows.items() if (runs["epochs"] > 0).all()]
        references = reference if isinstance(reference, list) else [reference or trained[0]] if trained else []
        pairs = [(label, other) for other in references for label in trained]
    pairs = list(pairs)
    if unknown := {label for pair in pairs for label in pair} - set(rows):
        raise ValueError(f"{', '.join(map(str, unknown))}: no such {by}; there are {', '.join(map(str, rows))}")
    found = statistics.compare({label: _by_seed(runs) for label, runs in rows.items()}, pairs, metric)
    found.insert(2, "method", [rows[label]["method"].iloc[0] for label in found["label"]])
    return found.rename(columns={"label": by})


def effects(frame: pd.DataFrame, factors: Sequence[str], metric: str = "mr") -> pd.DataFrame:
    """:func:`petl_core.statistics.main_effects` of columns of a frame, whose combinations are the cells of a design."""
    trained = frame[frame["epochs"] > 0]
    hits = {tuple(values.values()): _by_seed(runs) for values, runs in _rows(trained, factors)}
    return statistics.main_effects(hits, factors, metric)


def _rows(frame: pd.DataFrame, by: str | Sequence[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The runs of each row, seeds ascending, after the checks that make them comparable."""
    columns = [by] if isinstance(by, str) else list(by)
    for keys, content in ((["dataset"], "data"), (["dataset"], "images"), (["backbone", "pretrained"], "backbone")):
        digests = frame["inputs"].map(lambda inputs, content=content: inputs[content])
        if (digests.groupby([frame[key] for key in keys]).nunique() > 1).any():
            raise ValueError(f"these runs read different {content} under one name; delete the runs of the older")
    if frame["dataset"].nunique() > 1:
        raise ValueError("these runs were tested on different data sets; compare runs on one")

    found = []
    # An untrained run has no settings, so it is never of one row with trained ones.
    for key, runs in frame.groupby([*columns, frame["epochs"] == 0], sort=False, dropna=False):
        runs = runs.drop_duplicates(["hash", "test"]).sort_values("seed")
        fields = [field for field in (*RunConfig.model_fields, "test") if field not in ("seed", "audit")]
        differing = [field for field in fields if runs[field].map(json.dumps).nunique() > 1]
        if differing or runs["seed"].duplicated().any():
            raise ValueError(
                f"row {', '.join(map(str, key[:-1]))}: its runs differ in {', '.join(differing) or 'audit'}, not in "
                "their seed alone; give them rows of their own, or keep one setting with best_rates"
            )
        found.append((dict(zip(columns, key, strict=False)), runs))
    return found


def _by_seed(runs: pd.DataFrame) -> dict[int | None, np.ndarray]:
    """Hits as :mod:`petl_core.statistics` takes them: an untrained run pairs with every seed."""
    if (runs["epochs"] == 0).all():
        return {None: runs["hits"].iloc[0]}
    return dict(zip(runs["seed"], runs["hits"], strict=True))


def _leads(hits: dict[int, dict], metric: str, means: pd.Series) -> list[bool]:
    """Which rows may be the best: the best mean, and those of several seeds not significantly below it.

    Gupta's subset selection, at 5 % divided by the number of rivals. Where no trained row is out, none leads, since
    that would tell nothing. Source: Gupta, "On some multiple decision (selection and ranking) rules" (Technometrics,
    1965).
    """
    best = int(means.argmax())
    found = statistics.compare(hits, [(row, best) for row in hits], metric)
    rivals = found.dropna(subset="p")
    leading = {best, *rivals.loc[rivals["p"] * len(rivals) >= statistics.SIGNIFICANCE, "label"]}
    tells = any(row not in leading and None not in runs for row, runs in hits.items())
    return [tells and row in leading for row in hits]


# How frames are shown.


def show(frame: pd.DataFrame, caption: str = "") -> Styler:
    """A frame as a table to read: "43.79 [42.10, 45.50]", leaders in bold, titles as in the published tables."""
    cells, bold = _cells(frame)
    styler = cells.style.hide(axis="index").set_caption(caption)
    return styler.apply(lambda _: np.where(bold, "font-weight: bold", ""), axis=None)


def markdown(frame: pd.DataFrame) -> str:
    """The table of :func:`show` in Markdown."""
    cells, bold = _cells(frame)
    return cells.where(~bold, "**" + cells + "**").to_markdown(index=False, disable_numparse=True)


def latex(frame: pd.DataFrame, caption: str, label: str) -> str:
    """The table of :func:`show` in LaTeX, over both columns of a page; it needs booktabs and adjustbox."""
    escaped = re.sub(r"([&%#_$])", r"\\\1", caption)
    styler = show(frame, escaped).format(escape="latex").format_index(escape="latex", axis=1)
    text = styler.to_latex(
        hrules=True, convert_css=True, environment="table*", position_float="centering", label=f"tab:{label}"
    )
    text = text.replace(r"\begin{tabular}", "\\begin{adjustbox}{max width=\\textwidth}\n\\begin{tabular}")
    text = text.replace(r"\end{tabular}", "\\end{tabular}\n\\end{adjustbox}")
    return text.translate(str.maketrans(_LATEX_SYMBOLS))


_LATEX_SYMBOLS = {"→": r"$\rightarrow$", MINUS: "$-$", MISSING: "--", "±": r"$\pm$", "<": "$<$", "×": r"$\times$"}
_LATEX_SYMBOLS |= {"†": r"$\dagger$", "‡": r"$\ddagger$", "∥": r"$\parallel$", "§": r"\S{}", "¶": r"\P{}"}


def _cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A frame in words, and which of its cells are bold: those that lead, but for the columns of :data:`HIDDEN`."""
    cells, bold = {}, {}
    for column in frame:
        low, high = ("low", "high") if column == "difference" else (f"{column}_low", f"{column}_high")
        parts = str(column).rpartition("_")
        is_bound = parts[2] in ("low", "high", "leads") and (parts[0] or "difference") in frame
        if column in HIDDEN or is_bound or (frame[column].isna().all() and len(frame)):
            continue
        words = str(column).replace("_", " ")
        title = TITLES.get(column, words[:1].upper() + words[1:])
        if low in frame and high in frame:
            form = "{:+.2f}" if column in ("difference", "change") else "{:.2f}"
            bounds = zip(frame[column], frame[low], frame[high], strict=True)
            cells[title] = [
                _number(value, form)
                if pd.isna(a)
                else f"{_number(value, form)} [{_number(a, form)}, {_number(b, form)}]"
                for value, a, b in bounds
            ]
        else:
            cells[title] = [_text(value, column) for value in frame[column]]
        bold[title] = frame[f"{column}_leads"].to_numpy() if f"{column}_leads" in frame else np.zeros(len(frame), bool)
    return pd.DataFrame(cells, dtype=object), pd.DataFrame(bold)


def _number(value: float, form: str) -> str:
    return form.format(value).replace("-", MINUS)


def _text(value: Any, column: str) -> str:
    """One value in words."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(part, column) for part in value) or MISSING
    if value is None or value is pd.NA or value != value or value == "":
        return MISSING
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if not isinstance(value, (int, float, np.number)):
        return str(value)
    if column in ("p", "p_holm"):
        return f"{value:.3f}" if value >= 0.001 else "<0.001"
    if column in POINTS:
        return _number(value, "{:.2f}")
    return _number(value, "{:,.0f}" if float(value).is_integer() else "{:,.0f}" if abs(value) >= 1000 else "{:.4g}")
