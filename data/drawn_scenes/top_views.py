"""What each thing looks like from above.

A thing is a list of parts, (outline, tone of the thing's colour or a fixed colour), painted in order. u runs
along its heading, v across it towards the light, both within half a unit. The first part casts the shadow.
"""

import numpy as np

from .brush import Part
from .geometry import box, disc

Parts = list[Part]

GLASS, TYRE, CREAM, LAWN, DECK = (38, 50, 66), (28, 28, 30), (236, 232, 220), (78, 126, 58), (196, 172, 136)


def _mirrored(*points: tuple[float, float]) -> np.ndarray:
    """Outline of a shape that is the same on both sides of its heading, from the points of one side."""
    return np.array(points + tuple((u, -v) for u, v in reversed(points)))


def _flat_roof() -> Parts:
    """Parapet, sunlit edge, surface and plant."""
    return [
        (box(-0.5, -0.5, 0.5, 0.5), 0.7), (box(-0.5, 0.38, 0.5, 0.5), 1.35),
        (box(-0.48, -0.4, 0.48, 0.4), 1.0), (box(-0.34, -0.2, -0.2, 0.12), 0.72),
        (box(-0.34, 0.02, -0.2, 0.14), 1.5), (box(0.1, -0.24, 0.32, -0.06), 0.78),
        (box(0.12, 0.1, 0.2, 0.26), 1.4),
    ]  # fmt: skip


def _gable_roof() -> Parts:
    return [
        (box(-0.5, -0.5, 0.5, 0.5), 0.66), (box(-0.5, 0, 0.5, 0.5), 1.12),
        (box(-0.5, -0.04, 0.5, 0.04), 1.5), (box(0.18, -0.34, 0.3, -0.2), 0.4),
    ]  # fmt: skip


def _hip_roof() -> Parts:
    c = 0.24  # half the length of the ridge
    return [
        (box(-0.5, -0.5, 0.5, 0.5), 0.62), (np.array([(-0.5, 0.5), (0.5, 0.5), (c, 0), (-c, 0)]), 1.18),
        (np.array([(0.5, -0.5), (0.5, 0.5), (c, 0)]), 0.92),
        (np.array([(-0.5, -0.5), (-0.5, 0.5), (-c, 0)]), 0.8), (box(0.05, 0.16, 0.15, 0.3), 0.5),
    ]  # fmt: skip


