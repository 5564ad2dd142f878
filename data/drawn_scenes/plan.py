"""A plan: the areas and things of a scene before anyone draws it, and the facts its captions may state.

The landmark is at the origin; lengths are in half-widths of the image. Both renderers draw the same plan, so
what is true of the plan is true of both pictures. Relations (next to, around, between, on both sides of, in a
row) do not change when the plan is turned, because a view from above has no up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

NEXT, ROW, AROUND, BOTH = "next to", "in a row next to", "around", "on both sides of"
BETWEEN, ON, ON_ROW, FAR = "between", "on", "in a row on", "far from"
MANY = 7  # as many or more are "many" in captions; six is never drawn, being hard to tell from either
LEAST = {NEXT: 1, ROW: 3, AROUND: 4, BOTH: 2, BETWEEN: 1, ON: 1, ON_ROW: 3}
COUNTS = (1, 2, 3, 4, 5, MANY, MANY + 1)

# Length and width of each thing, in half-widths of the image.
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
    """Some things of one noun and colour; relation is to the landmark, None for the landmark itself."""

    noun: str
    colour: str
    count: int
    relation: str | None = None


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
    """A piece of ground: its outline (K, 2), and the path (P, 2) that its markings or crop rows follow."""

    material: str
    outline: np.ndarray
    path: np.ndarray | None = None
    width: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A plan and its facts; shift (2,) and zoom bring every target into view however the plan is turned."""

    kind: str
    ground: str
    landmark: Group
    group: Group
    extra: Group | None
    clutter: Group | None
    trees: str | None
    areas: tuple[Area, ...]
    things: tuple[Thing, ...]
    shift: np.ndarray
    zoom: float


@dataclass(frozen=True)
class Recipe:
    """What a class of scene is made of: its words, grounds, landmark, and actors with their relations."""

    words: str
    feature: str  # what every such scene shows besides
    grounds: tuple[str, ...]
    landmark: str
    colours: tuple[str, ...]
    actors: dict[str, tuple[str, ...]]
    extras: tuple[str, ...]
    lay: Callable
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
        self.areas.append(Area(material, widened(np.asarray(path, float), width), np.asarray(path, float), width))

    def patch(self, material: str, x0: float, y0: float, x1: float, y1: float, path=None) -> None:
        """Lay an upright rectangle; its crop rows or bays follow the path."""
        outline = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)
        self.areas.append(Area(material, outline, None if path is None else np.asarray(path, float), 0.1))


def widened(path: np.ndarray, width: float) -> np.ndarray:
    """Outline (2P, 2) of a band of some width about a path (P, 2)."""
    along = np.gradient(path, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.hypot(*along.T)[:, None] * width / 2
    return np.concatenate([path + normal, (path - normal)[::-1]])


def inside(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Which points (N, 2) lie in a polygon (K, 2), by the even-odd rule: (N,) of bool."""
    x, y = points[:, 0, None], points[:, 1, None]
    (x0, y0), (x1, y1) = outline.T, np.roll(outline, -1, axis=0).T
    rise = np.where(y1 == y0, 1, y1 - y0)
    crosses = ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / rise + x0)
    return crosses.sum(axis=1) % 2 == 1


def distance(points: np.ndarray, bodies: Sequence[Thing]) -> np.ndarray:
    """Distance (N,) from points (N, 2) to the nearest of some upright or turned boxes, 0 within."""
    gaps = [np.maximum(np.abs(points - (b.x, b.y)) - half(b), 0) for b in bodies]
    return np.min([np.hypot(*gap.T) for gap in gaps], axis=0)


def half(body: Thing) -> np.ndarray:
    """Half extents (2,) of a thing's upright box."""
    turned = abs(np.sin(body.angle)) > 0.7
    return np.array([body.width, body.length] if turned else [body.length, body.width]) / 2
