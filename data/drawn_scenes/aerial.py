"""The aerial renderer: straight down, sunlit from one side, turned at random."""

import numpy as np
from PIL import Image

from .brush import Brush, disc, shade
from .plan import FLAT, Scene, Thing
from .top_views import SPRITES

SAMPLES = 3  # canvas pixels along each side of an output pixel
PAINT = {
    "white": (232, 232, 228), "grey": (148, 150, 154), "black": (34, 35, 40), "red": (186, 52, 44),
    "blue": (44, 88, 172), "yellow": (222, 184, 48), "orange": (220, 120, 36), "green": (56, 140, 72),
    "brown": (124, 86, 58),
}  # fmt: skip
MATERIALS = {
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
HEIGHTS = {"plane": 0.05, "tree": 0.06, "storage tank": 0.08, "hotel": 0.16, "stadium": 0.1, "rock": 0.08}
LOW = {"car", "truck", "bus", "boat", "ship", "train", "tractor", "tent", "umbrella"}


def draw(scene: Scene, size: int, rng: np.random.Generator) -> tuple[Image.Image, list[tuple[Thing, tuple]]]:
    """The picture, size x size, and each target with its box (x0, y0, x1, y1) in pixels of that picture."""
    pixels, turn = size * SAMPLES, rng.uniform(0, 2 * np.pi)
    spin = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    light = np.array([np.cos(a := rng.uniform(0, 2 * np.pi)), np.sin(a)])  # towards the sun, in the image
    scale = scene.zoom * pixels / 2

    def project(points):
        return (points - scene.shift) @ spin.T * scale + pixels / 2

    brush = Brush(pixels, project, MATERIALS, rng)
    for area in scene.areas:
        brush.ground(area)
        if area is scene.areas[0]:
            _sprinkle(brush, "water" in scene.ground, rng)
    things = [t for t in scene.things if t.noun not in FLAT]
    for thing in things:
        _shade(brush, thing, light * scale)
    brush.drop_shadows(0.5)
    boxes = [(thing, _stamp(brush, thing, light, turn, scale, rng)) for thing in things]
    picture = _expose(brush.image.reduce(SAMPLES), rng)
    targets = [(t, b) for t, b in boxes if t.role in ("group", "extra")]
    return picture, [(t, tuple(edge / SAMPLES for edge in b)) for t, b in targets]


def _sprinkle(brush, wet, rng):
    """Clutter of the bare ground: waves on water, tufts and stones elsewhere."""
    spots = rng.uniform(0, brush.pixels, (90, 2))
    reach = brush.pixels * (0.03 if wet else 0.008) * rng.uniform(0.5, 1.5, 90)
    dark = rng.random(90) < (0.3 if wet else 0.6)
    flat = 0.14 if wet else 0.8
    for (x, y), r, d in zip(spots, reach, dark, strict=True):
        fill = (10, 20, 10, 80) if d else (255, 255, 245, 60)
        brush.draw.ellipse((x - r, y - r * flat, x + r, y + r * flat), fill=fill)


def _outline(brush, thing, part, flip):
    """Canvas points (K, 2) of one part of a sprite."""
    local = part * (thing.length, thing.width * flip)
    c, s = np.cos(thing.angle), np.sin(thing.angle)
    return brush.project(local @ np.array([(c, s), (-s, c)]) + (thing.x, thing.y))


def _shade(brush, thing, light):
    height = HEIGHTS.get(thing.noun, 0.03 if thing.noun in LOW else 0.09)
    silhouette = disc() if thing.noun == "tree" else SPRITES[thing.noun][0][0]
    outline = _outline(brush, thing, silhouette, 1)
    for step in (0.5, 1.0):
        brush.cast(outline, -light * height * step)


def _stamp(brush, thing, light, turn, scale, rng):
    """Draw one thing; its box (x0, y0, x1, y1) on the canvas."""
    if thing.noun == "tree":
        return _tree(brush, thing, light, scale, rng)
    heading = thing.angle + turn + np.pi / 2
    flip = 1 if np.dot(light, (np.cos(heading), np.sin(heading))) >= 0 else -1
    outlines = [_outline(brush, thing, part, flip) for part, _ in SPRITES[thing.noun]]
    if thing.noun in ("boat", "ship") and thing.role == "extra":
        wake = np.array([(-0.45, 0.0), (-1.5, 0.75), (-1.3, 0.25), (-1.7, 0.0), (-1.3, -0.25), (-1.5, -0.75)])
        brush.draw.polygon(_outline(brush, thing, wake, 1).ravel().tolist(), fill=(235, 245, 248, 120))
    base = PAINT[thing.colour]
    for outline, (_, tone) in zip(outlines, SPRITES[thing.noun], strict=True):
        brush.draw.polygon(outline.ravel().tolist(), fill=shade(base, tone) if isinstance(tone, float) else tone)
    corners = np.concatenate(outlines).clip(0, brush.pixels)
    return (*corners.min(axis=0), *corners.max(axis=0))


def _tree(brush, thing, light, scale, rng):
    x, y = brush.project(np.array([(thing.x, thing.y)]))[0]
    r = thing.length / 2 * scale
    leaf = np.array((44, 78, 36)) + rng.integers(-12, 13, 3)
    for reach, tone, lift in ((1.0, 0.72, 0.0), (0.78, 1.0, 0.18), (0.42, 1.2, 0.36)):
        wobble = rng.uniform(-0.12, 0.12, (2, 2)) * r
        for dx, dy in wobble:
            cx, cy, k = x + light[0] * lift * r + dx, y + light[1] * lift * r + dy, r * reach
            brush.draw.ellipse((cx - k, cy - k, cx + k, cy + k), fill=shade(tuple(leaf.tolist()), tone))
    return (x - r, y - r, x + r, y + r)


def _expose(picture, rng):
    """Haze, season and sensor grain."""
    pixels = np.asarray(picture, np.float32)
    gain = rng.uniform(0.86, 1.08) * rng.uniform(0.95, 1.05, 3)
    haze = rng.uniform(0, 22)
    grain = rng.normal(0, 4.5, pixels.shape)
    return Image.fromarray((pixels * gain + haze + grain).clip(0, 255).astype(np.uint8))
