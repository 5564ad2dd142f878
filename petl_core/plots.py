"""The look of all plots, and the plots that several notebooks share: data frames in, a matplotlib ``Figure`` out.

A method has one colour, that of its family, and one marker in all figures. Sizes are those of an IEEE page. What one
notebook alone plots is drawn there, with seaborn.
"""

import math
import textwrap
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from scipy.optimize import isotonic_regression

from petl_core import retrieval
from petl_core.data import Split, caption_key, read_image
from petl_core.statistics import EQUIVALENCE
from petl_core.tables import METRICS, MINUS

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # inches
SMALL = 6.5  # points, of text within a plot
MARKERS = "osD^vP*Xhp<>d8H"
BLUE, ORANGE, GREEN, RED, PINK, BROWN, *_ = sns.color_palette("colorblind").as_hex()
FAMILIES: dict[str, tuple[str, dict[str, str]]] = {  # colour, and the markers of its methods by key
    "zero-shot": ("#7f7f7f", {"zero_shot": "x"}),
    "prompts": (ORANGE, {"coop": "v", "vpt": "^", "vl_prompt": "d"}),
    "adapters": (
        BLUE,
        {"mrs": "o", "adapter": "s", "convpass": "D", "adaptformer": "h", "cross_modal": "P", "uniadapter": "X"},
    ),
    "reparametrisation and bias": (PINK, {"lora": ">", "bitfit": "<"}),
    "heads": (RED, {"linear_probe": "p", "clip_adapter": "8"}),
    "side networks": (GREEN, {"focus": "D", "lst": "s"}),
    "full fine-tuning": ("#1a1a1a", {"full": "o"}),
}
FRAMES = {  # of retrieved images, by what they are to the query: colour, style and width of the frame, and a mark
    "own": (GREEN, "-", 2.2, "✓"),
    "same words": (BLUE, "--", 1.8, "="),
    "same scene": (ORANGE, ":", 1.8, "≈"),
    "other": ("0.7", "-", 0.6, ""),
}
SIGNIFICANT = ("higher", "lower")
MAX_STRETCH = 1.5  # how many times longer an axis may become to show a row that is far off


def use_style() -> None:
    """Set seaborn's and matplotlib's defaults for the plots of the study."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind", font_scale=0.95)
    mpl.rcParams.update(
        {
            "axes.labelsize": 8,
            "axes.linewidth": 0.6,
            "axes.titlesize": 8,
            "figure.constrained_layout.use": True,
            "figure.dpi": 120,
            "font.family": "DejaVu Sans",
            "grid.color": "0.88",
            "grid.linewidth": 0.5,
            "legend.fontsize": 7,
            "legend.frameon": False,
            "legend.title_fontsize": 7,
            "lines.linewidth": 1.2,
            "lines.markersize": 4,
            "pdf.fonttype": 42,  # embed TrueType: journals refuse Type 3
            "savefig.dpi": 200,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
        }
    )


def look(method: str) -> dict[str, Any]:
    """Colour and marker of a method by its key; a method of no family is brown, with a marker that its name decides."""
    for colour, markers in FAMILIES.values():
        if method in markers:
            return {"color": colour, "marker": markers[method]}
    return {"color": BROWN, "marker": MARKERS[zlib.crc32(method.encode()) % len(MARKERS)]}


def palette(frame: pd.DataFrame, by: str = "row") -> dict[Any, str]:
    """The colour of each row by its method, for seaborn's ``palette``."""
    return {label: look(method)["color"] for label, method in zip(frame[by], frame["method"], strict=True)}


# Rows with intervals.


