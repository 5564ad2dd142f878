"""The two sections of study.yaml behind the published tables, for one data set and backbone."""

import contextlib
from typing import Any

from petl_core.runs import study
from petl_core.runs.study import Study
from petl_core.validation import ConfigError

TUNING, TABLES = "paper_tuning", "paper"  # templates in study.yaml


def fill(templates: Any, settings: dict[str, Any]) -> dict[str, dict]:
    """Both sections, as study.yaml would hold them, by names of their own; the first makes what the second is tuned by.

    Args:
        templates: what study.yaml holds.
        settings: fields and places that take the place of the templates' own, ``dataset`` and ``figures`` among them.

    Raises:
        ConfigError: a template is missing or wrong, or a setting is.
    """
    for name in (TUNING, TABLES):
        study.read(study.find_section(templates, name), name)
    name, figures = f"{TABLES}_{settings['dataset']}", f"{settings['figures']}/tuning"
    return {
        f"{name}_tuning": {**templates[TUNING], **settings, "figures": figures},
        name: {**templates[TABLES], **settings, "tuned": f"{figures}/tuned.json"},
    }


def foresee(section: dict, name: str) -> Study:
    """A section as it will be, before it is tuned: its settings are unknown, but as many runs will cost as much."""
    with contextlib.suppress(ConfigError):  # no settings yet, or of another backbone
        return study.read(section, name)
    return study.read({**section, "tuned": ""}, name)
