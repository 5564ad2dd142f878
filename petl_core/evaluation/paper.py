"""The published tables' rows among our runs: what each stands for, and what sets ours apart from the printed ones."""

from collections.abc import Hashable, Iterable, Mapping

import pandas as pd

from petl_core.config import RunConfig
from petl_core.data.catalogue import PUBLISHED
from petl_core.evaluation import published
from petl_core.evaluation.grouping import Group, Key, group_runs
from petl_core.evaluation.names import HMMC_TERMS, dataset_title, describe, loss_terms, method_and_loss
from petl_core.runs.folder import Run

# How PE-RSITR's release trains (``train.py`` and ``utils.py`` at commit dd24050), but for its epochs and seeds.
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
# In which a run may differ from that; the triplet has no temperature.
FREE = ("dataset", "backbone", "pretrained", "epochs", "patience", "seed", "validation_fraction", "temperature")
LIKE_PRINTED = ("ViT-B-32-quickgelu", "openai")  # fields backbone and pretrained of a run like most published rows
CMER = "CMER"  # as printed
OTHER_LOSS = "*"


def paper_groups(runs: Iterable[Run]) -> list[Group]:
    """Runs of one row together, rows in the order of the published tables, others behind them."""
    place = {method: number for number, method in enumerate(published.PRINTED_NAMES)}
    return sorted(group_runs(runs, _row), key=lambda group: place.get(group.first.config.method, len(place)))


def row_names(groups: Iterable[Group]) -> dict[Key, str]:
    """Rows in words, with a mark at those whose loss is known to differ from the published row's."""
    found = {}
    for group in groups:
        name = describe(group.first) + (", as released" if is_as_released(group.first.config) else "")
        found[group.key] = f"{name} {OTHER_LOSS}" if _has_other_loss(group.first.config) else name
    return found


def printed_names(groups: Iterable[Group]) -> dict[Key, str]:
    """The published method that each row stands beside; "" for none."""
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
    """What sets our rows apart from the published ones, in sentences.

    Args:
        run: any of ours.
        matched: of :func:`published.matched`.
        names: of :func:`row_names`.
    """
    config = run.config
    if matched["printed_mr"].isna().all():
        return f"Nothing is published for these rows on {dataset_title(config.dataset)}: ours stand alone."
    ours = (config.backbone, config.pretrained)
    told = []
    if ours != LIKE_PRINTED:
        printed = f"{published.BACKBONE} pre-trained on {published.PRETRAINING}"
        told.append(f"Like for like only if our backbone is {printed}, as the published rows without ‡ and ¶ are.")
    if any(name.endswith(OTHER_LOSS) for name in names.values()):
        told.append(f"{OTHER_LOSS} trained with another loss than the published row.")
    return " ".join(told)


def answer(matched: pd.DataFrame, apart: str) -> str:
    """In how many rows ours agrees with what was printed, in sentences.

    Args:
        matched: of :func:`published.matched`.
        apart: of :func:`conditions`.
    """
    rows = matched.dropna(subset="printed_mr")
    if rows.empty:
        return apart
    above, below = (rows["mr_low"] > rows["printed_mr"]).sum(), (rows["mr_high"] < rows["printed_mr"]).sum()
    within = len(rows) - above - below
    text = f"Of {len(rows)} published results that stand beside ours, our 95% intervals hold {within}; "
    return f"{text}they lie above {above} and below {below}. {apart}"


def _row(run: Run) -> tuple[Hashable, ...]:
    return (*method_and_loss(run), is_as_released(run.config))


def _has_other_loss(config: RunConfig) -> bool:
    """Of the published rows only the MRS-Adapter's loss is known."""
    if config.method != "mrs" or config.dataset not in {known.name for known in PUBLISHED}:
        return False
    return set(loss_terms(config)) != set(HMMC_TERMS) or config.contrast != "triplet"