def recalls(
    summary: pd.DataFrame, by: str = "row", metrics: Sequence[str] = ("mr", "i2t_r1", "t2i_r1"), sort: bool = True
) -> Figure:
    """Recalls with 95 % intervals, a row each, labelled on the left; the dashed line is the first untrained row.

    A row that would make an axis much longer is an arrow at its edge, with its value.

    Args:
        summary: of :func:`petl_core.tables.summary`.
        by: the column of labels.
        metrics: a panel each; the first is twice as wide.
        sort: by the first metric, the highest on top; otherwise in the order of the frame.
    """
    rows = summary.sort_values(metrics[0], ascending=False, kind="stable") if sort else summary
    height = 0.65 + 0.17 * max(3, len(rows))
    figure, panels = plt.subplots(
        1, len(metrics), sharey=True, squeeze=False, figsize=(TWO_COLUMNS if len(metrics) > 1 else ONE_COLUMN, height),
        width_ratios=[2, *[1] * (len(metrics) - 1)],
    )  # fmt: skip
    for axes, metric in zip(panels[0], metrics, strict=True):
        low, high = _limits(rows, metric, rows["parameters"] > 0)
        axes.set_xlim(max(low, -0.02 * high), high)
        for place, row in enumerate(rows.to_dict("records")):
            _interval(axes, place, row[metric], row[f"{metric}_low"], row[f"{metric}_high"], look(row["method"]))
        for value in rows.loc[rows["parameters"] == 0, metric].head(1):
            axes.axvline(value, color="0.35", linestyle="--", linewidth=0.8, zorder=1)
        axes.set_xlabel(f"test {METRICS[metric]} (%)")
        axes.xaxis.set_major_locator(MaxNLocator(6 if metric == metrics[0] else 4, steps=[1, 2, 5, 10]))
    panels[0, 0].set_yticks(range(len(rows)), rows[by])
    panels[0, 0].set_ylim(len(rows) - 0.4, -0.6)
    return figure


def forest(differences: pd.DataFrame, by: str = "row", unit: str = "mR, points") -> Figure:
    """Paired differences with 95 % intervals, faint where not significant; the band is what counts as negligible.

    Labels are on the left, those of one reference below its name; numbers are in a column on the right.

    Args:
        differences: of :func:`petl_core.tables.differences`, or :func:`petl_core.tables.effects` with ``by="level"``.
        by: the column of labels.
        unit: of the differences, for the axis.
    """
    found = differences.dropna(subset="difference")
    lines: list[tuple[str, dict | None]] = []
    for reference, rows in found.groupby("factor" if "factor" in found else "reference", sort=False):
        versus = f"{reference}, against {rows['reference'].iloc[0]}:" if "factor" in found else f"against {reference}:"
        lines += [(versus, None), *((row[by], row) for row in rows.to_dict("records"))]
    figure, axes = plt.subplots(figsize=(0.72 * TWO_COLUMNS, 0.5 + 0.16 * max(3, len(lines))))
    bounds = found.assign(difference_low=found["low"], difference_high=found["high"])
    low, high = _limits(bounds, "difference", _near(found["difference"]))
    axes.set(xlim=(min(low, -1.5 * EQUIVALENCE), max(high, 1.5 * EQUIVALENCE)), ylim=(len(lines) - 0.5, -0.5))
    axes.axvspan(-EQUIVALENCE, EQUIVALENCE, color="0.9", linewidth=0, zorder=0)
    axes.axvline(0, color="0.2", linewidth=0.8, zorder=1)
    for place, (_, row) in enumerate(lines):
        if row is not None:
            marks = look(row["method"]) if "method" in row else {"color": BLUE, "marker": "o"}
            alpha = 1.0 if row["verdict"] in SIGNIFICANT else 0.4
            _interval(axes, place, row["difference"], row["low"], row["high"], {**marks, "alpha": alpha}, signed=True)
            text = f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]".replace("-", MINUS)
            axes.annotate(
                text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=SMALL,
                color="0.1" if alpha == 1 else "0.45",
            )  # fmt: skip
    axes.set_yticks(range(len(lines)), [label for label, _ in lines])
    for tick, (_, row) in zip(axes.get_yticklabels(), lines, strict=True):
        tick.set_fontstyle("italic" if row is None else "normal")
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"difference ({unit}); grey: within ±{EQUIVALENCE:g}, faint: not significant")
    return figure


