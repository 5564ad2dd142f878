"""A plan: the areas and things of a scene before it is drawn, and the facts its captions may state.

The landmark is at the origin; lengths are in half-widths of the image. Both renderers draw the same plan, so what is
true of the plan is true of both pictures. Relations (next to, around, between, on both sides of, in a row) do not
change when the plan is turned, because a view from above has no up.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .geometry import band

# Relations of a group of things to the landmark, in the words of the captions.
NEXT, ROW, AROUND, BOTH = "next to", "in a row next to", "around", "on both sides of"
BETWEEN, ON, ON_ROW, FAR = "between", "on", "in a row on", "far from"

MANY = 7  # this many or more are "many" in captions; six, which is hard to tell from five and seven, is never drawn
COUNTS = (1, 2, 3, 4, 5, MANY, MANY + 1)  # how many things a group may have
LEAST = {NEXT: 1, ROW: 3, AROUND: 4, BOTH: 2, BETWEEN: 1, ON: 1, ON_ROW: 3}  # the smallest group that shows a relation

# Length along the heading and width across it of each thing, in half-widths of the image.
SIZES = {
    "plane": (0.32, 0.32), "boat": (0.25, 0.11), "ship": (0.5, 0.15), "car": (0.19, 0.1),
    "truck": (0.27, 0.11), "bus": (0.3, 0.1), "tractor": (0.2, 0.15), "tent": (0.19, 0.17),
    "umbrella": (0.17, 0.17), "train": (1.2, 0.11), "storage tank": (0.25, 0.25), "house": (0.27, 0.21),
    "tree": (0.17, 0.17), "terminal": (1.0, 0.3), "pier": (1.4, 0.15), "school": (0.64, 0.36),
    "villa": (0.46, 0.36), "barn": (0.46, 0.32), "cabin": (0.38, 0.3), "hotel": (0.62, 0.32),
    "rock": (0.5, 0.38), "shop": (0.62, 0.32), "stadium": (0.95, 0.68), "river": (4.4, 0.5),
    "bridge": (1.6, 0.2), "warehouse": (0.6, 0.36), "pond": (0.95, 0.66), "diamond": (0.62, 0.62),
    "station": (0.85, 0.24),
}  # fmt: skip
FLAT = {"pier", "river", "bridge", "pond", "diamond"}  # landmarks that are areas of the ground
AFLOAT = {"boat", "ship"}
# Colours that a small thing may have. Landmarks take theirs from the recipe of their class.
COLOURS = {
    "plane": ("white", "blue", "red", "yellow", "black"),
    "boat": ("white", "red", "yellow", "black", "orange"), "ship": ("red", "black", "white", "orange"),
    "car": ("white", "red", "blue", "yellow", "black"),
    "truck": ("white", "red", "blue", "yellow", "green"), "bus": ("yellow", "red", "white", "blue"),
    "tractor": ("red", "blue", "orange", "white"), "tent": ("red", "blue", "white", "orange", "yellow"),
    "umbrella": ("red", "blue", "white", "orange", "green"),
    "train": ("red", "blue", "yellow", "white", "green"),
    "storage tank": ("white", "red", "blue", "yellow"), "house": ("red", "grey", "brown", "white"),
}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Some things of one noun and colour; the relation is to the landmark, empty for the landmark itself."""

    noun: str
    colour: str
    count: int
    relation: str = ""


@dataclass(frozen=True)
class Thing:
    """One thing of the plan: centre, heading in radians, length along the heading and width across it."""

    noun: str
    colour: str
    x: float
    y: float
    angle: float
    length: float
    width: float
    role: str  # landmark, group, extra, clutter or tree


@dataclass(frozen=True)
class Area:
    """A piece of ground."""

    material: str  # "road", "green grass", "dark green crops": a key of MATERIALS, with or without "dark" or "pale"
    outline: np.ndarray  # (K, 2)
    path: np.ndarray | None = None  # (P, 2) that its markings or crop rows follow
    width: float = 0.0  # of the band about the path, or the distance of crop rows


@dataclass(frozen=True)
class Scene:
    """A plan and its facts."""

    kind: str  # the class of scene, a key of classes.RECIPES
    ground: str  # the material that everything else lies on
    landmark: Group
    group: Group  # the targets that stand in a relation to the landmark
    extra: Group | None  # one or two more targets, next to the landmark or far from it
    clutter: Group | None  # houses or parked cars in the background
    trees: str | None  # "a few", "many" or None
    areas: tuple[Area, ...]  # later ones lie on top
    things: tuple[Thing, ...]
    shift: np.ndarray  # (2,) and zoom bring every target into view however the plan is turned
    zoom: float


@dataclass(frozen=True)
class Recipe:
    """What a class of scene is made of."""

    words: str  # the class in words
    feature: str  # what every such scene also shows
    grounds: tuple[str, ...]  # materials to choose from
    landmark: str  # noun
    colours: tuple[str, ...]  # of the landmark
    actors: dict[str, tuple[str, ...]]  # nouns of the group, each with its possible relations to the landmark
    extras: tuple[str, ...]  # nouns of what stands apart
    lay: Callable[["Site"], None]  # lays the ground about the things
    trees: tuple[str | None, ...] = (None, "a few", "many")
    span: float = 1.75  # room for actors along the landmark


@dataclass
class Site:
    """A plan in the making."""

    rng: np.random.Generator
    ground: str
    landmark: Group
    side: float  # which side of the landmark the group keeps to, +1 or -1
    areas: list[Area] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)

    def strip(self, material: str, path: np.ndarray, width: float) -> None:
        """Lay a band about a path (P, 2)."""
        self.areas.append(Area(material, band(path, width), path, width))

    def patch(self, material: str, outline: np.ndarray, path: Sequence[tuple[float, float]] | None = None) -> None:
        """Lay a polygon (K, 2); its crop rows or bays follow the path (P, 2)."""
        self.areas.append(Area(material, outline.astype(float), None if path is None else np.array(path, float), 0.1))


def distance(points: np.ndarray, bodies: Iterable[Thing]) -> np.ndarray:
    """Distance (N,) from points (N, 2) to the nearest of some things, taken as upright boxes; 0 within one."""
    gaps = [np.maximum(np.abs(points - (b.x, b.y)) - half(b), 0) for b in bodies]
    return np.min([np.hypot(*gap.T) for gap in gaps], axis=0)


def half(body: Thing) -> np.ndarray:
    """Half extents (2,) of a thing's upright box; its heading counts as along the x or along the y axis."""
    turned = abs(np.sin(body.angle)) > 0.7
    return np.array([body.width, body.length] if turned else [body.length, body.width]) / 2
