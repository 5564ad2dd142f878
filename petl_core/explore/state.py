"""What the explorer knows, without widgets: models to choose from, an open one, and what a question finds there."""

import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets
import numpy as np
import pandas as pd
import torch
import traitlets
from PIL import Image

from petl_core import adapters, backbone, tables
from petl_core.adapters.focus import FocusAdapter, focus_maps
from petl_core.config import RunConfig
from petl_core.data import caption_key, default_data, scene_labels
from petl_core.data.images import read_image
from petl_core.errors import ConfigError, DataError
from petl_core.inputs import embed_captions
from petl_core.runs.archive import Run, find_runs
from petl_core.runs.run import check, find_device, load_model
from petl_core.search.gallery import Gallery, Hit

LISTED = 5_000  # answers to a question, at most
CAPTIONS = 10  # listed per image
ON_MAP = 2_000  # images, at most; of more, a random sample


# Models to choose from.


class Choice(NamedTuple):
    """A model, and the data set whose test images it searches."""

    config: RunConfig
    run: Run | None = None  # None: zero-shot CLIP

    @property
    def title(self) -> str:
        return tables.name(self.config, self.run.title if self.run else "")

    @property
    def backbone(self) -> str:
        return " · ".join(Path(name).name for name in (self.config.backbone, self.config.pretrained) if name)


def find_choices(runs_root: str | Path = "runs") -> list[Choice]:
    """Every run of ``runs_root`` and the archive whose adapter is there, and zero-shot CLIP on the same; no ranking.

    Without any run, zero-shot CLIP on the default data set.
    """
    runs = [run for run in find_runs(runs_root) if run.adapter or run.config.method == "zero_shot"]
    choices = {run.hash: Choice(run.config, run) for run in runs}
    for config in [run.config.zero_shot() for run in runs] or [RunConfig().zero_shot()]:
        choices.setdefault(config.hash, Choice(config))
    return sorted(choices.values(), key=lambda choice: (choice.config.dataset, choice.title, choice.config.seed))


def place_of(choices: Sequence[Choice], run: str = "") -> int:
    """Where the run of that name or folder is; of "", an MRS-Adapter on drawn scenes, which everybody has, or 0."""
    hashes = [choice.config.hash for choice in choices]
    if run and Path(run).name not in hashes:
        raise ConfigError(f"run {run!r} is not finished, or its adapter was not kept; leave it empty to choose one")
    drawn = [choice.config.method == "mrs" and choice.config.dataset in default_data.DRAWN for choice in choices]
    return hashes.index(Path(run).name) if run else drawn.index(True) if any(drawn) else 0


def open_clip_choice(name: str, dataset: str) -> Choice:
    """An open_clip model as "name tag", such as "ViT-B-32-quickgelu openai"; or a folder, or a model on a hub.

    Raises:
        ConfigError: no name, more than a name and a tag, or a model whose weights would be random.
    """
    words = name.split()
    if not 1 <= len(words) <= 2:
        raise ConfigError('name a model and its weights, as in "ViT-B-32-quickgelu openai"')
    fields = dict(zip(("backbone", "pretrained"), words, strict=False))
    config = RunConfig(method="zero_shot", epochs=0, dataset=dataset, **fields)
    check(config)
    return Choice(config)


def choice_table(choices: Sequence[Choice]) -> pd.DataFrame:
    """One row a choice, and no two alike: "Settings" has all that differs among rows that agree in what precedes it."""
    rows = [(choice.title, Path(choice.config.dataset).stem, choice.backbone) for choice in choices]
    fields = [_fields(choice.config) for choice in choices]
    settings = []
    for row, own in zip(rows, fields, strict=True):
        alike = [other for other, of in zip(fields, rows, strict=True) if of == row]
        differing = [key for key in own if any(other.get(key) != own[key] for other in alike)]
        settings.append(", ".join(f"{key.replace('_', ' ')} {own[key]}" for key in differing))
    table = pd.DataFrame(rows, columns=["Method", "Data set", "Backbone"])
    table["Settings"] = settings
    scores = [choice.run.metrics["scores"]["strict"]["mr"] if choice.run else None for choice in choices]
    table["test mR, one seed"] = ["" if score is None else f"{score:.1f}" for score in scores]
    return table


def choice_labels(choices: Sequence[Choice]) -> list[str]:
    """The rows of :func:`choice_table` in one line each."""
    table = choice_table(choices).rename(columns={"test mR, one seed": "test mR"})
    table["test mR"] = [f"test mR {mr}" if mr else "" for mr in table["test mR"]]
    return [" · ".join(filter(None, row)) for row in table.itertuples(index=False)]