def lines(
    summary: pd.DataFrame,
    x: str,
    hue: str | None = None,
    metric: str = "mr",
    xlabel: str = "",
    axes: Axes | None = None,
) -> Figure:
    """A metric with 95 % intervals against a setting on a log axis, or symlog where it is 0; a line for each hue.

    Args:
        summary: of :func:`petl_core.tables.summary` by ``x`` and ``hue``; untrained rows are dashed lines, if they are
            not far off.
        x: a column of numbers.
        hue: a column; its values differ in place, slightly, and in look: that of their methods, if these differ too.
        metric: of ``METRICS``.
        xlabel: with a unit; the column's name by default.
        axes: to draw on; a figure of one column by default.
    """
    if axes is None:
        _, axes = plt.subplots(figsize=(ONE_COLUMN, 2.5))
    trained = summary[summary["parameters"] > 0]
    values = np.unique(trained[x].astype(float))
    positive = values[values > 0]
    if values.min() == 0 and len(positive):
        axes.set_xscale("symlog", linthresh=positive[0], linscale=0.5)
    elif len(positive):
        axes.set_xscale("log")
    low, high = _limits(summary, metric, summary["parameters"] > 0)
    groups = list(trained.groupby(hue, sort=False)) if hue else [("", trained)]
    are_methods = len({points["method"].iloc[0] for _, points in groups}) == len(groups)
    for number, (label, points) in enumerate(groups):
        marks = {"color": sns.color_palette("colorblind")[number % 10], "marker": MARKERS[number % len(MARKERS)]}
        if are_methods:
            marks = look(points["method"].iloc[0])
        points = points.sort_values(x)
        # Series share values of x, so each is moved a little to the side.
        aside = mpl.transforms.ScaledTranslation(
            5 / 72 * (number - (len(groups) - 1) / 2), 0, axes.figure.dpi_scale_trans
        )
        whiskers = [points[metric] - points[f"{metric}_low"], points[f"{metric}_high"] - points[metric]]
        axes.errorbar(
            points[x].astype(float), points[metric], np.clip(whiskers, 0, None), label=str(label), linewidth=1,
            elinewidth=0.9, transform=axes.transData + aside, **marks,
        )  # fmt: skip
    for row in summary[summary["parameters"] == 0].to_dict("records"):
        if low <= row[metric] <= high:
            axes.axhline(row[metric], color="0.35", linestyle="--", linewidth=0.8, label="zero-shot")
    axes.set(xlabel=xlabel or x.replace("_", " "), ylabel=f"test {METRICS[metric]} (%)", ylim=(max(0, low), high))
    axes.set_xticks(values, [f"{value:,.6g}" for value in values])
    axes.set_xticks([], minor=True)
    width = np.ptp(axes.transData.transform([(value, low) for value in values])[:, 0]) or 1
    left, right = axes.transData.transform([(values[0], low), (values[-1], low)])[:, 0]
    edges = axes.transData.inverted().transform([(left - width / 10, 0), (right + width / 10, 0)])[:, 0]
    axes.set_xlim(*edges)
    if hue:
        title = hue.replace("_", " ") if hue not in ("row", "title", "name") else ""
        axes.legend(title=title, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=min(3, len(groups)))
    return axes.figure


