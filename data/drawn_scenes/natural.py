"""The natural renderer: the same plan as a bright picture from the side, under a sky, in another palette."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from .brush import Box, Brush, Materials, shade
from .geometry import disc
from .plan import FLAT, Scene, Thing
from .side_views import SPRITES

SAMPLES = 3  # canvas pixels along each side of an output pixel
# Heights in the picture of the plan's near and far edge and of the hills, 0 being the top.
NEAR, FAR, SKYLINE = 0.97, 0.4, 0.24
NARROWING, BREADTH = 0.45, 0.58  # how much farther the far edge is; width of the plan's half in the picture
PAINT = {
    "white": (250, 250, 252), "grey": (160, 166, 178), "black": (24, 24, 32), "red": (228, 40, 48),
    "blue": (36, 98, 226), "yellow": (252, 212, 32), "orange": (248, 136, 28), "green": (38, 168, 78),
    "brown": (146, 92, 48),
}  # fmt: skip
MATERIALS: Materials = {
    "green grass": ((98, 178, 72), (136, 208, 96)), "dry grass": ((200, 186, 104), (226, 212, 138)),
    "mown grass": ((126, 204, 90), (150, 222, 112)), "bare soil": ((176, 130, 92), (204, 160, 122)),
    "grey concrete": ((176, 180, 186), (202, 206, 210)), "yellow sand": ((236, 208, 138), (250, 228, 168)),
    "white sand": ((236, 230, 214), (252, 248, 238)), "red sand": ((212, 120, 78), (232, 150, 106)),
    "green crops": ((94, 168, 60), (134, 200, 84)), "yellow crops": ((228, 196, 76), (246, 220, 112)),
    "brown crops": ((150, 108, 72), (180, 138, 100)), "blue water": ((62, 142, 214), (110, 182, 236)),
    "green water": ((60, 176, 150), (108, 206, 178)), "brown water": ((150, 112, 66), (180, 142, 92)),
    "road": ((96, 98, 110), (118, 120, 132)), "runway": ((92, 94, 106), (110, 112, 124)),
    "asphalt lot": ((112, 114, 126), (134, 136, 148)), "track": ((206, 178, 132), (226, 202, 160)),
    "foam": ((236, 246, 250), (255, 255, 255)), "rails": ((150, 136, 122), (178, 164, 150)),
    "brown pier": ((150, 104, 62), (180, 132, 86)), "grey pier": ((158, 162, 170), (186, 190, 198)),
    "white pier": ((240, 240, 240), (255, 255, 255)), "white bridge": ((240, 240, 240), (255, 255, 255)),
    "grey bridge": ((150, 154, 164), (178, 182, 192)), "red bridge": ((214, 44, 48), (236, 78, 76)),
    "brown bridge": ((140, 92, 52), (168, 118, 74)), "brown clay": ((176, 118, 70), (200, 146, 96)),
    "red clay": ((214, 76, 56), (234, 104, 80)), "grey clay": ((160, 164, 170), (188, 192, 198)),
}  # fmt: skip
TRUNK = (124, 84, 52)
LEAVES = ((40, 122, 62), (64, 150, 60), (90, 164, 54))
SHADOW = disc(0.54, 0.11, 0.04, 0.0)  # beneath a thing one unit wide

# Plan points (N, 2) -> canvas pixels (N, 2), and how large things are drawn there (N,).
Perspective = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Stance(NamedTuple):
    """Where a thing stands in the picture, and how large; all in canvas pixels."""

    foot: np.ndarray  # (2,)
    width: float  # as seen: of its long side, or of its gable
    length: float


def draw(scene: Scene, size: int, rng: np.random.Generator) -> tuple[Image.Image, list[tuple[Thing, Box]]]:
    """Draw a scene from the side.

    Args:
        scene: the plan.
        size: width and height of the picture in pixels.
        rng: draws textures, the sky, and which way things face.

    Returns:
        The picture, and each target with its box in pixels of that picture. Something may be in front of a target.
    """
    # The camera.
    pixels = size * SAMPLES
    mirror = _towards_viewer(scene, rng)

    def place(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, away = ((points - scene.shift) * mirror * scene.zoom).T
        away = (away + 1) / 2
        depth = 1 + NARROWING * away
        height = NEAR + ((1 + NARROWING) * FAR - NEAR) * away
        return np.array([0.5 + BREADTH * x / depth, height / depth]).T * pixels, scene.zoom / depth

    # Ground and sky.
    brush = Brush(pixels, lambda points: place(points)[0], MATERIALS, rng)
    for area in scene.areas:
        brush.ground(area)
    _draw_sky(brush, rng)

    # All shadows, then the things that cast them, the farthest first.
    things = sorted((t for t in scene.things if t.noun not in FLAT), key=lambda t: -t.y * mirror[1])
    things = [t for t in things if not _is_in_the_way(t, scene, mirror)]
    stances = _stances(things, place, pixels)
    for stance in stances:
        brush.cast(stance.foot + SHADOW * stance.width)
    brush.drop_shadows(0.35)
    boxes = []
    for thing, stance in zip(things, stances, strict=True):
        if thing.noun == "tree":
            _draw_tree(brush, stance, rng)
            continue
        box = _draw_thing(brush, thing, stance, rng)
        if thing.role in ("group", "extra"):
            boxes.append((thing, tuple(edge / SAMPLES for edge in box)))

    return _expose(brush.image.reduce(SAMPLES), rng), boxes


def _towards_viewer(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Signs (2,) that turn the plan so that the group stands in front of its landmark."""
    front = np.mean([t.y for t in scene.things if t.role == "group"]) < 0.02
    return np.array([rng.choice([-1.0, 1.0]), 1.0 if front else -1.0])


