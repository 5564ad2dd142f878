"""Where the landmark and the things of a group are: one arrangement for each relation between them."""

from collections.abc import Sequence

import numpy as np

from .plan import AROUND, BETWEEN, BOTH, FLAT, NEXT, ON, ON_ROW, ROW, SIZES, Group, Thing, half


def new_thing(
    noun: str, colour: str, place: Sequence[float] | np.ndarray, angle: float, role: str, rng: np.random.Generator
) -> Thing:
    """A thing of about the usual size at a place (x, y)."""
    length, width = np.array(SIZES[noun]) * rng.uniform(0.92, 1.08)
    return Thing(noun, colour, float(place[0]), float(place[1]), float(angle), float(length), float(width), role)


def spacing(noun: str) -> float:
    """Distance between neighbours, enough whichever way they head; trains lie side by side."""
    return 0.19 if noun == "train" else 1.12 * max(SIZES[noun])


def room(noun: str, relation: str, n: int) -> float:
    """Length of landmark (or, for trains, width of yard) that n things take up."""
    if noun == "train":
        return n * 0.4
    columns = {ROW: n, ON_ROW: n, ON: n, BOTH: -(-n // 2), AROUND: n / 4, BETWEEN: 3 * -(-n // 3)}
    return columns.get(relation, float(np.ceil(np.sqrt(n)))) * spacing(noun)


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
    """Where the things of a group are.

    Args:
        group: what is placed, and its relation to the landmark.
        bodies: the landmark, one thing or two.
        side: +1 or -1, the side of the landmark that the group keeps to.
        rng: draws what the relation leaves open.

    Returns:
        (count, 3) centre x, y and heading of each thing.
    """
    reach = half(bodies[0])
    if group.noun == "train":
        return _on_tracks(group, reach[1], side, rng)
    if group.relation == BETWEEN and bodies[0].noun in FLAT:
        return _in_lane(group.count, spacing(group.noun))
    return _ARRANGEMENTS[group.relation](group.count, spacing(group.noun), reach, side, rng)


# The arrangements below share their arguments: n things, each in a square cell, next to a landmark that reaches (2,)
# from its centre, on one side of it.


def _heading(rng: np.random.Generator) -> float:
    return float(rng.choice([0.0, np.pi / 2, -np.pi / 2]))


def _grid(n: int, columns: int) -> np.ndarray:
    """Cell centres (n, 2) of a compact block, its rows centred."""
    rows = [min(columns, n - start) for start in range(0, n, columns)]
    return np.array([(i - (k - 1) / 2, j) for j, k in enumerate(rows) for i in range(k)], float)


def _spread(n: int, cell: float, along: float, rng: np.random.Generator) -> np.ndarray:
    """Even places (n,) along a landmark of half-length along, off centre if there is room."""
    spare = max(min(along, 0.7) - n * cell / 2, 0)
    return (np.arange(n) - (n - 1) / 2) * cell + rng.uniform(-spare, spare)


def _beside(cell: float, reach: np.ndarray) -> float:
    """Distance from the landmark's axis of the first things next to it."""
    return reach[1] + 0.06 + cell / 2


def _next(n: int, cell: float, reach: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    spots = _grid(n, int(np.ceil(np.sqrt(n)))) * cell
    stagger = np.where(np.rint(spots[:, 1] / cell) % 2 == 1, 0.3 * cell, 0)
    spots[:, 0] += stagger + (rng.uniform(-0.5, 0.5) * reach[0] if reach[0] < 0.8 else 0)
    spots[:, 1] = side * (_beside(cell, reach) + spots[:, 1])
    return np.column_stack([spots + rng.uniform(-0.02, 0.02, (n, 2)), _heading(rng) + rng.uniform(-0.5, 0.5, n)])


def _row(n: int, cell: float, reach: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    beside = np.full(n, side * _beside(cell, reach))
    return np.column_stack([_spread(n, 1.02 * cell, reach[0], rng), beside, np.full(n, _heading(rng))])


def _both(n: int, cell: float, reach: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    sides = np.where(np.arange(n) % 2, -1, 1) * side
    along = _spread(n - n // 2, cell, reach[0], rng)[np.arange(n) // 2]
    return np.column_stack([along, sides * _beside(cell, reach), np.full(n, _heading(rng))])


def _around(n: int, cell: float, reach: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, n, endpoint=False) + rng.uniform(0, 2 * np.pi)
    x, y = np.cos(turn) * (min(reach[0], 0.55) + 0.1 + cell), np.sin(turn) * (_beside(cell, reach) + 0.12)
    return np.column_stack([x, y, turn + np.pi])


def _between(n: int, cell: float, reach: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    spots = _grid(n, 2) * cell
    spots[:, 1] -= spots[:, 1].mean()
    return np.column_stack([spots + rng.uniform(-0.015, 0.015, (n, 2)), np.full(n, _heading(rng))])


def _in_lane(n: int, cell: float) -> np.ndarray:
    """In a row between two flat landmarks."""
    return np.column_stack([(np.arange(n) - (n - 1) / 2) * cell, np.zeros(n), np.zeros(n)])


def _on(n: int, cell: float, reach: np.ndarray, side: float, rng: np.random.Generator, sway: float = 0.5) -> np.ndarray:
    along = (np.arange(n) - (n - 1) / 2) * min(1.15 * cell, 1.3 * min(reach[0], 0.8) / n)
    across = rng.uniform(-sway, sway, n) * max(reach[1] - 0.08, 0)
    return np.column_stack([along, across, rng.uniform(-0.12, 0.12, n)])


def _on_row(n: int, cell: float, reach: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    return _on(n, cell, reach, side, rng, sway=0.0)


def _on_tracks(group: Group, edge: float, side: float, rng: np.random.Generator) -> np.ndarray:
    """Trains one track apart, all along one edge of the station or half of them along each."""
    k = np.arange(group.count)
    if group.relation == NEXT:
        track, sides = k, np.full(len(k), side)
    else:
        track, sides = k // 2, np.where(k % 2, -1.0, 1.0)
    y = sides * (edge + 0.13 + spacing("train") * track)
    return np.column_stack([rng.uniform(-0.25, 0.25, len(k)), y, np.zeros(len(k))])


_ARRANGEMENTS = {
    NEXT: _next, ROW: _row, BOTH: _both, AROUND: _around, BETWEEN: _between, ON: _on, ON_ROW: _on_row,
}  # fmt: skip