def labels_beside(axes: Axes, heights: Mapping[str, float], looks: Mapping[str, dict] | None = None) -> None:
    """A column of labels right of a plot, each joined to its height by a thin line, with its marker if it has a look.

    Call it last: the plot's limits and scale must be final.

    Args:
        axes: the plot; it needs room on its right.
        heights: y of each label, in the data's coordinates.
        looks: of :func:`look`, by label.
    """
    axes.figure.draw_without_rendering()
    starts = axes.transAxes.inverted().transform(axes.transData.transform([(1, y) for y in heights.values()]))[:, 1]
    gap = min(1.2 * SMALL / 72 / (axes.get_window_extent().height / axes.figure.dpi), 1 / max(1, len(starts) - 1))

    # Moved as little as possible: once its share of the gaps is subtracted, each must only be above the one before.
    order = np.argsort(starts, kind="stable")
    gaps = gap * np.arange(len(starts))
    places = np.empty(len(starts))
    places[order] = isotonic_regression(starts[order] - gaps).x.clip(0, 1 - gaps[-1]) + gaps
    for (label, _), start, place in zip(heights.items(), starts, places, strict=True):
        joined = ConnectionPatch((1, start), (1.05, place), "axes fraction", axesA=axes, axesB=axes)
        axes.add_artist(joined).set(color="0.6", linewidth=0.4, in_layout=False)
        marks = {"transform": axes.transAxes, "clip_on": False, "linestyle": "none", "markersize": 4}
        if looks:
            axes.plot(1.075, place, **marks, **looks[label])
        axes.text(1.11 if looks else 1.06, place, label, transform=axes.transAxes, va="center", fontsize=SMALL)


def label_points(axes: Axes, frame: pd.DataFrame, x: str, y: str = "mr", by: str = "row") -> None:
    """Each row's label next to its point (x, y), at the nearest place that is free; call it last, as labels_beside."""
    axes.figure.draw_without_rendering()
    taken = [Bbox.from_bounds(left - 5, low - 5, 10, 10) for left, low in axes.transData.transform(frame[[x, y]])]
    places = [(dx, side * dy) for dy in range(0, 80, 8) for side in (1, -1) for dx in (6, -6)]
    style = {"textcoords": "offset points", "va": "center", "in_layout": False, "fontsize": SMALL - 0.5}
    line = {"arrowstyle": "-", "linewidth": 0.3, "color": "0.6", "shrinkB": 0}
    for row in frame.to_dict("records"):
        for place in places:
            side, colour = "left" if place[0] > 0 else "right", look(row["method"])["color"]
            text = axes.annotate(row[by], (row[x], row[y]), place, ha=side, color=colour, **style)
            box = text.get_window_extent()
            inside = axes.bbox.containsx(box.x0) and axes.bbox.containsx(box.x1)
            if (inside and not box.count_overlaps(taken)) or place == places[-1]:
                break
            text.remove()
        taken.append(box)
        if place[1]:
            axes.annotate("", (row[x], row[y]), place, arrowprops=line, **style)


def learning_curves(history: pd.DataFrame, y: str = "loss_total", by: str = "name", label: str = "") -> Figure:
    """A quantity by epoch, a panel for each row: seeds are thin, their mean is thick, means of other rows are grey.

    Args:
        history: of :func:`petl_core.tables.history`.
        y: its column to show.
        by: its column of panels.
        label: of the y axis.
    """
    measured = history.dropna(subset=y)
    rows = list(measured[by].unique())
    means = measured.groupby([by, "epoch"], sort=False)[y].mean()
    columns = min(5, len(rows))
    height = 0.4 + 1.15 * math.ceil(len(rows) / columns)
    figure, grid = plt.subplots(
        math.ceil(len(rows) / columns), columns, sharex=True, sharey=True, squeeze=False,
        figsize=(TWO_COLUMNS if columns > 2 else ONE_COLUMN, height),
    )  # fmt: skip
    for axes, row in zip(grid.flat, rows, strict=False):
        part = measured[measured[by] == row]
        colour = look(part["method"].iloc[0])["color"]
        for other in rows:
            axes.plot(means[other], color="0.87", linewidth=0.5, zorder=1)
        for _, seed in part.groupby("seed"):
            axes.plot(seed["epoch"], seed[y], color=colour, linewidth=0.5, alpha=0.6)
        axes.plot(means[row], color=colour, linewidth=1.4)
        axes.set_title(textwrap.fill(str(row), 24), fontsize=SMALL, pad=2)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.tick_params(labelbottom=True)
    for axes in grid.flat[len(rows) :]:
        axes.set_visible(False)
    figure.supxlabel("epoch", fontsize=8)
    figure.supylabel(label or y.replace("_", " "), fontsize=8)
    return figure