def _is_in_the_way(thing: Thing, scene: Scene, mirror: np.ndarray) -> bool:
    """Whether a tree or house would stand in front of a target, or rise above the hills."""
    if thing.role not in ("tree", "clutter"):
        return False
    if ((thing.y - scene.shift[1]) * mirror[1]) * scene.zoom > 1.1:
        return True
    targets = [t for t in scene.things if t.role in ("group", "extra")]
    behind = [(t.y - thing.y) * mirror[1] for t in targets if abs(t.x - thing.x) < 0.22]
    return any(0 < gap < 0.45 for gap in behind)


def _stances(things: list[Thing], place: Perspective, pixels: int) -> list[Stance]:
    turned = [t.role == "landmark" and abs(np.sin(t.angle)) > 0.7 for t in things]  # their gable to the viewer
    feet, shrink = place(np.array([(t.x, t.y) for t in things]))
    widths = [t.width if gable else t.length for t, gable in zip(things, turned, strict=True)]
    extents = np.array([widths, [t.length for t in things]]) * shrink * pixels * BREADTH  # (2, things)
    return [Stance(*stance) for stance in zip(feet, *extents.tolist(), strict=True)]


def _draw_sky(brush: Brush, rng: np.random.Generator) -> None:
    # A gradient down to the skyline.
    pixels, top = brush.pixels, int(SKYLINE * brush.pixels)
    zenith, horizon = np.array((92, 168, 240)) + rng.integers(-24, 25, 3), np.array((214, 236, 252))
    gradient = np.linspace(0, 1, top)[:, None] ** 0.8 * (horizon - zenith) + zenith
    brush.image.paste(Image.fromarray(gradient.clip(0, 255).astype(np.uint8)[:, None]).resize((pixels, top)), (0, 0))

    # A cloud.
    x, y = rng.uniform(0.1, 0.9, 2) * (pixels, top * 0.5)
    for _ in range(7):
        dx, dy, r = rng.normal(0, 0.05) * pixels, rng.normal(0, 0.012) * pixels, rng.uniform(0.03, 0.06) * pixels
        brush.draw.ellipse(
            (x + dx - r * 1.5, y + dy - r * 0.7, x + dx + r * 1.5, y + dy + r * 0.7),
            fill=(255, 255, 255, 150),
        )

    # Two ranges of hills.
    for lift, fill in ((0.13, (136, 170, 186)), (0.06, (104, 152, 118))):
        ridge = np.linspace(0, pixels, 24)
        wave = (
            np.sin(ridge / pixels * rng.uniform(4, 9) + rng.uniform(0, 6)) * 0.4
            + np.sin(ridge / pixels * 17 + rng.uniform(0, 6)) * 0.15
        )
        hills = np.column_stack([ridge, top - pixels * lift * (0.6 + wave * 0.6)])
        brush.draw.polygon([*hills.ravel().tolist(), pixels, top + 1, 0, top + 1], fill=fill)


def _draw_thing(brush: Brush, thing: Thing, stance: Stance, rng: np.random.Generator) -> Box:
    """Draw a thing that faces left or right; its box on the canvas."""
    tall, parts = SPRITES[thing.noun]
    facing = rng.choice([-1.0, 1.0])
    extent = np.array([facing * stance.width, -tall * stance.length])
    outlines = [stance.foot + part * extent for part, _ in parts]
    return brush.parts(outlines, [tone for _, tone in parts], PAINT[thing.colour])


def _draw_tree(brush: Brush, stance: Stance, rng: np.random.Generator) -> None:
    """A round tree or a fir."""
    (x, y), width = stance.foot, stance.width
    tall = width * rng.uniform(1.3, 1.8)
    leaf = LEAVES[int(rng.integers(len(LEAVES)))]
    brush.draw.rectangle((x - width * 0.07, y - tall * 0.4, x + width * 0.07, y), fill=TRUNK)
    if rng.random() < 0.35:
        for v, r in ((0.2, 0.45), (0.45, 0.36), (0.68, 0.25)):
            fir = [(x - r * width, y - v * tall), (x + r * width, y - v * tall), (x, y - (v + 0.42) * tall)]
            brush.draw.polygon(fir, fill=shade(leaf, 0.75 + v * 0.5))
    else:
        for dx, dy, r, tone in ((0, 0.62, 0.46, 0.85), (-0.08, 0.68, 0.36, 1.0), (-0.14, 0.76, 0.2, 1.2)):
            brush.disc(x + dx * width, y - dy * tall, r * width, shade(leaf, tone))


def _expose(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Bright, clear weather."""
    pixels = np.asarray(picture, np.float32)
    gain = rng.uniform(0.94, 1.06) * rng.uniform(0.97, 1.03, 3)
    return Image.fromarray((pixels * gain + rng.normal(0, 2.0, pixels.shape)).clip(0, 255).astype(np.uint8))
