"""Outlines as arrays of points, and which points lie inside one."""

import numpy as np


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Outline (4, 2) of a rectangle."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def disc(radius_x: float = 0.5, radius_y: float = 0.5, x: float = 0.0, y: float = 0.0, corners: int = 16) -> np.ndarray:
    """Outline (corners, 2) of an ellipse about (x, y)."""
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.column_stack([x + radius_x * np.cos(turn), y + radius_y * np.sin(turn)])


def band(path: np.ndarray, width: float) -> np.ndarray:
    """Outline (2P, 2) of a band of some width about a path (P, 2)."""
    along = np.gradient(path, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.hypot(*along.T)[:, None] * width / 2
    return np.concatenate([path + normal, (path - normal)[::-1]])


def inside(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Which points (N, 2) lie in a polygon (K, 2), by the even-odd rule.

    Returns:
        (N,) bool.
    """
    x, y = points[:, 0, None], points[:, 1, None]
    (x0, y0), (x1, y1) = outline.T, np.roll(outline, -1, axis=0).T
    rise = np.where(y1 == y0, 1, y1 - y0)
    crosses = ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / rise + x0)
    return crosses.sum(axis=1) % 2 == 1
