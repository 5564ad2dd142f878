"""CMER (arXiv:2501.10638) by its parts: which of them a run switches on, and the controls of its focus."""

from petl_core.runs.folder import Run

RECONSTRUCTED = "CMER is reconstructed here from its abstract; no code was released."  # ends what is said of its claims
ZERO_SHOT = ("zero_shot",)
FOCUS_ALONE = ("focus",)
RECYCLED = ("focus", "queue")
CONTROLS: dict[tuple[str, ...], str] = {  # attention of the image branch, other than focus
    ("unsuppressed",): "attention, nothing suppressed",
    ("uniform",): "uniform attention",
    ("none",): "no patches",
}
PART_NAMES: dict[tuple[str, ...], str] = {
    ZERO_SHOT: "Zero-shot CLIP",
    **CONTROLS,
    FOCUS_ALONE: "Focus-Adapter",
    RECYCLED: "+ recycled negatives",
    ("focus", "slow_queue"): "+ recycled negatives, slow keys",
    ("focus", "scene_labels"): "+ scene labels",
    ("focus", "queue", "scene_labels"): "+ both",
    ("focus", "slow_queue", "scene_labels"): "+ both, slow keys",
}


def added_parts(run: Run) -> tuple[str, ...]:
    """What a run adds to the Focus-Adapter, or what replaces its attention: a key of ``PART_NAMES``."""
    config = run.config
    if not config.epochs:
        return ZERO_SHOT
    attention = config.method_options.get("attention", "focus")
    if attention != "focus":
        return (attention,)
    parts = [*FOCUS_ALONE]
    if config.queue_size:
        parts.append("slow_queue" if config.queue_keys == "ema" else "queue")
    if config.scene_probability:
        parts.append("scene_labels")
    return tuple(parts)