def _fields(config: RunConfig) -> dict[str, Any]:
    fields = {**dict(config), **config.method_options}
    return {key: value for key, value in fields.items() if key != "method_options"}


# Questions and answers.


class Question(NamedTuple):
    """A sentence, or a picture: one of those that are searched, or one from elsewhere."""

    text: str = ""
    picture: Image.Image | None = None
    hit: Hit | None = None
    name: str = ""  # of a picture from elsewhere

    @property
    def title(self) -> str:
        return f"“{self.text}”" if self.text else f"images like {self.hit.path.name if self.hit else self.name}"


class Answer(NamedTuple):
    """An image that a question finds."""

    hit: Hit
    rank: int  # from 1
    kind: str = "other"  # how it relates to the question: "own", "same scene" or "other"


class Answers(NamedTuple):
    """What a question finds."""

    question: Question
    images: list[Answer]  # best first
    captions: list[tuple[str, float, bool]]  # of a picture, best first: text, cosine, whether it is the image's own
    scene: str | None  # of the question, if it is known


def key_of(hit: Hit) -> tuple:
    """What identifies a hit: its file and window."""
    return hit.path, hit.window


def read_upload(name: str, content: bytes) -> Question:
    """A question by an uploaded file; a DataError says why it cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"upload{Path(name).suffix}")
        path.write_bytes(content)
        try:
            return Question(picture=read_image(path), name=name)
        except DataError as error:
            raise DataError(str(error).replace(str(path), name)) from error


def scene_in(text: str, scenes: Collection[str]) -> str | None:
    """The scene that a text names, the longest if there are several; None if it names none.

    >>> scene_in("a dense residential area", ["residential", "dense residential", "pond"])
    'dense residential'
    """
    named = [scene for scene in scenes if re.search(rf"\b{re.escape(scene.lower())}s?\b", text.lower())]
    return max(named, key=len, default=None)


@dataclass(frozen=True, eq=False)
class Opened:
    """A model with the images and captions it searches."""

    choice: Choice
    gallery: Gallery
    texts: list[str]  # distinct captions; none of a folder of one's own
    text_embeddings: np.ndarray  # (texts, d)
    scenes: list[str]  # that occur among the images, sorted

    def hit(self, row: int) -> Hit:
        """The image of an embedding, without a score."""
        return self.gallery.hits_of(row, float("nan"))[0]

    def picture(self, question: Question) -> Image.Image:
        """What a question by image shows."""
        return question.picture or self.gallery.picture(question.hit)

    def ask(self, question: Question) -> Answers:
        """What a question finds.

        Raises:
            ConfigError: an empty sentence.
            DataError: the file of an image cannot be read.
        """
        captions: list[tuple[str, float, bool]] = []
        own, scene = set(), None  # the images that the question belongs to, and its scene, where they are known
        if question.hit or question.picture:
            model = self.gallery.model
            with torch.no_grad():
                query = model.encode_image(self._input(question), normalize=True)[0].cpu().numpy()
            hits = self.gallery.nearest_to(query, LISTED)
            own_captions: set[str] = set()
            if question.hit:
                own, scene = {key_of(question.hit)}, question.hit.scene
                own_captions = set(map(caption_key, question.hit.captions))
            scores = self.text_embeddings @ query
            for row in np.argsort(-scores, kind="stable")[:CAPTIONS]:
                text = self.texts[row]
                captions.append((text, float(scores[row]), caption_key(text) in own_captions))
        else:
            hits, key = self.gallery.search_text(question.text, LISTED), caption_key(question.text)
            of_caption = [hit for hit in hits if key in map(caption_key, hit.captions)]
            own = {key_of(hit) for hit in of_caption}
            scenes = {hit.scene for hit in of_caption} or {scene_in(key, self.scenes)}
            scene = scenes.pop() if len(scenes) == 1 else None
        images = []
        for rank, hit in enumerate(hits, start=1):
            alike = "same scene" if scene and hit.scene == scene else "other"
            images.append(Answer(hit, rank, "own" if key_of(hit) in own else alike))
        return Answers(question, images, captions, scene)

    def focus(self, question: Question) -> np.ndarray:
        """How far each patch of a question's image passes each focus layer: (layers, height, width) in 0..1.

        No layers for a model other than a Focus-Adapter.
        """
        if not isinstance(self.gallery.model.method, FocusAdapter):
            return np.empty((0, 0, 0))
        return focus_maps(self.gallery.model, self._input(question))[0].detach().cpu().numpy()

    @cached_property
    def map(self) -> tuple[list[Hit], np.ndarray]:
        """P images and their places (P, 2) as UMAP arranges them, outlying clusters drawn near; of many, a sample.

        Each axis is the asinh of UMAP's coordinate over its interquartile range: about linear where most images are.
        """
        rows = np.arange(len(self.gallery.embeddings))
        if len(rows) > ON_MAP:
            rows = np.sort(np.random.default_rng(0).permutation(rows)[:ON_MAP])
        hits = [self.hit(int(row)) for row in rows]
        if len(rows) < 4:  # too few for UMAP: in a row
            return hits, np.column_stack([rows, np.zeros_like(rows)]).astype(float)
        points = project(np.asarray(self.gallery.embeddings)[rows])
        low, middle, high = np.percentile(points, (25, 50, 75), axis=0)
        return hits, np.arcsinh((points - middle) / np.maximum(high - low, 1e-9))

    def _input(self, question: Question) -> torch.Tensor:
        model = self.gallery.model
        return model.backbone.preprocess(self.picture(question))[None].to(model.device)


def project(points: np.ndarray) -> np.ndarray:
    """(P, d) -> (P, 2) by UMAP, by cosine, the same for the same points."""
    from umap import UMAP  # slow to import

    # A min_dist of 0.1, the default, piles the images of a scene into a dot.
    look = {"min_dist": 0.8, "metric": "cosine", "init": "pca", "random_state": 0, "n_jobs": 1}
    return UMAP(n_neighbors=min(15, len(points) - 1), **look).fit_transform(points)


def open_choice(
    choice: Choice,
    folder: str = "",
    data_root: str = "data",
    runs_root: str = "runs",
    device: str = "auto",
    progress: bool = True,
) -> Opened:
    """Load a model and encode what it searches: the images under ``folder``, or else its data set's test images.

    Raises:
        ConfigError: no such model, or no images in the folder.
        DataError: the data set is missing or broken.
    """
    if choice.run:
        model = load_model(choice.run, device)
    else:
        frozen = backbone.load(choice.config.backbone, choice.config.pretrained, device=find_device(device))
        model = adapters.attach(frozen, "zero_shot").eval()
    if folder:
        gallery = Gallery.of_folder(folder, model, f"{runs_root}/search", progress=progress)
        return Opened(choice, gallery, [], np.empty((0, gallery.embeddings.shape[1]), np.float32), [])
    split = default_data.load_or_draw(choice.config.dataset, data_root, progress).test
    texts = list({caption_key(caption): caption for caption in split.captions}.values())
    scenes = scene_labels.scene_classes(split.scenes)
    return Opened(choice, Gallery.of_split(split, model, progress), texts, embed_captions(model, texts), scenes)


# What all views share.


class Session(traitlets.HasTraits):
    """A model and the last question to it; views observe its traits. Arguments are those of :func:`open_choice`."""

    choices: traitlets.List = traitlets.List(help="of Choice")
    opened = traitlets.Any(allow_none=True, help="an Opened, or None before the first")
    answers = traitlets.Any(allow_none=True, help="Answers of the opened model, or None before the first question")
    message = traitlets.Unicode(help="what went wrong last, in one sentence; empty if nothing did")

    def __init__(self, choices: Sequence[Choice], **places: Any):
        super().__init__(choices=list(choices))
        self.places = places
        self.cache: dict[str, Opened] = {}  # by the hash of their configurations
        self.bars = ipywidgets.Output()  # for progress bars while a model is opened

    def load(self, choice: Choice) -> Opened:
        """A model that is opened once."""
        if choice.config.hash not in self.cache:
            failure = None
            with self.bars:  # an Output keeps errors to itself
                try:
                    self.cache[choice.config.hash] = open_choice(choice, **self.places)
                except Exception as error:
                    failure = error
            self.bars.clear_output()
            if failure:
                raise failure
        return self.cache[choice.config.hash]

    def open(self, choice: Choice) -> None:
        """Open a model, and ask it the last question again."""
        with self.reporting_errors():
            opened = self.load(choice)
            answers = opened.ask(self.answers.question) if self.answers else None
            with self.hold_trait_notifications():  # no view sees one model with the answers of another
                self.opened, self.answers = opened, answers

    def ask(self, question: Question) -> None:
        """Ask the opened model."""
        with self.reporting_errors():
            if self.opened is None:
                raise ConfigError("no model is open; choose one in the table")
            self.answers = self.opened.ask(question)

    @contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Any error within becomes the message: widgets show no traceback."""
        self.message = ""
        try:
            yield
        except (ConfigError, DataError) as error:
            self.message = str(error)
        except Exception as error:  # of open_clip, the hub, a disk, a GPU
            self.message = f"{type(error).__name__}: {error}".splitlines()[0]
