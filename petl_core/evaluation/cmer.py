"""CMER's parts, as the runs of a study switch them on."""

from petl_core.runs.experiment import Run

_ADDED = {
    (False, False): "Focus-Adapter",
    (True, False): "+ recycled negatives",
    (False, True): "+ scene labels",
    (True, True): "+ both",
}


def part(run: Run) -> str:
    """What a run adds to the Focus-Adapter (arXiv:2501.10638), or takes from it."""
    config = run.config
    if not config.epochs:
        return "Zero-shot CLIP"
    if not config.method_options.get("focus", True):
        return "without focus"
    return _ADDED[config.queue_size > 0, config.scene_probability > 0]
