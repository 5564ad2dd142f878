"""Plots of an ablation: mR with intervals by factors, zero-shot and other references as lines."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform

from petl_core.evaluation.ablation import text, title
from petl_core.plots import figures

MARKERS, DASHES = "osD^vP*X", ("-", "--", "-.", ":")
UNITS = {"queue_warmup": " (steps)", "share": " (channels)"}
DODGE = 4  # points between what would otherwise lie on each other


def plot_rows(frame: pd.DataFrame, rows: str, hue: str, panels: str = "") -> Figure:
    """mR with 95 % intervals, a row for each value of one factor; rows without one are lines for reference.

    Args:
        frame: of :func:`ablation.table`.
        rows, hue: factors; values of ``hue`` are told apart by colour and marker.
        panels: a factor with a panel for each of its values.
    """
    parts = _parts(frame, panels)
    names = _levels(frame[rows])
    height = 0.9 + 0.3 * len(names)
    figure, grid = plt.subplots(1, len(parts), sharex=True, sharey=True, figsize=(figures.TWO_COLUMNS, height))
    for axes, (heading, part) in zip(np.atleast_1d(grid), parts.items(), strict=True):
        levels = _levels(frame[hue])
        for i, level in enumerate(levels):
            points = part[(part[hue] == level) & part[rows].notna()]
            axes.errorbar(
                points["mr"], [names.index(name) for name in points[rows]], xerr=_whiskers(points), linestyle="none",
                transform=_beside(axes, 0, (len(levels) - 1) / 2 - i), label=text(level), **_style(i)
            )  # fmt: skip
        _references(axes.axvline, axes.axvspan, part[part[rows].isna()])
        axes.set(xlabel="test mR (%)", xlim=_limits(frame), ylim=(len(names) - 0.5, -0.5))
        axes.set_title(heading, fontsize=7)
        axes.set_yticks(range(len(names)), [text(name) for name in names])
    _legend(figure, hue)
    return figure


def plot_lines(frame: pd.DataFrame, x: dict[str, str], hue: str, panels: str = "", scale: str = "log") -> Figure:
    """mR with 95 % intervals against one or more columns; rows without a value there are lines for reference.

    Args:
        frame: of :func:`ablation.table`.
        x: labels with units of the columns to plot against, a panel each.
        hue: factor whose values are lines of their own.
        panels: a factor with a panel for each of its values; rows without one are in every panel.
        scale: of the x axes, "log" or "linear".
    """
    parts = [(column, heading, part) for column in x for heading, part in _parts(frame, panels).items()]
    width = figures.ONE_COLUMN if len(parts) == 1 else figures.TWO_COLUMNS
    figure, grid = plt.subplots(1, len(parts), sharey=True, figsize=(width, 2.9))
    levels = _levels(frame[hue])
    for axes, (column, heading, part) in zip(np.atleast_1d(grid), parts, strict=True):
        axes.set_xscale(scale)
        for i, level in enumerate(levels):
            points = part[(part[hue] == level) & part[column].notna()].sort_values(column)
            axes.errorbar(
                points[column].astype(float), points["mr"], _whiskers(points), linestyle=DASHES[i % len(DASHES)],
                transform=_beside(axes, i - (len(levels) - 1) / 2, 0), label=text(level), **_style(i)
            )  # fmt: skip
        _references(axes.axhline, axes.axhspan, part[part[hue].isna()])
        _ticks(axes, frame.loc[frame[hue].notna(), column].astype(float))
        axes.set(xlabel=x[column], ylim=_limits(frame))
        axes.set_title(heading, fontsize=7)
    np.atleast_1d(grid)[0].set_ylabel("test mR (%)")
    _legend(figure, hue)
    return figure


def plot_drift(frame: pd.DataFrame, hue: str) -> Figure:
    """Cosine of stored features to fresh ones by age, a line for every run; a frame of :func:`ablation.drift`."""
    figure, grid = plt.subplots(1, 2, sharey=True, figsize=(figures.TWO_COLUMNS, 2.7))
    for axes, (modality, part) in zip(grid, frame.groupby("modality"), strict=True):
        for i, level in enumerate(_levels(frame[hue])):
            for _, run in part[part[hue] == level].groupby("run"):
                dashes = DASHES[i % len(DASHES)]
                axes.plot(run["age"], run["cosine"], linestyle=dashes, label=text(level), **_style(i))
        axes.set(xlabel="age (steps)", title=f"{modality}s")
        axes.ticklabel_format(axis="y", useOffset=False)
    grid[0].set_ylabel("cosine to a fresh encoding")
    _legend(figure, hue)
    return figure


def _levels(column: pd.Series) -> list:
    """Distinct values: numbers ascending, words and switches in their order."""
    levels = list(dict.fromkeys(column.dropna()))
    return levels if any(isinstance(level, str) for level in levels) else sorted(levels)


def _parts(frame: pd.DataFrame, panels: str) -> dict[str, pd.DataFrame]:
    """The frame by the values of a factor; rows without one belong to every part."""
    levels = _levels(frame[panels]) if panels else []
    headings = [level if isinstance(level, str) else f"{title(panels).lower()} {text(level)}" for level in levels]
    parts = [frame[(frame[panels] == level) | frame[panels].isna()] for level in levels]
    return dict(zip(map(text, headings), parts, strict=True)) or {"": frame}


def _whiskers(points: pd.DataFrame) -> np.ndarray:
    return np.clip([points["mr"] - points["mr_low"], points["mr_high"] - points["mr"]], 0, None)


def _style(i: int) -> dict:
    return {
        "color": sns.color_palette("colorblind")[i % 10],
        "marker": MARKERS[i % len(MARKERS)],
        "markersize": 4,
        "linewidth": 1,
    }


def _beside(axes: Axes, right: float, up: float) -> Transform:
    """The axes' data coordinates, moved by steps of DODGE."""
    inches = DODGE / 72
    return axes.transData + ScaledTranslation(right * inches, up * inches, axes.figure.dpi_scale_trans)


