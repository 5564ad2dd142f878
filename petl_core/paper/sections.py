"""The two sections of study.yaml behind the published tables, for one data set and backbone."""

import contextlib
from typing import Any

from petl_core.errors import ConfigError
from petl_core.runs import study
from petl_core.runs.study import Section

TUNING, TABLES = "paper_tuning", "paper"  # templates in study.yaml


def fill(templates: Any, settings: dict[str, Any]) -> dict[str, dict]:
    """Both sections, as study.yaml would hold them, by new names; the first finds the settings that the second uses.

    Args:
        templates: what study.yaml holds.
        settings: fields and options that replace the templates' own, including ``dataset`` and ``figures``.

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


def foresee(section: dict, name: str) -> Section:
    """A section before it is tuned: its settings are still unknown, but the number and cost of its runs are not."""
    with contextlib.suppress(ConfigError):  # no settings yet, or those of another backbone
        return study.read(section, name)
    return study.read({**section, "tuned": ""}, name)
