"""The aerial renderer: straight down, sunlit from one side, turned at random."""

import numpy as np
from PIL import Image

from .brush import Box, Brush, Materials, shade
from .geometry import disc
from .plan import FLAT, Scene, Thing
from .top_views import SPRITES

SAMPLES = 3  # canvas pixels along each side of an output pixel
PAINT = {
    "white": (232, 232, 228), "grey": (148, 150, 154), "black": (34, 35, 40), "red": (186, 52, 44),
    "blue": (44, 88, 172), "yellow": (222, 184, 48), "orange": (220, 120, 36), "green": (56, 140, 72),
    "brown": (124, 86, 58),
}  # fmt: skip
MATERIALS: Materials = {
    "green grass": ((58, 82, 40), (112, 132, 70)), "dry grass": ((122, 112, 66), (172, 158, 104)),
    "mown grass": ((76, 112, 50), (104, 146, 70)), "bare soil": ((112, 84, 58), (164, 130, 96)),
    "grey concrete": ((132, 132, 130), (174, 172, 166)), "yellow sand": ((178, 150, 96), (222, 198, 142)),
    "white sand": ((202, 192, 172), (238, 230, 212)), "red sand": ((150, 84, 52), (204, 128, 84)),
    "green crops": ((66, 100, 40), (118, 148, 62)), "yellow crops": ((168, 146, 60), (212, 190, 96)),
    "brown crops": ((104, 76, 50), (148, 114, 80)), "blue water": ((18, 54, 92), (48, 98, 136)),
    "green water": ((24, 92, 84), (62, 140, 122)), "brown water": ((84, 62, 34), (118, 90, 52)),
    "road": ((72, 73, 76), (98, 98, 100)), "runway": ((58, 59, 62), (84, 84, 88)),
    "asphalt lot": ((78, 79, 82), (108, 108, 110)), "track": ((138, 118, 88), (180, 160, 124)),
    "foam": ((196, 214, 216), (250, 252, 250)), "rails": ((98, 88, 80), (138, 126, 114)),
    "brown pier": ((104, 74, 48), (140, 104, 72)), "grey pier": ((124, 126, 130), (158, 160, 162)),
    "white pier": ((206, 206, 200), (240, 240, 236)), "white bridge": ((206, 206, 202), (240, 240, 236)),
    "grey bridge": ((118, 120, 124), (152, 154, 156)), "red bridge": ((158, 46, 38), (194, 70, 58)),
    "brown bridge": ((104, 72, 46), (140, 102, 70)), "brown clay": ((132, 90, 58), (170, 124, 84)),
    "red clay": ((168, 62, 42), (204, 92, 66)), "grey clay": ((128, 128, 126), (164, 162, 158)),
}  # fmt: skip
# How far shadows reach, in half-widths of the image.
HEIGHTS = {"plane": 0.05, "tree": 0.06, "storage tank": 0.08, "hotel": 0.16, "stadium": 0.1, "rock": 0.08}
LOW_HEIGHT, USUAL_HEIGHT = 0.03, 0.09  # of things that HEIGHTS does not name
LOW = {"car", "truck", "bus", "boat", "ship", "train", "tractor", "tent", "umbrella"}
WAKE = np.array([(-0.45, 0.0), (-1.5, 0.75), (-1.3, 0.25), (-1.7, 0.0), (-1.3, -0.25), (-1.5, -0.75)])  # of a boat


def draw(scene: Scene, size: int, rng: np.random.Generator) -> tuple[Image.Image, list[tuple[Thing, Box]]]:
    """Draw a scene from above.

    Args:
        scene: the plan.
        size: width and height of the picture in pixels.
        rng: turns the camera and the sun, and draws textures and weather.

    Returns:
        The picture, and each target with its box in pixels of that picture.
    """
    # The camera and the sun.
    pixels, turn = size * SAMPLES, rng.uniform(0, 2 * np.pi)
    rotation = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    sun_angle = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(sun_angle), np.sin(sun_angle)])  # towards the sun, in the image
    scale = scene.zoom * pixels / 2

    def project(points: np.ndarray) -> np.ndarray:
        return (points - scene.shift) @ rotation.T * scale + pixels / 2

    # The ground; everything else lies on the first area.
    brush = Brush(pixels, project, MATERIALS, rng)
    for area in scene.areas:
        brush.ground(area)
        if area is scene.areas[0]:
            _scatter_specks(brush, "water" in scene.ground, rng)

    # All shadows, then the things that cast them.
    things = [t for t in scene.things if t.noun not in FLAT]
    for thing in things:
        _cast_shadow(brush, thing, sun * scale)
    brush.drop_shadows(0.5)
    boxes = []
    for thing in things:
        if thing.noun == "tree":
            _draw_tree(brush, thing, scale, sun, rng)
            continue
        heading = thing.angle + turn + np.pi / 2
        towards_sun = np.dot(sun, (np.cos(heading), np.sin(heading))) >= 0
        box = _draw_thing(brush, thing, 1 if towards_sun else -1)
        if thing.role in ("group", "extra"):
            boxes.append((thing, tuple(edge / SAMPLES for edge in box)))

    return _expose(brush.image.reduce(SAMPLES), rng), boxes