def _references(line, span, rows: pd.DataFrame) -> None:
    for dashes, row in zip((":", "--", "-."), rows.to_dict("records"), strict=False):
        line(row["mr"], color="0.35", linestyle=dashes, linewidth=1, label=row["configuration"])
        span(row["mr_low"], row["mr_high"], color="0.35", alpha=0.1, linewidth=0)


def _limits(frame: pd.DataFrame) -> tuple[float, float]:
    """Of mR, with a margin; matplotlib does not count points that were moved."""
    low, high = frame["mr_low"].min(), frame["mr_high"].max()
    return max(0, low - 0.05 * (high - low)), high + 0.05 * (high - low)


def _ticks(axes: Axes, values: pd.Series) -> None:
    """Limits around the values of x, and ticks at those which have room."""
    forward, back = (np.log, np.exp) if axes.get_xscale() == "log" else (np.asarray, np.asarray)
    places = np.unique(forward(values.dropna()))
    width = np.ptp(places) or 1
    axes.set_xlim(back(places[0] - width / 8), back(places[-1] + width / 8))
    shown = [places[0]]
    for place in places[1:]:
        if place - shown[-1] > width / 10:
            shown.append(place)
    axes.set_xticks(back(shown), [f"{tick:,.7g}" for tick in back(shown)])
    axes.set_xticks([], minor=True)
    axes.tick_params(axis="x", labelsize=7)


def _legend(figure: Figure, hue: str) -> None:
    """One legend above all panels, with every line once."""
    entries: dict = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    entries = dict(sorted(entries.items(), key=lambda entry: isinstance(entry[1], Line2D)))  # references last
    figure.legend(
        entries.values(), entries.keys(), title=title(hue) + UNITS.get(hue, ""), loc="outside upper center",
        fontsize=7, title_fontsize=7, ncol=2 if figure.get_figwidth() < figures.TWO_COLUMNS else 4
    )  # fmt: skip
