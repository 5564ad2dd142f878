"""A model with the images and captions it searches, and what a question finds there."""

import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from petl_core.adapters.focus import FocusAdapter, focus_maps
from petl_core.data import DataError, caption_key, default_data, read_image, scene_labels
from petl_core.data.images import Window
from petl_core.evaluation.embedding_space import project_umap
from petl_core.explore.choices import ModelChoice
from petl_core.runs import experiment
from petl_core.search import models
from petl_core.search.gallery import Captions, Gallery, Hit

LISTED = 5_000  # answers to a question, at most
CAPTIONS = 10  # listed per image
ON_MAP = 2_000  # images, at most; of more, a random sample
FEWEST_FOR_UMAP = 3  # fewer are shown in a row

HitKey = tuple[Path, Window | None]  # identifies a hit


@dataclass(frozen=True)
class ExploreSettings:
    """What is searched, and where things are."""

    folder: str = ""  # of your own images; empty: the test images of the model's data set
    data_root: str = "data"
    runs_root: str = "runs"
    device: str = "auto"
    progress: bool = True  # show bars


class Question(NamedTuple):
    """A sentence, or a picture: one of those that are searched, or one from elsewhere."""

    text: str = ""
    picture: Image.Image | None = None
    hit: Hit | None = None
    name: str = ""  # of a picture from elsewhere

    @property
    def title(self) -> str:
        """In words."""
        return f"“{self.text}”" if self.text else f"images like {self.hit.path.name if self.hit else self.name}"


class Answer(NamedTuple):
    """An image that a question finds."""

    hit: Hit
    rank: int  # from 1
    kind: str  # how it relates to the question: "own", "same scene" or "other"


class RankedCaption(NamedTuple):
    """A caption that an image finds."""

    text: str
    score: float
    own: bool


@dataclass(frozen=True, eq=False)
class Answers:
    """What a question finds.

    Attributes:
        question: that was asked.
        images: best first.
        captions: of a picture, best first; none for a sentence.
        scene: of the question, if it is known.
    """

    question: Question
    images: list[Answer]
    captions: list[RankedCaption]
    scene: str | None

    @cached_property
    def rank_of(self) -> dict[HitKey, int]:
        """The rank, from 1, of every image in the answers."""
        return {hit_key(answer.hit): answer.rank for answer in self.images}


class EmbeddingMap(NamedTuple):
    """P images on a plane."""

    hits: list[Hit]  # (P,) without scores
    points: np.ndarray  # (P, 2)


