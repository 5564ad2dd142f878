"""Random scenes: choose the facts, place the things, then fill the rest of the ground."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from .arrange import new_thing, place_group, place_landmark, room
from .classes import RECIPES
from .geometry import box, inside
from .plan import (
    AFLOAT,
    BETWEEN,
    COLOURS,
    COUNTS,
    FAR,
    FLAT,
    LEAST,
    MANY,
    NEXT,
    SIZES,
    Group,
    Recipe,
    Scene,
    Site,
    Thing,
    distance,
)

T = TypeVar("T")


def random_scene(kind: str, rng: np.random.Generator) -> Scene:
    """A random scene of a class, a key of ``RECIPES``."""
    # The facts, and the ground beneath everything.
    recipe = RECIPES[kind]
    ground, landmark, group = _choose(recipe, rng)
    site = Site(rng, ground, landmark, float(rng.choice([-1, 1])))
    site.patch(ground, box(-3, -3, 3, 3), [(-3, 0), (3, 0)])

    # The landmark, the group next to it, and the roads, water or fields around them.
    bodies = place_landmark(landmark, group)
    site.things += bodies
    site.things += [
        new_thing(group.noun, group.colour, (x, y), angle, "group", rng)
        for x, y, angle in place_group(group, bodies, site.side, rng)
    ]
    recipe.lay(site)

    # Everything else.
    extra = _add_extra(site, recipe, group, bodies)
    clutter = CLUTTER[kind](site) if kind in CLUTTER else None
    trees = _add_trees(site, recipe)

    shift, zoom = _frame_targets(site)
    areas, things = tuple(site.areas), tuple(site.things)
    return Scene(kind, ground, landmark, group, extra, clutter, trees, areas, things, shift, zoom)


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _choose(recipe: Recipe, rng: np.random.Generator) -> tuple[str, Group, Group]:
    """Ground, landmark, and a group whose number suits its relation and the room there is."""
    ground, colour = _pick(rng, recipe.grounds), _pick(rng, recipe.colours)
    noun = _pick(rng, list(recipe.actors))
    relation = _pick(rng, recipe.actors[noun])
    fitting = [n for n in COUNTS if LEAST[relation] <= n and room(noun, relation, n) <= recipe.span]
    group = Group(noun, _pick(rng, COLOURS[noun]), _pick(rng, fitting), relation)
    return ground, Group(recipe.landmark, colour, 2 if relation == BETWEEN else 1), group


def _is_clear(site: Site, points: np.ndarray, radius: float, avoid: tuple[str, ...] = ()) -> np.ndarray:
    """Which points (N, 2) have no thing within a radius, and lie in no area whose material has a word to avoid.

    Returns:
        (N,) bool.
    """
    free = np.ones(len(points), bool)
    for thing in site.things:
        if thing.noun not in FLAT:
            free &= distance(points, [thing]) > radius
    for area in site.areas:
        if any(word in area.material for word in avoid):
            free &= ~inside(points, area.outline)
    return free


def _is_on_water(site: Site, points: np.ndarray) -> np.ndarray:
    """Which points (N, 2) are on water, the last area laid being the one that shows: (N,) bool."""
    afloat = np.zeros(len(points), bool)
    for area in site.areas:
        afloat = np.where(inside(points, area.outline), "water" in area.material, afloat)
    return afloat


def _add_extra(site: Site, recipe: Recipe, group: Group, bodies: list[Thing]) -> Group | None:
    """One or two more things, next to the landmark or far from it; None if there is no room."""
    # What they are: not to be mistaken for the group.
    rng = site.rng
    noun, count = _pick(rng, recipe.extras), int(rng.integers(1, 3))
    colour = _pick(rng, [c for c in COLOURS[noun] if noun != group.noun or c != group.colour])
    radius = max(SIZES[noun]) / 2
    relation = NEXT if rng.random() < 0.35 else FAR

    # Places where the relation holds, on free ground of the right kind.
    points = rng.uniform(-0.85, 0.85, (160, 2))
    gap = distance(points, bodies)
    keep = (gap > 0.6) if relation == FAR else (gap > radius) & (gap < radius + 0.12)
    avoid = ("rails", "pier", "bridge", "runway") + (() if noun in AFLOAT else ("water",))
    keep &= _is_clear(site, points, radius + 0.06, avoid)
    if noun in AFLOAT:
        keep &= _is_on_water(site, points)
    points = points[keep]
    if len(points) == 0:
        return None

    # A second one stands close to the first, if there is room.
    to_first = np.hypot(*(points - points[0]).T)
    mates = np.flatnonzero((to_first > 2.1 * radius) & (to_first < 4 * radius))
    chosen = [0] if count == 1 or len(mates) == 0 else [0, int(mates[0])]
    angle = rng.uniform(0, 2 * np.pi)
    site.things += [new_thing(noun, colour, points[i], angle, "extra", rng) for i in chosen]
    return Group(noun, colour, len(chosen), relation)


def _add_houses(site: Site) -> Group:
    """Blocks of houses of one colour, along both axes."""
    rng, colour = site.rng, _pick(site.rng, COLOURS["house"])
    x, y = np.meshgrid(np.arange(-1.4, 1.41, 0.34), np.arange(-1.4, 1.41, 0.3))
    spots = np.column_stack([x.ravel(), y.ravel()]) + rng.uniform(-0.02, 0.02, (x.size, 2))
    spots = spots[_is_clear(site, spots, 0.2, ("road",))]
    angles = rng.choice([0.0, np.pi / 2], len(spots), p=[0.8, 0.2])
    placed = zip(spots, angles, strict=True)
    site.things += [new_thing("house", colour, spot, angle, "clutter", rng) for spot, angle in placed]
    return Group("house", colour, len(spots))


def _add_parked(site: Site) -> Group | None:
    """Grey cars in the bays of the lot: busy background, since no target is grey."""
    rng = site.rng
    paths = [area.path for area in site.areas if "lot" in area.material and area.path is not None]
    bays = [(x, path[0, 1]) for path in paths for x in np.arange(-1.13, 1.2, 0.125)]
    spots = np.array(bays)[rng.random(len(bays)) < 0.55]
    spots = spots[_is_clear(site, spots, 0.14)]
    site.things += [new_thing("car", "grey", spot, np.pi / 2, "clutter", rng) for spot in spots]
    return Group("car", "grey", len(spots)) if len(spots) >= MANY else None


def _add_trees(site: Site, recipe: Recipe) -> str | None:
    """Trees on free ground; "a few" or "many" when there are as many as that says, else None."""
    # How many, how far from the middle, and how far apart.
    amount, rng = _pick(site.rng, recipe.trees), site.rng
    if amount is None:
        return None
    forest = recipe.words == "forest"
    wanted = 90 if forest else int(rng.integers(3, 6)) if amount == "a few" else int(rng.integers(16, 26))
    reach = 1.35 if forest or amount == "many" else 0.85
    gap = 0.13 if forest else 0.16 if amount == "many" else 0.22

    # Candidates on free ground, taken one by one while they keep apart.
    points = rng.uniform(-reach, reach, (6 * wanted, 2))
    avoid = ("water", "road", "runway", "rails", "asphalt", "pier", "bridge", "clay")
    points = points[_is_clear(site, points, 0.13 if forest else 0.11, avoid)]
    spots: list[np.ndarray] = []
    while len(points) and len(spots) < wanted:
        spots.append(points[0])
        points = points[np.hypot(*(points - points[0]).T) > gap]

    for x, y in spots:
        size = float(rng.uniform(0.15, 0.24))
        site.things.append(Thing("tree", "green", float(x), float(y), 0.0, size, size, "tree"))
    return amount if len(spots) >= (3 if amount == "a few" else 10) else None


def _frame_targets(site: Site) -> tuple[np.ndarray, float]:
    """Shift (2,) and zoom that keep all targets in the inscribed circle, so that any turn shows them whole."""
    targets = [t for t in site.things if t.role in ("group", "extra")]
    landmarks = [t for t in site.things if t.role == "landmark" and max(t.length, t.width) < 1.2]
    centres = np.array([(t.x, t.y) for t in targets + landmarks])
    reach = np.array([max(t.length, t.width) / 2 for t in targets] + [0.2] * len(landmarks))
    shift = (centres.min(axis=0) + centres.max(axis=0)) / 2
    radius = (np.hypot(*(centres - shift).T) + reach).max()
    return shift, float(min(site.rng.uniform(0.88, 1.12), 0.95 / radius))


# Busy background, by class of scene.
CLUTTER: dict[str, Callable[[Site], Group | None]] = {"denseresidential": _add_houses, "parking": _add_parked}
