"""The models to choose from: finished runs, zero-shot CLIP, and any model of open_clip."""

from pathlib import Path
from typing import NamedTuple

from petl_core.errors import ConfigError
from petl_core.evaluation.names import dataset_title, describe
from petl_core.files import resolve
from petl_core.runs.folder import Run, is_finished, open_run

ZERO_SHOT = "Zero-shot CLIP"


class ModelChoice(NamedTuple):
    """A model, and the data set whose test images it searches."""

    title: str  # of the method and its loss
    dataset: str
    backbone: str  # as RunConfig names it
    pretrained: str = ""  # likewise
    run: Run | None = None  # None: zero-shot

    @property
    def row(self) -> tuple[str, str, str, str, str, str]:
        """As a table shows it: method, data set, backbone, learning rate, seed, mR."""
        backbone = Path(self.backbone).name + (f" · {Path(self.pretrained).name}" if self.pretrained else "")
        result = ("", "", "")
        if self.run:
            trained, mr = self.run.config.epochs > 0, self.run.metrics["scores"]["strict"]["mr"]
            rate = f"{self.run.config.learning_rate:g}" if trained else ""
            result = (rate, str(self.run.config.seed) if trained else "", f"{mr:.1f}")
        return (self.title, dataset_title(self.dataset), backbone, *result)

    @property
    def label(self) -> str:
        """In one line."""
        title, dataset, backbone, rate, seed, mr = self.row
        named = {"learning rate": rate, "seed": seed, "mR": mr}
        known = [f"{name} {value}" for name, value in named.items() if value]
        return " · ".join([title, dataset, *(known if self.run and known else [backbone])])


COLUMNS = ("Method", "Data set", "Backbone", "Learning rate", "Seed", "mR")  # of a row


def find_choices(runs_root: str | Path = "runs") -> list[ModelChoice]:
    """Every finished run of a folder, best first by data set, then zero-shot CLIP where there is no run of it.

    Runs of another version, and those whose files are broken, are left out.
    """
    runs = []
    for folder in sorted(resolve(runs_root).glob("*")):
        if is_finished(folder):
            try:
                runs.append(open_run(folder))
            except ConfigError:
                continue
    runs.sort(key=lambda run: (run.config.dataset, -run.metrics["scores"]["strict"]["mr"]))
    choices = [choice_of(run) for run in runs]
    known = {_setting(choice) for choice in choices if choice.run and choice.run.config.method == "zero_shot"}
    missing = dict.fromkeys(_setting(choice) for choice in choices if _setting(choice) not in known)
    return [*choices, *(ModelChoice(ZERO_SHOT, *setting) for setting in missing)]


def choice_of(run: Run) -> ModelChoice:
    """A finished run as a choice."""
    return ModelChoice(describe(run), run.config.dataset, run.config.backbone, run.config.pretrained, run)


def open_clip_choice(name: str, dataset: str) -> ModelChoice:
    """An open_clip model as "name tag", such as "ViT-B-32-quickgelu openai"; or a folder, or a model on a hub.

    Raises:
        ConfigError: no name, or more than a name and a tag.
    """
    words = name.split()
    if not 1 <= len(words) <= 2:
        raise ConfigError('name a model and its weights, as in "ViT-B-32-quickgelu openai"')
    backbone, pretrained = (*words, "")[:2]
    return ModelChoice(ZERO_SHOT, dataset, backbone, pretrained)


def _setting(choice: ModelChoice) -> tuple[str, str, str]:
    return choice.dataset, choice.backbone, choice.pretrained