@dataclass(frozen=True, eq=False)
class Opened:
    """A model with the images and captions it searches."""

    choice: ModelChoice
    gallery: Gallery
    captions: Captions
    scenes: tuple[str, ...] = ()  # that occur among the images, sorted

    def hit(self, row: int) -> Hit:
        """The image of an embedding, without a score."""
        return self.gallery.hits_of(row, float("nan"))[0]

    @property
    def has_focus(self) -> bool:
        """Whether the model can show where it looks."""
        return isinstance(self.gallery.model.method, FocusAdapter)

    def ask(self, question: Question) -> Answers:
        """What a question finds.

        Raises:
            ConfigError: an empty sentence.
            DataError: the file of an image cannot be read.
        """
        if question.text or not (question.hit or question.picture):
            hits, captions = self.gallery.search_text(question.text, LISTED), []
        else:
            embedding = models.embed_picture(self.gallery.model, self.picture(question))
            hits = self.gallery.nearest_to(embedding, LISTED)
            keys = {caption_key(caption) for caption in question.hit.captions} if question.hit else set()
            captions = [
                RankedCaption(text, score, caption_key(text) in keys)
                for text, score in (self.captions.nearest_to(embedding, CAPTIONS) if self.captions.texts else ())
            ]
        own, scene = self._own(question, hits)
        images = [Answer(hit, rank, _kind(hit, own, scene)) for rank, hit in enumerate(hits, start=1)]
        return Answers(question, images, captions, scene)

    def picture(self, question: Question) -> Image.Image:
        """What a question by image shows."""
        if question.picture:
            return question.picture
        assert question.hit
        return self.gallery.picture(question.hit)

    def focus(self, picture: Image.Image) -> np.ndarray:
        """How far each patch passes each focus layer: (layers, height, width) in 0..1.

        Raises:
            ConfigError: the model has no focus.
        """
        model = self.gallery.model
        inputs = models.as_input(model, picture)[None].to(model.device)
        return focus_maps(model, inputs)[0].detach().cpu().numpy()

    @cached_property
    def map(self) -> EmbeddingMap:
        """The images as UMAP arranges them; of many, a random sample."""
        rows = np.arange(len(self.gallery.embeddings))
        if len(rows) > ON_MAP:
            rows = np.sort(np.random.default_rng(0).permutation(rows)[:ON_MAP])
        hits = [self.hit(int(row)) for row in rows]
        if len(rows) < FEWEST_FOR_UMAP:
            return EmbeddingMap(hits, np.column_stack([rows, np.zeros_like(rows)]))
        points = project_umap(np.asarray(self.gallery.embeddings)[rows], neighbours=15)
        return EmbeddingMap(hits, points)

    def _own(self, question: Question, hits: list[Hit]) -> tuple[set[HitKey], str | None]:
        """The images that a question belongs to, and its scene, if they are known."""
        if question.hit:
            return {hit_key(question.hit)}, question.hit.scene
        key = caption_key(question.text)
        own = [hit for hit in hits if key and any(caption_key(caption) == key for caption in hit.captions)]
        scenes = {hit.scene for hit in own} if own else {scene_in(key, self.scenes)}
        return {hit_key(hit) for hit in own}, scenes.pop() if len(scenes) == 1 else None


def open_choice(choice: ModelChoice, settings: ExploreSettings) -> Opened:
    """Load a model and encode what it searches, showing progress bars.

    Raises:
        ConfigError: no such model, or no images in the folder.
        DataError: the data set is missing or broken.
    """
    if choice.run:
        model = experiment.load_model(choice.run, settings.data_root, settings.device)
    else:
        places = (settings.runs_root, settings.data_root, settings.device)
        model = models.zero_shot(choice.backbone, choice.pretrained, *places)
    if settings.folder:
        gallery = Gallery.of_folder(settings.folder, model, f"{settings.runs_root}/search", progress=settings.progress)
        return Opened(choice, gallery, Captions((), np.empty((0, 0), dtype=np.float32)))
    split = default_data.load_or_draw(choice.dataset, settings.data_root).test
    gallery = Gallery.of_split(split, model, settings.progress)
    scenes = tuple(scene_labels.scene_classes(split.scenes))
    return Opened(choice, gallery, Captions.of(split.captions, model, settings.progress), scenes)


def read_upload(name: str, content: bytes) -> Question:
    """A question by an uploaded file.

    Raises:
        DataError: it cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"upload{Path(name).suffix}")
        path.write_bytes(content)
        try:
            return Question(picture=read_image(path), name=name)
        except DataError as error:
            raise DataError(f"{name} cannot be read as an image; choose a JPEG, PNG or TIFF") from error


def scene_in(text: str, scenes: Collection[str]) -> str | None:
    """The scene that a text names, the longest if there are several; None if it names none.

    >>> scene_in("a dense residential area", ["residential", "dense residential", "pond"])
    'dense residential'
    """
    named = [scene for scene in scenes if re.search(rf"\b{re.escape(scene.lower())}s?\b", text.lower())]
    return max(named, key=len, default=None)


def rank_change(before: Answers, after: Answer) -> int | None:
    """How many ranks an image rose (above 0) or fell from one model's answers to another's; None if it is new."""
    rank = before.rank_of.get(hit_key(after.hit))
    return None if rank is None else rank - after.rank


def hit_key(hit: Hit) -> HitKey:
    """What identifies a hit: its file and window."""
    return hit.path, hit.window


def _kind(hit: Hit, own: set[HitKey], scene: str | None) -> str:
    if hit_key(hit) in own:
        return "own"
    return "same scene" if scene and hit.scene == scene else "other"