SPRITES: dict[str, Parts] = {
    "plane": [
        (
            _mirrored(
                (0.5, 0.0), (0.42, 0.05), (0.14, 0.065), (-0.1, 0.5), (-0.2, 0.5), (-0.1, 0.065),
                (-0.36, 0.05), (-0.46, 0.2), (-0.5, 0.2), (-0.48, 0.0),
            ),
            0.94,
        ),
        (np.array([(0.1, 0.07), (-0.1, 0.5), (-0.15, 0.5), (0.0, 0.07)]), 1.4),
        (box(-0.46, -0.05, 0.42, 0.0), 0.72), (box(-0.02, 0.2, 0.1, 0.27), 0.5),
        (box(-0.02, -0.27, 0.1, -0.2), 0.5), (box(0.36, -0.035, 0.43, 0.035), GLASS),
    ],
    "boat": [
        (_mirrored((0.5, 0.0), (0.24, 0.42), (-0.5, 0.36)), 0.9),
        (_mirrored((0.4, 0.0), (0.2, 0.28), (-0.44, 0.24)), 1.3), (box(-0.3, -0.26, 0.06, 0.26), 1.0),
        (box(-0.02, -0.24, 0.1, 0.24), GLASS),
    ],
    "ship": [
        (_mirrored((0.5, 0.0), (0.36, 0.42), (-0.48, 0.42), (-0.5, 0.3)), 0.85),
        (_mirrored((0.44, 0.0), (0.34, 0.3), (-0.46, 0.3)), DECK), (box(-0.02, -0.28, 0.12, 0.28), 1.0),
        (box(0.15, -0.28, 0.28, 0.28), 1.2), (box(-0.2, -0.28, -0.06, 0.28), 0.8),
        (box(-0.44, -0.3, -0.26, 0.3), CREAM), (box(-0.38, -0.14, -0.32, 0.14), 1.0),
    ],
    "car": [
        (_mirrored((0.5, 0.3), (0.42, 0.48), (-0.42, 0.48), (-0.5, 0.36)), 0.96),
        (_mirrored((0.22, 0.38), (-0.32, 0.38)), GLASS), (_mirrored((0.1, 0.36), (-0.22, 0.36)), 1.15),
    ],
    "truck": [
        (box(-0.5, -0.5, 0.24, 0.5), 0.95), (box(-0.5, 0.15, 0.24, 0.5), 1.25),
        (_mirrored((0.5, 0.36), (0.27, 0.42)), CREAM), (_mirrored((0.46, 0.3), (0.39, 0.34)), GLASS),
    ],
    "bus": [
        (box(-0.5, -0.5, 0.5, 0.5), 0.95), (box(-0.48, 0.2, 0.48, 0.5), 1.3),
        (box(0.4, -0.4, 0.48, 0.4), GLASS), (box(-0.3, -0.16, -0.14, 0.16), 0.6),
        (box(0.08, -0.16, 0.24, 0.16), 0.6),
    ],
    "tractor": [
        (_mirrored((0.5, 0.2), (-0.5, 0.2)), 0.95), (box(-0.5, 0.24, -0.06, 0.5), TYRE),
        (box(-0.5, -0.5, -0.06, -0.24), TYRE), (box(0.2, 0.24, 0.42, 0.4), TYRE),
        (box(0.2, -0.4, 0.42, -0.24), TYRE), (box(-0.5, -0.24, 0.5, 0.24), 1.0),
        (box(-0.4, -0.22, -0.06, 0.22), 1.45),
    ],
    "tent": [
        (box(-0.5, -0.5, 0.5, 0.5), 0.7), (np.array([(-0.5, 0.5), (0.5, 0.5), (0, 0)]), 1.35),
        (np.array([(0.5, 0.5), (0.5, -0.5), (0, 0)]), 1.0),
        (np.array([(-0.5, 0.5), (-0.5, -0.5), (0, 0)]), 0.88),
    ],
    "umbrella": [
        (disc(corners=8), 1.0),
        *[(np.array([(0, 0), *disc(corners=8)[[i, i + 1]]]), 1.6) for i in (0, 2, 4, 6)],
        (disc(0.08, 0.08, corners=8), 0.6),
    ],
    "train": [
        (_mirrored((0.5, 0.2), (0.48, 0.5), (-0.5, 0.5)), 0.92), (box(-0.5, 0.15, 0.48, 0.5), 1.3),
        *[(box(u, -0.5, u + 0.012, 0.5), TYRE) for u in (-0.26, 0.0, 0.25)],
        (box(0.45, -0.36, 0.475, 0.36), GLASS),
    ],
    "storage tank": [
        (disc(), 0.62), (disc(0.47, 0.47, 0.0, 0.03), 1.0), (disc(0.36, 0.34, 0.02, 0.1), 1.35),
        (disc(0.24, 0.22, 0.01, 0.02), 1.05), (box(-0.03, -0.5, 0.03, 0.0), 0.6),
    ],
    "house": _hip_roof(), "villa": _hip_roof(), "cabin": _gable_roof(), "barn": _gable_roof(), "terminal": _flat_roof(),
    "school": _flat_roof(), "hotel": _flat_roof(), "shop": _flat_roof(), "station": _gable_roof(),
    "warehouse": [
        (box(-0.5, -0.5, 0.5, 0.5), 0.75),
        *[(box(-0.5 + i / 4, -0.48, -0.37 + i / 4, 0.48), 1.2) for i in range(4)],
        (box(-0.5, 0.4, 0.5, 0.5), 1.4),
    ],
    "rock": [
        (
            np.array(
                [
                    (-0.5, -0.1), (-0.3, 0.4), (0.1, 0.5), (0.46, 0.2), (0.5, -0.2), (0.1, -0.5),
                    (-0.3, -0.42),
                ],
            ),
            0.7,
        ),
        (np.array([(-0.5, -0.1), (-0.3, 0.4), (0.1, 0.5), (0.05, 0.1)]), 1.35),
        (np.array([(0.1, 0.5), (0.46, 0.2), (0.05, 0.1)]), 1.12),
        (np.array([(0.46, 0.2), (0.5, -0.2), (0.05, 0.1)]), 0.9),
    ],
    "stadium": [
        (disc(corners=36), 0.75), (disc(0.48, 0.48, 0, 0.015, 36), 1.2), (disc(0.42, 0.4, corners=36), 0.9),
        (disc(0.36, 0.33, corners=36), 1.15), (disc(0.31, 0.27, corners=36), (168, 84, 62)),
        (disc(0.26, 0.21, corners=28), LAWN), (box(-0.17, -0.15, 0.17, 0.15), (96, 148, 70)),
        (box(-0.004, -0.15, 0.004, 0.15), CREAM), (disc(0.03, 0.045, corners=10), (130, 170, 100)),
    ],
}  # fmt: skip