def _limits(frame: pd.DataFrame, column: str, near: pd.Series) -> tuple[float, float]:
    """Limits around the rows that are near, and around all if that does not make the axis much longer."""
    spans = []
    for part in (frame[near] if near.any() else frame, frame):
        low, high = part[f"{column}_low"].min(), part[f"{column}_high"].max()
        margin = 0.05 * (high - low) or 1.0
        spans.append((low - margin, high + margin))
    return spans[1] if np.ptp(spans[1]) <= MAX_STRETCH * np.ptp(spans[0]) else spans[0]


def _near(values: pd.Series) -> pd.Series:
    """Values inside the fences of Tukey (1977): 1.5 interquartile ranges beyond the quartiles; all of fewer than 8."""
    low, high = values.quantile([0.25, 0.75])
    return values.between(2.5 * low - 1.5 * high, 2.5 * high - 1.5 * low) | (len(values) < 8)


def _interval(
    axes: Axes, place: float, value: float, low: float, high: float, marks: dict[str, Any], signed: bool = False
) -> None:
    """A value with its interval at a height; beyond the limits of x, an arrow at the edge with the value."""
    left, right = axes.get_xlim()
    if left <= value <= right:
        whiskers = np.clip([[value - low], [high - value]], 0, None)
        axes.errorbar(value, place, xerr=whiskers, linestyle="none", elinewidth=0.9, **marks)
        return
    is_left = value < left
    arrow = {"marker": "<" if is_left else ">", "color": marks["color"], "clip_on": False, "linestyle": "none"}
    axes.plot(left if is_left else right, place, **arrow)
    text = (f"{value:+.1f}" if signed else f"{value:.1f}").replace("-", MINUS)
    offset, side = ((6, 0), "left") if is_left else ((-6, 0), "right")
    axes.annotate(
        text, (left if is_left else right, place), offset, textcoords="offset points", ha=side, va="center",
        fontsize=SMALL, color=marks["color"],
    )  # fmt: skip


# Images.


