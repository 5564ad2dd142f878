"""A canvas on which polygons of a plan, textured ground and its markings are painted in any projection."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageOps

from .plan import Area

Colour = tuple[int, int, int]


def shade(colour: Colour, tone: float) -> Colour:
    """A colour darkened (tone below 1) or mixed with white (above 1, 2 being white)."""
    light = min(max(tone - 1, 0.0), 1.0)
    dark = min(tone, 1.0)
    return tuple(round(c * dark * (1 - light) + 255 * light) for c in colour)


def disc(radius_x: float = 0.5, radius_y: float = 0.5, x: float = 0.0, y: float = 0.0, corners: int = 16) -> np.ndarray:
    """Outline (corners, 2) of an ellipse."""
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.column_stack([x + radius_x * np.cos(turn), y + radius_y * np.sin(turn)])


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Outline (4, 2) of a rectangle."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


class Brush:
    """Paints onto `image`, `pixels` wide; `project` maps plan points (N, 2) to canvas pixels (N, 2).

    `materials` maps the last words of an area's material to its dark and light colour.
    """

    def __init__(self, pixels: int, project: Callable, materials: dict, rng: np.random.Generator):
        self.pixels, self.project, self.materials, self.rng = pixels, project, materials, rng
        self.image = Image.new("RGB", (pixels, pixels))
        self.noise = _fractal(rng, pixels)
        self.draw = ImageDraw.Draw(self.image, "RGBA")
        self.shadow = Image.new("L", (pixels, pixels))
        self.dark = ImageDraw.Draw(self.shadow)

    def polygon(self, points: np.ndarray, fill) -> None:
        """Fill plan points (K, 2)."""
        self.draw.polygon(_flat(self.project(points)), fill=fill)

    def ground(self, area: Area) -> None:
        """Texture an area and add its markings."""
        mask = Image.new("L", self.image.size)
        ImageDraw.Draw(mask).polygon(_flat(self.project(area.outline)), fill=255)
        self.image.paste(self.texture(area.material), (0, 0), mask)
        if area.path is not None:
            self._mark(area)

    def texture(self, material: str) -> Image.Image:
        """The whole canvas in one material."""
        tone = 1.0
        if material.split()[0] in ("dark", "pale"):
            tone, material = (0.8, material[5:]) if material.startswith("dark") else (1.18, material[5:])
        low, high = self.materials[material]
        ramp = np.linspace(shade(low, tone), shade(high, tone), 256).astype(np.uint8)
        return Image.fromarray(ramp[self.noise])

    def cast(self, points: np.ndarray, offset=(0.0, 0.0)) -> None:
        """Add canvas points (K, 2), moved by an offset in pixels, to the shadows."""
        self.dark.polygon(_flat(points + np.asarray(offset)), fill=255)

    def drop_shadows(self, strength: float) -> None:
        """Darken what the shadows cast so far cover."""
        mask = self.shadow.point([int(i * strength) for i in range(256)])
        self.image.paste((12, 16, 26), (0, 0, *self.image.size), mask)

    def _mark(self, area):
        word = area.material.split()[-1]
        if word in ("road", "runway", "track"):
            self._edges(area, 0.94, 70 if word == "track" else 110)
        if word in ("road", "runway"):
            size = (0.16, 0.04) if word == "runway" else (0.11, 0.022)
            self._dashes(area.path, size[0], size[1], (240, 240, 230, 235))
        elif word == "rails":
            self._dashes(area.path, 0.022, area.width, (96, 78, 64, 255), 0.06)
            self._edges(area, 0.55, 255, (196, 196, 200))
        elif word in ("pier", "bridge"):
            self._dashes(area.path, 0.012, area.width * 0.96, (30, 24, 20, 90), 0.07)
            self._edges(area, 0.95, 160, (250, 250, 250) if word == "bridge" else (40, 30, 22))
            if word == "bridge":
                self._dashes(area.path, 0.1, 0.022, (250, 250, 240, 235), 0.2)
        elif word == "water":
            self._edges(area, 1.0, 150, (226, 216, 186))
        elif word == "lot":
            self._dashes(area.path, 0.014, 0.3, (225, 225, 220, 200), 0.125)
        elif word == "crops":
            self._rows(area)

    def _dashes(self, path, length, width, fill, every=None):
        """Bars of some length along and width across a path, one every so often."""
        run = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
        at = np.arange(0, run[-1] - length, every or 2 * length)
        start, end = (np.column_stack([np.interp(a, run, path[:, k]) for k in (0, 1)]) for a in (at, at + length))
        along = end - start
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.hypot(*along.T)[:, None] * width / 2
        bars = np.stack([start + normal, end + normal, end - normal, start - normal], axis=1)  # (bars, 4, 2)
        corners = self.project(bars.reshape(-1, 2)).reshape(-1, 8)
        seen = ((corners > 0) & (corners < self.pixels)).any(axis=1)
        for bar in corners[seen].tolist():
            self.draw.polygon(bar, fill=fill)

    def _edges(self, area, where, alpha, colour=(235, 235, 225)):
        half = len(area.outline) // 2
        for border in (area.outline[:half], area.outline[half:][::-1]):
            line = area.path + (border - area.path) * where
            self.draw.line(_flat(self.project(line)), fill=(*colour, alpha), width=max(self.pixels // 128, 1))

    def _rows(self, area):
        """Crop rows parallel to the area's path, clipped to it."""
        mask, rows = (Image.new("L", self.image.size) for _ in range(2))
        ImageDraw.Draw(mask).polygon(_flat(self.project(area.outline)), fill=255)
        pen = ImageDraw.Draw(rows)
        along = (area.path[-1] - area.path[0]) / np.hypot(*(area.path[-1] - area.path[0]))
        normal = np.array([-along[1], along[0]])
        middle = area.outline.mean(axis=0)
        for at in np.arange(-2.6, 2.6, area.width):
            ends = np.array([middle + normal * at - along * 4, middle + normal * at + along * 4])
            pen.line(_flat(self.project(ends)), fill=80, width=max(self.pixels // 72, 1))
        self.image.paste((24, 30, 8), (0, 0, *self.image.size), ImageChops.multiply(mask, rows))


def _flat(points):
    return np.asarray(points, float).ravel().tolist()


def _fractal(rng, pixels):
    """Grey noise (pixels, pixels), uint8, of three scales, the finest a grain of a few canvas pixels."""
    octaves = [
        Image.fromarray(rng.integers(0, 256, (k, k), dtype=np.uint8)).resize((pixels, pixels), Image.Resampling.BICUBIC)
        for k in (7, 30, max(pixels // 4, 40))
    ]
    coarse = Image.blend(octaves[0], octaves[1], 0.45)
    return np.asarray(ImageOps.autocontrast(Image.blend(coarse, octaves[2], 0.45)))
