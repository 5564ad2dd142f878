"""CMER (arXiv:2501.10638) by its parts: what the runs of a study switch on."""

from petl_core.runs.folder import Run

FOCUS_ALONE = ("focus",)
RECYCLED = ("focus", "queue")
PART_NAMES = {
    ("zero_shot",): "Zero-shot CLIP",
    ("without_focus",): "without focus",
    FOCUS_ALONE: "Focus-Adapter",
    RECYCLED: "+ recycled negatives",
    ("focus", "scene_labels"): "+ scene labels",
    ("focus", "queue", "scene_labels"): "+ both",
}


def added_parts(run: Run) -> tuple[str, ...]:
    """What a run adds to the Focus-Adapter, or takes from it: a key of ``PART_NAMES``."""
    config = run.config
    if not config.epochs:
        return ("zero_shot",)
    if not config.method_options.get("focus", True):
        return ("without_focus",)
    added = {"queue": config.queue_size > 0, "scene_labels": config.scene_probability > 0}
    return ("focus", *(part for part, is_added in added.items() if is_added))
