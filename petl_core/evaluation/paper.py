"""Our runs as rows of the published tables: which method each reproduces, and what differs from the printed results."""

from collections.abc import Hashable, Iterable, Mapping

import pandas as pd

from petl_core.config import RunConfig
from petl_core.data.catalogue import PUBLISHED
from petl_core.evaluation import published
from petl_core.evaluation.comparison import counted
from petl_core.evaluation.grouping import Group, Key, group_runs
from petl_core.evaluation.names import HMMC_TERMS, dataset_title, describe, loss_terms, method_and_loss
from petl_core.runs.folder import Run

# How PE-RSITR's release trains (``train.py`` and ``utils.py`` at commit dd24050), except its epochs and seeds.
RELEASED = RunConfig(
    method="mrs",
    contrast="triplet",
    w_image=1.0,
    w_text=1.0,
    pairs="captions",
    batch_size=16,
    learning_rate=2e-4,
    schedule="step",
    blank_captions=True,
)
# Fields in which a run may differ from that; the triplet has no temperature.
FREE = (
    *("dataset", "backbone", "pretrained", "epochs", "patience", "validation_interval", "seed"),
    *("validation_fraction", "temperature"),
)
LIKE_PRINTED = ("ViT-B-32-quickgelu", "openai")  # fields backbone and pretrained of a run like most published rows
CMER = "CMER"  # as printed
OTHER_LOSS = "*"


def paper_groups(runs: Iterable[Run]) -> list[Group]:
    """Runs grouped by row, in the order of the published tables, followed by other rows."""
    place = {method: number for number, method in enumerate(published.PRINTED_NAMES)}
    return sorted(group_runs(runs, _row), key=lambda group: place.get(group.first.config.method, len(place)))


def row_names(groups: Iterable[Group]) -> dict[Key, str]:
    """Rows in words, with a mark if the loss is known to differ from the published row's."""
    found = {}
    for group in groups:
        name = describe(group.first) + (", as released" if is_as_released(group.first.config) else "")
        found[group.key] = f"{name} {OTHER_LOSS}" if _has_other_loss(group.first.config) else name
    return found


def printed_names(groups: Iterable[Group]) -> dict[Key, str]:
    """The published method that each row reproduces; "" for none."""
    found = {}
    for group in groups:
        config = group.first.config
        is_cmer = config.method == "focus" and config.queue_size and config.scene_probability
        found[group.key] = CMER if is_cmer else published.PRINTED_NAMES.get(config.method, "")
    return found


def is_as_released(config: RunConfig) -> bool:
    """Whether a run was trained by PE-RSITR's released recipe."""
    free = {name: getattr(config, name) for name in FREE}
    return config == RELEASED.replace(**free)


def conditions(run: Run, matched: pd.DataFrame, names: Mapping[Key, str]) -> str:
    """How our rows differ from the published ones, in sentences.

    Args:
        run: any of ours.
        matched: of :func:`published.matched`.
        names: of :func:`row_names`.
    """
    config = run.config
    if matched["printed_mr"].isna().all():
        return f"Nothing is published for these rows on {dataset_title(config.dataset)}."
    sentences = []
    size = run.metrics["parameters"]["backbone"]
    printed = f"{published.BACKBONE} pre-trained on {published.PRETRAINING}"
    if size != published.BACKBONE_PARAMETERS:
        sentences.append(
            f"No row is like for like: our backbone has {size / 1e6:.1f} M parameters, and that of published rows "
            f"without ‡ and ¶ is {printed}, with {published.BACKBONE_PARAMETERS / 1e6:.1f} M."
        )
    elif (config.backbone, config.pretrained) != LIKE_PRINTED:
        sentences.append(f"Like for like only if our backbone is {printed}, as in published rows without ‡ and ¶.")
    if any(name.endswith(OTHER_LOSS) for name in names.values()):
        sentences.append(f"{OTHER_LOSS} trained with a loss other than that of the published row.")
    return " ".join(sentences)


def answer(matched: pd.DataFrame, caveats: str) -> str:
    """For how many of our rows the published mR is within the interval, in sentences.

    Args:
        matched: of :func:`published.matched`.
        caveats: of :func:`conditions`.
    """
    rows = matched.dropna(subset="printed_mr")
    if rows.empty:
        return caveats
    below = (rows["printed_mr"] < rows["mr_low"]).sum()
    above = (rows["printed_mr"] > rows["mr_high"]).sum()
    within = len(rows) - below - above
    ours, theirs = counted(len(rows), "row"), counted(rows["printed"].nunique(), "published result")
    compared = f"Of {ours} of ours compared with {theirs}"
    places = f"the published mR is within our 95% interval in {within}, below it in {below} and above it in {above}"
    return f"{compared}, {places}. {caveats}"


def _row(run: Run) -> tuple[Hashable, ...]:
    return (*method_and_loss(run), is_as_released(run.config))


def _has_other_loss(config: RunConfig) -> bool:
    """Whether the loss is known to differ from the published row's; only that of MRS-Adapter is known."""
    if config.method != "mrs" or config.dataset not in {known.name for known in PUBLISHED}:
        return False
    return set(loss_terms(config)) != set(HMMC_TERMS) or config.contrast != "triplet"