def samples(split: Split, count: int = 6, seed: int = 0) -> Figure:
    """Random images of a split with their scene and captions."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split.images))[:count])
    figure, grid = plt.subplots(
        len(chosen), 2, squeeze=False, figsize=(TWO_COLUMNS, 1.15 * len(chosen)), width_ratios=(1, 5.5)
    )
    for (picture, text), image in zip(grid, chosen, strict=True):
        _picture(picture, split, image, "other", split.scenes[image] or "(no label)")
        captions = [split.captions[caption] for caption in np.flatnonzero(split.image_of == image)]
        wrapped = [textwrap.fill(caption, 92, subsequent_indent="   ") for caption in captions]
        text.text(0, 0.5, "\n".join(wrapped), va="center", fontsize=7, linespacing=1.4, parse_math=False)
        text.axis("off")
    return figure


def kinds(split: Split, caption: int) -> np.ndarray:
    """(N,) what each image is to a caption: "own", "same words" (an equally good answer), "same scene" or "other"."""
    own, key = split.image_of[caption], caption_key(split.captions[caption])
    found = np.array(["same scene" if scene and scene == split.scenes[own] else "other" for scene in split.scenes])
    found = found.astype(object)
    same = [other for other, words in enumerate(split.captions) if caption_key(words) == key]
    found[split.image_of[same]] = "same words"
    found[own] = "own"
    return found


def gallery(split: Split, scores: Mapping[str, np.ndarray], captions: Sequence[int], k: int = 5) -> Figure:
    """Captions with their own image and the k best of each model, framed by what they are to the caption (``FRAMES``).

    Args:
        split: N images and M captions.
        scores: (N, M) by model, a line of images each; its name and the rank of the own image stand before the line.
        captions: the queries.
        k: images of a line.
    """
    lines = len(scores)
    figure = plt.figure(figsize=(TWO_COLUMNS, max(0.4, 1.02 * lines * len(captions))), layout="constrained")
    parts = np.atleast_1d(figure.subfigures(len(captions), 1)) if len(captions) else ()
    for part, caption in zip(parts, captions, strict=True):
        grid, own = part.add_gridspec(lines, k + 2, width_ratios=[1.5, *[1] * (k + 1)]), split.image_of[caption]
        words = part.add_subplot(grid[:, 0])
        words.axis("off")
        query = textwrap.fill(f"“{split.captions[caption]}”", 24)
        words.text(0, 0.5, query, va="center", fontsize=7, transform=words.transAxes, parse_math=False)
        _picture(part.add_subplot(grid[:, 1]), split, own, "own", "own image")
        kind_of = kinds(split, caption)
        for line, (model, of_model) in enumerate(scores.items()):
            column = np.asarray(of_model)[:, caption]
            rank = retrieval.rank(column[None], (np.arange(len(column)) == own)[None]).ranks[0] + 1
            for place, image in enumerate(np.argsort(-column, kind="stable")[:k]):
                axes, kind = part.add_subplot(grid[line, 2 + place]), kind_of[image]
                _picture(axes, split, image, kind, f"{place + 1}: {column[image]:.2f} {FRAMES[kind][3]}")
                if not place:
                    axes.set_ylabel(f"{model}\nrank {rank:g}", fontsize=SMALL)
    return figure


def gallery_of_texts(split: Split, scores: Mapping[str, np.ndarray], images: Sequence[int], k: int = 5) -> Figure:
    """Images with the k best distinct captions of each model, own ones green; the best own one follows with its rank.

    Args:
        split, scores: as for :func:`gallery`.
        images: the queries.
        k: captions of a model; verbatim copies count once (×n).
    """
    keys = [caption_key(caption) for caption in split.captions]
    copies = pd.Series(keys).value_counts()
    figure, grid = plt.subplots(
        len(images) * len(scores), 2, squeeze=False, width_ratios=[1, 5],
        figsize=(TWO_COLUMNS, 0.16 * (k + 2.5) * len(images) * len(scores)),
    )  # fmt: skip
    queries = [(image, model) for image in images for model in scores]
    for (left, right), (image, model) in zip(grid, queries, strict=True):
        _picture(left, split, image, "other", "")
        row = np.asarray(scores[model])[image]
        order = pd.Series(np.argsort(-row, kind="stable"))
        best = order[~order.map(keys.__getitem__).duplicated()]
        own_keys = {keys[caption] for caption in np.flatnonzero(split.image_of == image)}
        lines = [(f"{row[caption]:.2f}", caption) for caption in best[:k]]
        if not any(keys[caption] in own_keys for _, caption in lines):
            caption = next(caption for caption in best if keys[caption] in own_keys)
            rank = retrieval.rank(row[None], (split.image_of == image)[None]).ranks[0] + 1
            lines.append((f"{row[caption]:.2f}, rank {rank:g}", caption))
        right.axis("off")
        if len(scores) > 1:
            right.set_title(model, fontsize=SMALL, pad=2, loc="left")
        for place, (score, caption) in enumerate(lines):
            is_own, count = keys[caption] in own_keys, copies[keys[caption]]
            text = textwrap.shorten(split.captions[caption], 90, placeholder=" …") + (
                f" (×{count})" if count > 1 else ""
            )
            right.text(
                0, 1 - (place + 0.5) / (k + 1), f"{'✓' if is_own else '   '} {score}  {text}", fontsize=7, va="center",
                transform=right.transAxes, parse_math=False, in_layout=False,
                color=GREEN if is_own else "0.25", fontweight="bold" if is_own else "normal",
            )  # fmt: skip
    return figure


def project_umap(points: np.ndarray, neighbours: int = 50, seed: int = 0) -> np.ndarray:
    """One UMAP of all points (..., d) by cosine -> (..., 2), from their principal components; repeats itself."""
    from umap import UMAP  # slow to import

    flat = points.reshape(-1, points.shape[-1])
    reducer = UMAP(
        n_neighbors=min(neighbours, len(flat) - 1),
        min_dist=0.8,  # the default, 0.1, piles the captions of a scene into a dot
        metric="cosine",
        init="pca",
        random_state=seed,
        n_jobs=1,
    )
    return reducer.fit_transform(flat).reshape(*points.shape[:-1], 2)


def embedding_map(points: Mapping[str, np.ndarray], scenes: Sequence[str | None], joined: int = 60) -> Figure:
    """Image-text pairs on a plane, a column for each model: above by modality, below with the four largest scenes.

    Args:
        points: (2, P, 2) by model, images and captions of P pairs, all of one projection.
        scenes: (P,) labels.
        joined: how many pairs a line joins.
    """
    labels = pd.Series(scenes, dtype=object)
    shown = labels.value_counts(sort=True).index[:4]
    groups = labels.where(labels.isin(shown), "other")
    colours = dict(zip(shown, (BLUE, RED, GREEN, PINK), strict=False)) | {"other": "0.82"}
    figure, grid = plt.subplots(2, len(points), sharex=True, sharey=True, squeeze=False, figsize=(TWO_COLUMNS, 5.4))
    for (above, below), (model, pairs) in zip(grid.T, points.items(), strict=True):
        above.plot(*np.transpose(pairs[:, :joined], (2, 0, 1)), color="0.3", linewidth=0.4, alpha=0.7, zorder=1)
        for modality, coordinates, marker in zip(("image", "caption"), pairs, ("o", "^"), strict=True):
            colour = BLUE if modality == "image" else ORANGE
            above.scatter(*coordinates.T, s=5, color=colour, marker=marker, linewidths=0, alpha=0.7, label=modality)
            for name, colour in reversed(colours.items()):
                chosen = coordinates[groups == name]
                filled = {"color": colour, "linewidths": 0} if modality == "image" else {"edgecolors": colour}
                open_ = {} if modality == "image" else {"facecolors": "none", "linewidths": 0.6}
                below.scatter(*chosen.T, s=4 if name == "other" else 10, marker=marker, **filled, **open_)
        above.set_title(model)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[], box_aspect=1)
    limits = np.stack(list(points.values())).reshape(-1, 2)
    middle, half = (limits.min(axis=0) + limits.max(axis=0)) / 2, 0.53 * np.ptp(limits, axis=0).max()
    grid[0, 0].set(xlim=middle[0] + np.array([-half, half]), ylim=middle[1] + np.array([-half, half]))
    scene_marks = [Line2D([], [], color=colour, marker="s", linestyle="none", label=n) for n, colour in colours.items()]
    kinds_of_marks = [Line2D([], [], color="0.3", marker="o", linestyle="none", label="image (filled)")]
    kinds_of_marks += [
        Line2D([], [], color="0.3", marker="^", fillstyle="none", linestyle="none", label="caption (open)")
    ]
    beside = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)}
    grid[0, -1].legend(**beside, markerscale=2)
    grid[1, -1].legend(handles=[*scene_marks, *kinds_of_marks], **beside)
    return figure


def _picture(axes: Axes, split: Split, image: int, kind: str, title: str) -> None:
    """An image, framed by what it is to the query."""
    axes.imshow(read_image(split.images[image]))
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.set_title(title, fontsize=SMALL, pad=2)
    colour, style, width, _ = FRAMES[kind]
    for spine in axes.spines.values():
        spine.set(edgecolor=colour, linestyle=style, linewidth=width, visible=True)
