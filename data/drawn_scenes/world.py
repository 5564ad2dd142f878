"""Random scenes: choose the facts, place the things, then whatever else fills the ground."""

import numpy as np

from .arrange import new_thing, place_group, place_landmark, room
from .classes import RECIPES
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
    Scene,
    Site,
    Thing,
    distance,
    inside,
)


def imagine(kind: str, rng: np.random.Generator) -> Scene:
    """A random scene of a class (a key of RECIPES)."""
    recipe = RECIPES[kind]
    ground, landmark, group = _choose(recipe, rng)
    site = Site(rng, ground, landmark, float(rng.choice([-1, 1])))
    site.patch(ground, -3, -3, 3, 3, [(-3, 0), (3, 0)])
    bodies = place_landmark(landmark, group)
    site.things += bodies
    site.things += [
        new_thing(group.noun, group.colour, x, y, a, "group", rng)
        for x, y, a in place_group(group, bodies, site.side, rng)
    ]
    recipe.lay(site)
    extra = _add_extra(site, recipe, group, bodies)
    clutter = CLUTTER[kind](site) if kind in CLUTTER else None
    trees = _add_trees(site, recipe)
    shift, zoom = _camera(site)
    areas, things = tuple(site.areas), tuple(site.things)
    return Scene(kind, ground, landmark, group, extra, clutter, trees, areas, things, shift, zoom)


def _pick(rng, options):
    return options[int(rng.integers(len(options)))]


def _choose(recipe, rng):
    ground, colour = _pick(rng, recipe.grounds), _pick(rng, recipe.colours)
    noun = _pick(rng, list(recipe.actors))
    relation = _pick(rng, recipe.actors[noun])
    fitting = [n for n in COUNTS if LEAST[relation] <= n and room(noun, relation, n) <= recipe.span]
    group = Group(noun, _pick(rng, COLOURS[noun]), _pick(rng, fitting), relation)
    return ground, Group(recipe.landmark, colour, 2 if relation == BETWEEN else 1), group


def _clear(site, points, radius, shy=()):
    """Which points (N, 2) keep clear of every thing, and out of areas of the materials shy of."""
    free = np.ones(len(points), bool)
    for thing in site.things:
        if thing.noun not in FLAT:
            free &= distance(points, [thing]) > radius
    for area in site.areas:
        if any(word in area.material for word in shy):
            free &= ~inside(points, area.outline)
    return free


def _afloat(site, points):
    """Which points (N, 2) are on water, the last area drawn being the one that shows."""
    afloat = np.zeros(len(points), bool)
    for area in site.areas:
        afloat = np.where(inside(points, area.outline), "water" in area.material, afloat)
    return afloat


def _add_extra(site, recipe, group, bodies):
    """One or two more things, next to the landmark or far from it; None where there is no room."""
    rng = site.rng
    noun, n = _pick(rng, recipe.extras), int(rng.integers(1, 3))
    colour = _pick(rng, [c for c in COLOURS[noun] if noun != group.noun or c != group.colour])
    radius = max(SIZES[noun]) / 2
    relation = NEXT if rng.random() < 0.35 else FAR
    points = rng.uniform(-0.85, 0.85, (160, 2))
    gap = distance(points, bodies)
    keep = (gap > 0.6) if relation == FAR else (gap > radius) & (gap < radius + 0.12)
    shy = ("rails", "pier", "bridge", "runway") + (() if noun in AFLOAT else ("water",))
    keep &= _clear(site, points, radius + 0.06, shy) & (_afloat(site, points) if noun in AFLOAT else True)
    points = points[keep]
    if len(points) == 0:
        return None
    nearby = np.hypot(*(points - points[0]).T)
    mates = np.flatnonzero((nearby > 2.1 * radius) & (nearby < 4 * radius))
    chosen = [0] if n == 1 or len(mates) == 0 else [0, int(mates[0])]
    angle = rng.uniform(0, 2 * np.pi)
    site.things += [new_thing(noun, colour, *points[i], angle, "extra", rng) for i in chosen]
    return Group(noun, colour, len(chosen), relation)


def _add_houses(site):
    rng, colour = site.rng, _pick(site.rng, COLOURS["house"])
    x, y = np.meshgrid(np.arange(-1.4, 1.41, 0.34), np.arange(-1.4, 1.41, 0.3))
    spots = np.column_stack([x.ravel(), y.ravel()]) + rng.uniform(-0.02, 0.02, (x.size, 2))
    spots = spots[_clear(site, spots, 0.2, ("road",))]
    turn = rng.choice([0.0, np.pi / 2], len(spots), p=[0.8, 0.2])
    site.things += [new_thing("house", colour, *spot, a, "clutter", rng) for spot, a in zip(spots, turn, strict=True)]
    return Group("house", colour, len(spots))


def _add_parked(site):
    """Grey cars in the bays of the lot: busy background, grey being no target's colour."""
    rng = site.rng
    bays = [(x, lot.path[0, 1]) for lot in site.areas if "lot" in lot.material for x in np.arange(-1.13, 1.2, 0.125)]
    spots = np.array(bays)[rng.random(len(bays)) < 0.55]
    spots = spots[_clear(site, spots, 0.14)]
    site.things += [new_thing("car", "grey", *spot, np.pi / 2, "clutter", rng) for spot in spots]
    return Group("car", "grey", len(spots)) if len(spots) >= MANY else None


def _add_trees(site, recipe):
    amount, rng = _pick(site.rng, recipe.trees), site.rng
    if amount is None:
        return None
    forest = recipe.words == "forest"
    wanted = 90 if forest else int(rng.integers(3, 6)) if amount == "a few" else int(rng.integers(16, 26))
    reach = 1.35 if forest or amount == "many" else 0.85
    points = rng.uniform(-reach, reach, (6 * wanted, 2))
    shy = ("water", "road", "runway", "rails", "asphalt", "pier", "bridge", "clay")
    points = points[_clear(site, points, 0.13 if forest else 0.11, shy)]
    spaced, gap = [], 0.13 if forest else 0.16 if amount == "many" else 0.22
    while len(points) and len(spaced) < wanted:
        spaced.append(points[0])
        points = points[np.hypot(*(points - points[0]).T) > gap]
    site.things += [
        Thing("tree", "green", *map(float, p), 0.0, *[float(rng.uniform(0.15, 0.24))] * 2, "tree") for p in spaced
    ]
    return amount if len(spaced) >= (3 if amount == "a few" else 10) else None


def _camera(site):
    """Shift (2,) and zoom that keep targets in the inscribed circle, so that any turn shows them whole."""
    bodies = [t for t in site.things if t.role in ("group", "extra")]
    blocks = [t for t in site.things if t.role == "landmark" and max(t.length, t.width) < 1.2]
    corners = np.array([(t.x, t.y) for t in bodies + blocks])
    reach = np.array([max(t.length, t.width) / 2 if t.role != "landmark" else 0.2 for t in bodies + blocks])
    shift = (corners.min(axis=0) + corners.max(axis=0)) / 2
    radius = (np.hypot(*(corners - shift).T) + reach).max()
    return shift, float(min(site.rng.uniform(0.88, 1.12), 0.95 / radius))


CLUTTER = {"denseresidential": _add_houses, "parking": _add_parked}
