"""Where the landmark and the things of a group stand: one arrangement for each relation between them."""

import numpy as np

from .plan import AROUND, BETWEEN, BOTH, FLAT, NEXT, ON, ON_ROW, ROW, SIZES, Group, Thing, half


def new_thing(noun: str, colour: str, x: float, y: float, angle: float, role: str, rng) -> Thing:
    """A thing of about the usual size."""
    length, width = np.array(SIZES[noun]) * rng.uniform(0.92, 1.08)
    return Thing(noun, colour, float(x), float(y), float(angle), float(length), float(width), role)


def spacing(noun: str) -> float:
    """Distance between neighbours, enough whichever way they head; trains lie side by side."""
    return 0.19 if noun == "train" else 1.12 * max(SIZES[noun])


def room(noun: str, relation: str, n: int) -> float:
    """Length of landmark (or, for trains, width of yard) that n things take up."""
    if noun == "train":
        return n * 0.4
    columns = {ROW: n, ON_ROW: n, ON: n, BOTH: -(-n // 2), AROUND: n / 4, BETWEEN: 3 * -(-n // 3)}
    return columns.get(relation, np.ceil(np.sqrt(n))) * spacing(noun)


def place_landmark(landmark: Group, group: Group) -> list[Thing]:
    """One body at the origin, or two with a gap for the group: uprights side by side, flat ones parallel."""
    noun, (length, width) = landmark.noun, SIZES[landmark.noun]
    if landmark.count == 1:
        return [Thing(noun, landmark.colour, 0.0, 0.0, 0.0, length, width, "landmark")]
    if noun in FLAT:
        y = (1.2 * spacing(group.noun) + width) / 2 + 0.04
        return [Thing(noun, landmark.colour, 0.0, s * y, 0.0, length, width, "landmark") for s in (-1, 1)]
    x = ((1 if group.count == 1 else 2) * spacing(group.noun) + width) / 2 + 0.05
    length = min(length, 0.75)
    return [Thing(noun, landmark.colour, s * x, 0.0, np.pi / 2, length, width, "landmark") for s in (-1, 1)]


def place_group(group: Group, bodies: list[Thing], side: float, rng: np.random.Generator) -> np.ndarray:
    """Centre and heading (n, 3) of each thing of a group; side (+1 or -1) is of the landmark."""
    if group.noun == "train":
        return _on_tracks(group, half(bodies[0])[1], side, rng)
    reach = half(bodies[0])
    if group.relation == BETWEEN and bodies[0].noun in FLAT:
        return _in_lane(group.count, spacing(group.noun))
    return _ARRANGE[group.relation](group.count, spacing(group.noun), reach, side, rng)


def _heading(rng):
    return float(rng.choice([0.0, np.pi / 2, -np.pi / 2]))


def _grid(n, columns):
    """Cell centres (n, 2) of a compact block, its rows centred."""
    rows = [min(columns, n - start) for start in range(0, n, columns)]
    return np.array([(i - (k - 1) / 2, j) for j, k in enumerate(rows) for i in range(k)], float)


def _spread(n, cell, along, rng):
    """Even places (n,) along a landmark of half-length along, off centre where there is room."""
    spare = max(min(along, 0.7) - n * cell / 2, 0)
    return (np.arange(n) - (n - 1) / 2) * cell + rng.uniform(-spare, spare)


def _near(cell, reach):
    """Distance from the landmark's axis of the first things beside it."""
    return reach[1] + 0.06 + cell / 2


def _next(n, cell, reach, side, rng):
    spots = _grid(n, int(np.ceil(np.sqrt(n)))) * cell
    stagger = np.where(np.rint(spots[:, 1] / cell) % 2 == 1, 0.3 * cell, 0)
    spots[:, 0] += stagger + (rng.uniform(-0.5, 0.5) * reach[0] if reach[0] < 0.8 else 0)
    spots[:, 1] = side * (_near(cell, reach) + spots[:, 1])
    return np.column_stack([spots + rng.uniform(-0.02, 0.02, (n, 2)), _heading(rng) + rng.uniform(-0.5, 0.5, n)])


def _row(n, cell, reach, side, rng):
    beside = np.full(n, side * _near(cell, reach))
    return np.column_stack([_spread(n, 1.02 * cell, reach[0], rng), beside, np.full(n, _heading(rng))])


def _both(n, cell, reach, side, rng):
    sides = np.where(np.arange(n) % 2, -1, 1) * side
    along = _spread(n - n // 2, cell, reach[0], rng)[np.arange(n) // 2]
    return np.column_stack([along, sides * _near(cell, reach), np.full(n, _heading(rng))])


def _around(n, cell, reach, side, rng):
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False) + rng.uniform(0, 2 * np.pi)
    x, y = np.cos(turn) * (min(reach[0], 0.55) + 0.1 + cell), np.sin(turn) * (_near(cell, reach) + 0.12)
    return np.column_stack([x, y, turn + np.pi])


def _between(n, cell, reach, side, rng):
    spots = _grid(n, 2) * cell
    spots[:, 1] -= spots[:, 1].mean()
    return np.column_stack([spots + rng.uniform(-0.015, 0.015, (n, 2)), np.full(n, _heading(rng))])


def _in_lane(n, cell):
    return np.column_stack([(np.arange(n) - (n - 1) / 2) * cell, np.zeros(n), np.zeros(n)])


def _on(n, cell, reach, side, rng, sway=0.5):
    along = (np.arange(n) - (n - 1) / 2) * min(1.15 * cell, 1.3 * min(reach[0], 0.8) / n)
    across = rng.uniform(-sway, sway, n) * max(reach[1] - 0.08, 0)
    return np.column_stack([along, across, rng.uniform(-0.12, 0.12, n)])


def _on_row(n, cell, reach, side, rng):
    return _on(n, cell, reach, side, rng, sway=0.0)


def _on_tracks(group, edge, side, rng):
    """Trains one track apart, all beside one edge of the station or half of them beside either."""
    k = np.arange(group.count)
    track, sides = (k, np.full(len(k), side)) if group.relation == NEXT else (k // 2, np.where(k % 2, -1, 1))
    y = sides * (edge + 0.13 + spacing("train") * track)
    return np.column_stack([rng.uniform(-0.25, 0.25, len(k)), y, np.zeros(len(k))])


_ARRANGE = {
    NEXT: _next, ROW: _row, BOTH: _both, AROUND: _around, BETWEEN: _between, ON: _on, ON_ROW: _on_row,
}  # fmt: skip