def _scatter_specks(brush: Brush, wet: bool, rng: np.random.Generator) -> None:
    """Waves on water, tufts and stones elsewhere."""
    spots = rng.uniform(0, brush.pixels, (90, 2))
    radii = brush.pixels * (0.03 if wet else 0.008) * rng.uniform(0.5, 1.5, 90)
    dark = rng.random(90) < (0.3 if wet else 0.6)
    flatness = 0.14 if wet else 0.8
    for (x, y), radius, is_dark in zip(spots, radii, dark, strict=True):
        fill = (10, 20, 10, 80) if is_dark else (255, 255, 245, 60)
        height = radius * flatness
        brush.draw.ellipse((x - radius, y - height, x + radius, y + height), fill=fill)


def _outline(brush: Brush, thing: Thing, part: np.ndarray, flip: int) -> np.ndarray:
    """Canvas points (K, 2) of one part of a thing; flip is -1 to mirror it across its heading."""
    local = part * (thing.length, thing.width * flip)
    cos, sin = np.cos(thing.angle), np.sin(thing.angle)
    return brush.project(local @ np.array([(cos, sin), (-sin, cos)]) + (thing.x, thing.y))


def _cast_shadow(brush: Brush, thing: Thing, sun: np.ndarray) -> None:
    """A shadow away from the sun, given as canvas pixels (2,) for a height of 1."""
    height = HEIGHTS.get(thing.noun, LOW_HEIGHT if thing.noun in LOW else USUAL_HEIGHT)
    silhouette = disc() if thing.noun == "tree" else SPRITES[thing.noun][0][0]
    outline = _outline(brush, thing, silhouette, 1)
    for step in (0.5, 1.0):
        brush.cast(outline - sun * height * step)


def _draw_thing(brush: Brush, thing: Thing, flip: int) -> Box:
    """Draw a thing, its lit side towards the sun; its box on the canvas."""
    outlines = [_outline(brush, thing, part, flip) for part, _ in SPRITES[thing.noun]]
    if thing.noun in ("boat", "ship") and thing.role == "extra":
        brush.polygon(_outline(brush, thing, WAKE, 1), (235, 245, 248, 120))
    return brush.parts(outlines, [tone for _, tone in SPRITES[thing.noun]], PAINT[thing.colour])


def _draw_tree(brush: Brush, thing: Thing, scale: float, sun: np.ndarray, rng: np.random.Generator) -> None:
    """A crown of three layers, each a little nearer to the sun and brighter."""
    x, y = brush.project(np.array([(thing.x, thing.y)]))[0]
    radius = thing.length / 2 * scale
    leaf = np.array((44, 78, 36)) + rng.integers(-12, 13, 3)
    for reach, tone, lift in ((1.0, 0.72, 0.0), (0.78, 1.0, 0.18), (0.42, 1.2, 0.36)):
        wobble = rng.uniform(-0.12, 0.12, (2, 2)) * radius
        fill = shade(tuple(leaf.tolist()), tone)
        for dx, dy in wobble:
            brush.disc(x + sun[0] * lift * radius + dx, y + sun[1] * lift * radius + dy, radius * reach, fill)


def _expose(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Haze, season and sensor grain."""
    pixels = np.asarray(picture, np.float32)
    gain = rng.uniform(0.86, 1.08) * rng.uniform(0.95, 1.05, 3)
    haze = rng.uniform(0, 22)
    grain = rng.normal(0, 4.5, pixels.shape)
    return Image.fromarray((pixels * gain + haze + grain).clip(0, 255).astype(np.uint8))
